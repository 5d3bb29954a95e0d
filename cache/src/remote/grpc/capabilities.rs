//! What a server can do, asked once before anything else.

use super::Grpc;
use super::channel::Wire;
use super::errors::Errors;
use crate::remote::RemoteError;
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    GetCapabilitiesRequest, ServerCapabilities, capabilities_client::CapabilitiesClient,
    compressor, digest_function,
};
use bazel_remote_apis::build::bazel::semver::SemVer;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use std::sync::{Mutex, PoisonError};

/// The most bytes of blobs in one batch. Well below the 4 MiB that gRPC takes as a message by
/// default, because as many may be in memory as there are requests at once.
const BATCH: usize = 1 << 20;

/// What a server can do, as far as it matters to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// It takes blobs and entries.
    pub(super) writable: bool,
    /// The most bytes of blobs in one batch.
    pub(super) batch: usize,
    /// The largest blob that it takes.
    pub(super) largest: u64,
    /// It takes and gives blobs compressed by zstd in the byte stream, and gives them so in batches.
    pub(super) zstd: bool,
    /// It takes them so in batches.
    pub(super) zstd_batches: bool,
}

impl Capabilities {
    /// The error is why nothing can be done with this server.
    fn of(told: &ServerCapabilities) -> Result<Capabilities, String> {
        let major = |version: &Option<SemVer>| version.as_ref().map(|version| version.major);
        // Nothing that we send is newer than 2.0, or matters to who doesn't know it.
        let (low, high) = (major(&told.low_api_version), major(&told.high_api_version));
        if low.is_none_or(|low| low > 2) || high.is_none_or(|high| high < 2) {
            return Err(format!(
                "it speaks versions {} to {} of the Remote Execution API, not 2",
                told.low_api_version.as_ref().map_or("?".to_owned(), version),
                told.high_api_version.as_ref().map_or("?".to_owned(), version),
            ));
        }
        let Some(cache) = &told.cache_capabilities else {
            return Err("it is no cache".to_owned());
        };
        if !cache.digest_functions.contains(&(digest_function::Value::Sha256 as i32)) {
            return Err("it does not take SHA-256 digests".to_owned());
        }
        let update = cache.action_cache_update_capabilities;
        let zstd = compressor::Value::Zstd as i32;
        let limit = |told: i64| usize::try_from(told).ok().filter(|limit| *limit > 0);
        Ok(Capabilities {
            writable: update.is_some_and(|update| update.update_enabled),
            batch: limit(cache.max_batch_total_size_bytes).map_or(BATCH, |limit| limit.min(BATCH)),
            largest: limit(cache.max_cas_blob_size_bytes).map_or(u64::MAX, |limit| limit as u64),
            zstd: cache.supported_compressors.contains(&zstd),
            zstd_batches: cache.supported_batch_update_compressors.contains(&zstd),
        })
    }
}

fn version(version: &SemVer) -> String {
    format!("{}.{}", version.major, version.minor)
}

type Answer = Result<Capabilities, RemoteError>;

/// The one question and its answer.
pub(super) struct Asked(Mutex<Option<Shared<BoxFuture<'static, Answer>>>>);

impl Asked {
    pub(super) fn not_yet() -> Asked {
        Asked(Mutex::new(None))
    }
}

impl Grpc {
    /// What the server can do, without compression where it is not wanted. All who ask at the same
    /// time share one question and its answer; it is asked again when it could not be reached or
    /// did not know us.
    pub(super) async fn capabilities(&self) -> Answer {
        let question = {
            let mut asked = self.asked.0.lock().unwrap_or_else(PoisonError::into_inner);
            asked
                .get_or_insert_with(|| {
                    let request = self.request(
                        GetCapabilitiesRequest { instance_name: self.address.instance.clone() },
                        None,
                    );
                    ask(self.wire.clone(), self.errors.clone(), request).boxed().shared()
                })
                .clone()
        };
        let answer = question.clone().await;
        if !matches!(answer, Ok(_) | Err(RemoteError::Refused(_))) {
            let mut asked = self.asked.0.lock().unwrap_or_else(PoisonError::into_inner);
            if asked.as_ref().is_some_and(|asked| asked.ptr_eq(&question)) {
                *asked = None;
            }
        }
        answer.map(|mut capabilities| {
            capabilities.zstd &= self.compress;
            capabilities.zstd_batches &= self.compress;
            capabilities
        })
    }

    /// The same, of a server that takes blobs and entries.
    pub(super) async fn writable(&self) -> Answer {
        let capabilities = self.capabilities().await?;
        if !capabilities.writable {
            return Err(RemoteError::Refused("the server is read-only for us".to_owned()));
        }
        Ok(capabilities)
    }
}

async fn ask(
    wire: Wire,
    errors: Errors,
    request: tonic::Request<GetCapabilitiesRequest>,
) -> Answer {
    let told = CapabilitiesClient::new(wire).get_capabilities(request).await;
    let told = told.map_err(|status| errors.status("GetCapabilities", &status))?.into_inner();
    Capabilities::of(&told)
        .map_err(|what| RemoteError::Refused(format!("the server can't be used: {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bazel_remote_apis::build::bazel::remote::execution::v2::{
        ActionCacheUpdateCapabilities, CacheCapabilities,
    };

    fn server(low: i32, high: i32, cache: CacheCapabilities) -> ServerCapabilities {
        let version = |major| Some(SemVer { major, ..Default::default() });
        ServerCapabilities {
            cache_capabilities: Some(cache),
            low_api_version: version(low),
            high_api_version: version(high),
            ..Default::default()
        }
    }

    fn cache() -> CacheCapabilities {
        CacheCapabilities {
            digest_functions: vec![digest_function::Value::Sha256 as i32],
            action_cache_update_capabilities: Some(ActionCacheUpdateCapabilities {
                update_enabled: true,
            }),
            ..Default::default()
        }
    }

    #[test]
    fn limits_are_those_of_the_server_or_ours() {
        let plain = Capabilities {
            writable: true,
            batch: BATCH,
            largest: u64::MAX,
            zstd: false,
            zstd_batches: false,
        };
        assert_eq!(Capabilities::of(&server(2, 2, cache())), Ok(plain));
        for (told, batch) in [(0, BATCH), (-1, BATCH), (65536, 65536), (i64::MAX, BATCH)] {
            let cache = CacheCapabilities { max_batch_total_size_bytes: told, ..cache() };
            assert_eq!(Capabilities::of(&server(2, 2, cache)), Ok(Capabilities { batch, ..plain }));
        }
        let cache = CacheCapabilities {
            max_cas_blob_size_bytes: 7,
            supported_compressors: vec![compressor::Value::Zstd as i32],
            action_cache_update_capabilities: None,
            ..cache()
        };
        let odd = Capabilities { writable: false, largest: 7, zstd: true, ..plain };
        assert_eq!(Capabilities::of(&server(0, 3, cache)), Ok(odd));
    }

    #[test]
    fn other_versions_and_digests_are_refused() {
        assert!(Capabilities::of(&server(3, 4, cache())).is_err());
        assert!(Capabilities::of(&server(1, 1, cache())).is_err());
        assert!(Capabilities::of(&ServerCapabilities::default()).is_err());
        assert!(Capabilities::of(&server(2, 2, CacheCapabilities::default())).is_err());
        let executor = ServerCapabilities { cache_capabilities: None, ..server(2, 2, cache()) };
        assert!(Capabilities::of(&executor).is_err());
    }
}
