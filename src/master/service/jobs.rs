//! Jobs, and the tasks that workers take from them.

use super::Answered;
use crate::core::proto::v1;
use crate::core::rpc::auth::user_of;
use crate::master::Master;
use std::sync::Arc;
use tonic::{Request, Response};

/// The jobs service.
pub struct Jobs(pub Arc<Master>);

#[tonic::async_trait]
impl v1::jobs_server::Jobs for Jobs {
    async fn submit(&self, request: Request<v1::SubmitJobRequest>) -> Answered<v1::Job> {
        self.0.check_primary()?;
        let user = user_of(&request);
        Ok(Response::new(self.0.jobs.submit(request.into_inner(), user).await?))
    }

    async fn get(&self, request: Request<v1::GetJobRequest>) -> Answered<v1::Job> {
        self.0.check_primary()?;
        Ok(Response::new(self.0.jobs.get(request.into_inner().id)?))
    }

    async fn list(&self, _: Request<v1::ListJobsRequest>) -> Answered<v1::ListJobsResponse> {
        self.0.check_primary()?;
        Ok(Response::new(v1::ListJobsResponse { jobs: self.0.jobs.list() }))
    }

    async fn cancel(
        &self,
        request: Request<v1::CancelJobRequest>,
    ) -> Answered<v1::CancelJobResponse> {
        self.0.check_primary()?;
        self.0.jobs.cancel(request.into_inner().id).await?;
        Ok(Response::new(v1::CancelJobResponse {}))
    }

    async fn pause(&self, request: Request<v1::PauseJobRequest>) -> Answered<v1::Job> {
        self.0.check_primary()?;
        Ok(Response::new(self.0.jobs.pause(request.into_inner().id).await?))
    }

    async fn resume(&self, request: Request<v1::ResumeJobRequest>) -> Answered<v1::Job> {
        self.0.check_primary()?;
        Ok(Response::new(self.0.jobs.resume(request.into_inner().id).await?))
    }

    async fn retry(&self, request: Request<v1::RetryJobRequest>) -> Answered<v1::Job> {
        self.0.check_primary()?;
        Ok(Response::new(self.0.jobs.retry(request.into_inner().id).await?))
    }

    async fn exchange(
        &self,
        request: Request<v1::ExchangeRequest>,
    ) -> Answered<v1::ExchangeResponse> {
        self.0.check_primary()?;
        Ok(Response::new(self.0.jobs.exchange(request.into_inner()).await?))
    }
}
