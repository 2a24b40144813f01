//! Metrics that clients push (protocol, section 8).

use super::Answered;
use crate::core::proto::grpc::MetricType;
use crate::core::proto::grpc::metric::metrics_master_client_service_server::MetricsMasterClientService;
use crate::core::proto::grpc::metric::{
    ClearMetricsPRequest, ClearMetricsPResponse, GetMetricsPOptions, GetMetricsPResponse,
    MetricValue, MetricsHeartbeatPRequest, MetricsHeartbeatPResponse,
};
use crate::master::Master;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The metrics service.
pub struct Metrics(pub Arc<Master>);

#[tonic::async_trait]
impl MetricsMasterClientService for Metrics {
    async fn clear_metrics(
        &self,
        _: Request<ClearMetricsPRequest>,
    ) -> Answered<ClearMetricsPResponse> {
        self.0.metrics.clear();
        Ok(Response::new(ClearMetricsPResponse {}))
    }

    async fn metrics_heartbeat(
        &self,
        request: Request<MetricsHeartbeatPRequest>,
    ) -> Answered<MetricsHeartbeatPResponse> {
        for sent in request.into_inner().options.unwrap_or_default().client_metrics {
            self.0.metrics.report("Client", sent.source(), &sent.metrics);
        }
        Ok(Response::new(MetricsHeartbeatPResponse {}))
    }

    async fn get_metrics(&self, _: Request<GetMetricsPOptions>) -> Answered<GetMetricsPResponse> {
        let told = |value: f64, kind: MetricType| MetricValue {
            double_value: Some(value),
            string_value: None,
            metric_type: Some(kind as i32),
        };
        let master = self.0.clone();
        // What waits to be persisted is counted in the metastore.
        let own = tokio::task::spawn_blocking(move || master.figures());
        let own = own.await.map_err(|error| Status::internal(error.to_string()))?;
        let pushed = self.0.metrics.figures().into_iter();
        let metrics = pushed
            .map(|(name, figure)| (name, told(figure.value, figure.kind)))
            .chain(own.into_iter().map(|(name, v)| (name, told(v, MetricType::Gauge))))
            .collect();
        Ok(Response::new(GetMetricsPResponse { metrics }))
    }
}
