//! Who is primary, who stands by.

use super::Answered;
use crate::core::proto::v1;
use crate::master::Master;
use std::sync::Arc;
use tonic::{Request, Response};

/// The cluster service.
pub struct Cluster(pub Arc<Master>);

#[tonic::async_trait]
impl v1::cluster_server::Cluster for Cluster {
    async fn get_masters(
        &self,
        _: Request<v1::GetMastersRequest>,
    ) -> Answered<v1::GetMastersResponse> {
        Ok(Response::new(self.0.masters().await?))
    }
}
