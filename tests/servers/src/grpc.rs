//! The one remote execution call that tells whether a server is up.

use std::net::SocketAddr;
use std::time::Duration;

use bazel_remote_apis::build::bazel::remote::execution::v2::GetCapabilitiesRequest;
use bazel_remote_apis::build::bazel::remote::execution::v2::capabilities_client::CapabilitiesClient;
use tokio::runtime::Builder;
use tonic::transport::Endpoint;

/// Whether a server there tells its capabilities.
pub(crate) fn answers(address: SocketAddr) -> bool {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a plain address");
    runtime.block_on(async {
        let endpoint = endpoint.timeout(Duration::from_secs(5));
        let Ok(channel) = endpoint.connect().await else { return false };
        let request = GetCapabilitiesRequest::default();
        CapabilitiesClient::new(channel).get_capabilities(request).await.is_ok()
    })
}
