//! What a `grpc://` or `grpcs://` URL says.

use std::net::IpAddr;
use tonic::codegen::http::Uri;

/// Segments that would make a resource name ambiguous (Remote Execution API,
/// `ContentAddressableStorage`).
const KEYWORDS: [&str; 7] = [
    "blobs",
    "uploads",
    "actions",
    "actionResults",
    "operations",
    "capabilities",
    "compressed-blobs",
];

/// Where a server is, and which of its instances is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// `http://host:port` or `https://host:port`.
    pub(super) uri: Uri,
    /// Whether it is to be reached by TLS.
    pub(super) tls: bool,
    /// The path of the URL; may be empty and may hold slashes.
    pub(super) instance: String,
}

impl Address {
    /// Understands `grpc(s)://host[:port][/instance]`. The port is otherwise 80, or 443 with TLS.
    /// The error is what is wrong with it.
    pub(super) fn parse(url: &str) -> Result<Address, String> {
        let (tls, rest) = match url.split_once("://") {
            Some(("grpc", rest)) => (false, rest),
            Some(("grpcs", rest)) => (true, rest),
            _ => return Err("not a URL like grpc://host:port/instance".to_owned()),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err("credentials don't belong in the URL; configure them beside it".to_owned());
        }
        if url.contains(['?', '#']) {
            return Err("a gRPC URL has neither query nor fragment".to_owned());
        }
        let scheme = if tls { "https" } else { "http" };
        let uri: Uri = format!("{scheme}://{authority}")
            .parse()
            .map_err(|_| "no host and port in it, like grpc://cache.example.com:9092".to_owned())?;
        let host = uri.host().unwrap_or_default();
        if host.is_empty() || (uri.port_u16().is_none() && host != authority) {
            return Err("no host and port in it, like grpc://cache.example.com:9092".to_owned());
        }
        let instance = path.trim_end_matches('/');
        for segment in instance.split('/').filter(|_| !instance.is_empty()) {
            if segment.is_empty() || KEYWORDS.contains(&segment) {
                return Err(format!("an instance name can't have a segment `{segment}`"));
            }
        }
        Ok(Address { uri, tls, instance: instance.to_owned() })
    }

    /// Whether what is sent there stays on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.uri.host().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }

    /// A resource of the byte stream, within the instance.
    pub(super) fn resource(&self, name: &str) -> String {
        match self.instance.as_str() {
            "" => name.to_owned(),
            instance => format!("{instance}/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_the_instance() {
        for (url, instance) in [
            ("grpc://h:1", ""),
            ("grpc://h:1/", ""),
            ("grpc://h:1/main", "main"),
            ("grpcs://h/a/b/", "a/b"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(address.instance, instance, "{url}");
            assert_eq!(address.tls, url.starts_with("grpcs"));
        }
        let address = Address::parse("grpc://[::1]:9092/a/b").unwrap();
        assert_eq!(address.uri.host(), Some("[::1]"));
        assert_eq!(address.resource("blobs/x/1"), "a/b/blobs/x/1");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in [
            "grpc://",
            "grpc:///instance",
            "grpc://h:port/",
            "grpc://h:1/a//b",
            "grpc://h:1/a/blobs/b",
            "grpc://h:1/uploads",
            "grpc://h:1/a?b=c",
            "grpc://h:1#a",
            "http://h:1/",
            "h:1",
        ] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
        let refused = Address::parse("grpc://user:hunter2@h:1/").unwrap_err();
        assert!(!refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn loopback_is_known() {
        for (url, loopback) in [
            ("grpc://127.0.0.1:1", true),
            ("grpc://127.3.2.1:1", true),
            ("grpc://[::1]:1", true),
            ("grpc://localhost:1", true),
            ("grpc://10.0.0.1:1", false),
            ("grpc://localhost.example.com", false),
            ("grpc://127.0.0.1.example.com", false),
        ] {
            assert_eq!(Address::parse(url).unwrap().is_loopback(), loopback, "{url}");
        }
    }
}
