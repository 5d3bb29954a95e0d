//! What a service means that refuses a request.

use crate::remote::RemoteError;
use crate::remote::channel::{Exchange, retry_after};
use reqwest::Response;

/// What an answer means that is no success: nothing when there is no such object.
///
/// Of its body only the error code is repeated: the rest may hold what was signed.
pub(super) async fn failed(exchange: &Exchange<'_>, response: Response) -> Result<(), RemoteError> {
    let status = response.status().as_u16();
    let retry_after = retry_after(&response);
    let region =
        response.headers().get("x-amz-bucket-region").and_then(|value| word(value.as_bytes()));
    let text = exchange.explanation(response).await;
    let code = code(&text);
    if status == 404 && code.as_deref() == Some("NoSuchKey") {
        return Ok(());
    }
    let mut what = match &code {
        Some(code) => exchange.says(&format!("{status} {code}")),
        None => exchange.says(&status.to_string()),
    };
    if let Some(region) = region {
        what = format!("{what}; the bucket is in the region {region}");
    }
    Err(match (code.as_deref(), status) {
        (Some(code), _) if DENIED.contains(&code) => RemoteError::Denied(what),
        (Some(code), _) if BUSY.contains(&code) => RemoteError::Transient { what, retry_after },
        (Some(code), _) if FULL.contains(&code) => RemoteError::Full(what),
        (Some(code), _) if DAMAGED.contains(&code) => RemoteError::Wrong(what),
        (_, 401 | 403) => RemoteError::Denied(what),
        (_, 408 | 409 | 429 | 500 | 502 | 503 | 504) => {
            RemoteError::Transient { what, retry_after }
        }
        (_, 413 | 507) => RemoteError::Full(what),
        _ => RemoteError::Refused(what),
    })
}

/// From the list of error codes in the API reference of Amazon S3, and what others add.
const DENIED: &[&str] = &[
    "AccessDenied",
    "AllAccessDisabled",
    "AuthorizationHeaderMalformed",
    "AuthorizationQueryParametersError",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
];

const BUSY: &[&str] = &[
    "ConditionalRequestConflict",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
];

const FULL: &[&str] =
    &["EntityTooLarge", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull"];

/// What was sent is not what was announced: it was damaged on the way.
const DAMAGED: &[&str] = &["BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch"];

/// The error code in the XML of an answer.
fn code(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    word(rest.split_once("</Code>")?.0.as_bytes())
}

/// A word as error codes and regions are.
fn word(text: &[u8]) -> Option<String> {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
    if text.is_empty() || text.len() > 64 || !text.iter().all(plain) {
        return None;
    }
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn the_code_and_nothing_else_is_taken_from_an_answer() {
        let xml =
            b"<?xml version=\"1.0\"?>\n<Error><Code>SlowDown</Code><Message>x</Message></Error>";
        assert_eq!(code(xml).as_deref(), Some("SlowDown"));
        let long = format!("<Code>{}</Code>", "a".repeat(65));
        for text in [
            "",
            "<Code>",
            "<Code></Code>",
            "<Code>Slow",
            "<Code>a b</Code>",
            "<Code>\x1b[31m</Code>",
            "<Code>X-Amz-Signature=1</Code>",
            &long,
        ] {
            assert_eq!(code(text.as_bytes()), None, "{text}");
        }
        assert_eq!(code(b"\xff<Code>SlowDown</Code>"), None);
    }
}
