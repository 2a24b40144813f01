//! Which master is primary, as clients find out (protocol, section 3.2).

use super::Answered;
use crate::core::error::not_found;
use crate::core::proto::grpc::version::service_version_client_service_server::ServiceVersionClientService;
use crate::core::proto::grpc::version::{GetServiceVersionPRequest, GetServiceVersionPResponse};
use crate::master::Master;
use std::sync::Arc;
use tonic::{Request, Response};

/// The version of every service; clients of the Alluxio family compare it.
const VERSION: i64 = 2;

/// The version service.
pub struct Version(pub Arc<Master>);

#[tonic::async_trait]
impl ServiceVersionClientService for Version {
    async fn get_service_version(
        &self,
        request: Request<GetServiceVersionPRequest>,
    ) -> Answered<GetServiceVersionPResponse> {
        if !request.into_inner().allowed_on_standby_masters() && !self.0.is_primary() {
            // Any other code would stop a client from asking the remaining masters.
            return Err(not_found("this master is not the primary").into());
        }
        Ok(Response::new(GetServiceVersionPResponse { version: Some(VERSION) }))
    }
}
