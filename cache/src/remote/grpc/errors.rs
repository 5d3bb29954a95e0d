//! What a failed call means to us.

use super::super::{RemoteError, Secret};
use bazel_remote_apis::google;
use prost::Message as _;
use std::error::Error;
use std::io;
use std::time::Duration;
use tonic::{Code, Status};

/// At most this many characters of what a server says are passed on.
const MOST: usize = 200;

/// Turns failures into [`RemoteError`]s, without what must stay secret.
#[derive(Clone)]
pub(super) struct Errors {
    secrets: Vec<Secret>,
}

impl Errors {
    /// A server may repeat our credentials in its message; these are cut out.
    pub(super) fn new(secrets: Vec<Secret>) -> Errors {
        Errors { secrets }
    }

    /// What the failure of `call` means.
    pub(super) fn status(&self, call: &str, status: &Status) -> RemoteError {
        let mut message = match status.message() {
            "" => status.code().description().to_owned(),
            message => message.to_owned(),
        };
        // "tcp connect error" and the like say why only in what caused them.
        if let Some(cause) = causes(status).last() {
            let cause = cause.to_string();
            if !message.contains(&cause) {
                message = format!("{message}: {cause}");
            }
        }
        let what = self.text(call, &message);
        match tls_failure(status) {
            Some(TlsFailure::Theirs) => return RemoteError::Refused(what),
            Some(TlsFailure::Ours) => return RemoteError::Denied(what),
            None => {}
        }
        let retry_after = google::rpc::Status::decode(status.details())
            .ok()
            .and_then(|status| retry_after(&status.details))
            .or_else(|| {
                let seconds = status.metadata().get("retry-after")?.to_str().ok()?;
                seconds.parse().ok().map(Duration::from_secs)
            });
        classify(status.code(), what, retry_after)
    }

    /// What the status of one blob in the answer to `call` means; none when it is fine.
    pub(super) fn blob(
        &self,
        call: &str,
        status: Option<&google::rpc::Status>,
    ) -> Option<RemoteError> {
        let status = status?;
        let code = Code::from_i32(status.code);
        if code == Code::Ok {
            return None;
        }
        let message = match status.message.as_str() {
            "" => code.description(),
            message => message,
        };
        Some(classify(code, self.text(call, message), retry_after(&status.details)))
    }

    /// A text that can be shown: one line, bounded, without secrets.
    fn text(&self, call: &str, message: &str) -> String {
        let mut message = message.to_owned();
        for secret in self.secrets.iter().map(Secret::reveal).filter(|secret| !secret.is_empty()) {
            message = message.replace(secret, "(secret)");
        }
        let mut text: String =
            message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST).collect();
        text.truncate(text.trim_end().len());
        format!("{call}: {text}")
    }
}

fn classify(code: Code, what: String, retry_after: Option<Duration>) -> RemoteError {
    match code {
        Code::Unauthenticated | Code::PermissionDenied => RemoteError::Denied(what),
        Code::ResourceExhausted if retry_after.is_none() => RemoteError::Full(what),
        Code::DataLoss | Code::OutOfRange => RemoteError::Wrong(what),
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::Unimplemented => RemoteError::Refused(what),
        // A connection that breaks is told as one of these, and so is a bug of the server.
        Code::Unavailable
        | Code::Aborted
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Internal
        | Code::Cancelled
        | Code::Unknown
        | Code::Ok => RemoteError::Transient { what, retry_after },
    }
}

/// `google.rpc.RetryInfo`, which the generated messages lack.
#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<google::protobuf::Duration>,
}

fn retry_after(details: &[google::protobuf::Any]) -> Option<Duration> {
    let info = details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(info.value.as_slice()).ok()?.retry_delay?;
    let seconds = u64::try_from(delay.seconds).ok()?;
    let nanos = u32::try_from(delay.nanos).ok()?.min(999_999_999);
    Some(Duration::new(seconds, nanos))
}

/// The errors behind a status, the deepest last.
fn causes(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(status.source(), |&error| match error.downcast_ref::<io::Error>() {
        // The source of such an error is that of the one in it.
        Some(error) => error.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}

enum TlsFailure {
    /// Their certificate is not one that we trust.
    Theirs,
    /// They don't trust ours, or miss it.
    Ours,
}

/// Failures of TLS that last, as against a broken connection.
fn tls_failure(status: &Status) -> Option<TlsFailure> {
    use rustls::AlertDescription as Alert;
    causes(status).find_map(|error| match error.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(_) => Some(TlsFailure::Theirs),
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::UnsupportedCertificate
            | Alert::UnknownCA
            | Alert::AccessDenied,
        ) => Some(TlsFailure::Ours),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_retry_info(code: Code, seconds: i64, nanos: i32) -> Status {
        let delay = google::protobuf::Duration { seconds, nanos };
        let any = google::protobuf::Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
            value: RetryInfo { retry_delay: Some(delay) }.encode_to_vec(),
        };
        let status =
            google::rpc::Status { code: code as i32, details: vec![any], ..Default::default() };
        Status::with_details(code, "busy", status.encode_to_vec().into())
    }

    #[test]
    fn retry_info_says_when() {
        let errors = Errors::new(Vec::new());
        for (code, seconds, nanos, awaited) in [
            (Code::Unavailable, 3, 500_000_000, Some(Duration::from_millis(3500))),
            (Code::ResourceExhausted, 1, 0, Some(Duration::from_secs(1))),
            (Code::Unavailable, -1, 0, None),
            (
                Code::Unavailable,
                i64::MAX,
                i32::MAX,
                Some(Duration::new(i64::MAX as u64, 999_999_999)),
            ),
        ] {
            let status = with_retry_info(code, seconds, nanos);
            let what = "Get: busy".to_owned();
            let transient = RemoteError::Transient { what, retry_after: awaited };
            assert_eq!(errors.status("Get", &status), transient);
        }
        let full = Status::resource_exhausted("disk");
        assert_eq!(errors.status("Put", &full), RemoteError::Full("Put: disk".to_owned()));
    }

    #[test]
    fn texts_are_one_short_line_without_secrets() {
        let errors = Errors::new(vec![Secret::new("hunter2"), Secret::new("")]);
        let message = format!("bad token hunter2\n\x1b[31m{}", "x".repeat(1000));
        let text = errors.status("Get", &Status::unauthenticated(message)).to_string();
        assert!(text.starts_with("Get: bad token (secret)  [31mxxx"), "{text}");
        assert!(text.chars().count() <= MOST + "Get: ".len(), "{text}");
    }

    #[test]
    fn the_status_of_a_blob_counts() {
        let errors = Errors::new(Vec::new());
        let fine = google::rpc::Status::default();
        assert_eq!(errors.blob("Put", Some(&fine)), None);
        assert_eq!(errors.blob("Put", None), None);
        let bad = google::rpc::Status { code: 3, ..Default::default() };
        assert!(matches!(errors.blob("Put", Some(&bad)), Some(RemoteError::Refused(_))));
    }
}
