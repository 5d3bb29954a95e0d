//! TLS for every remote: rustls on ring, with what the options say.

use super::{Secret, Tls};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use std::sync::Arc;

/// The configuration of a TLS client that offers `protocols` (ALPN names), best first.
///
/// The provider of cryptography is in it, so that no process-wide default is needed. Without own
/// authorities the system's certificates are read, from where OpenSSL has them; that is the one
/// place where `SSL_CERT_FILE` and `SSL_CERT_DIR` are heeded.
///
/// # Errors
/// A sentence that says which part of `tls` is wrong.
pub(super) fn client(tls: &Tls, protocols: &[&[u8]]) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS can't be used: {error}"))?;
    let builder = match &tls.authorities {
        Some(pem) => builder.with_root_certificates(authorities(pem)?),
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(system(provider.clone())?)),
    };
    let mut config = match &tls.identity {
        Some((chain, key)) => builder
            .with_client_auth_cert(certificates(chain, "our certificate")?, private(key)?)
            .map_err(|error| format!("our certificate and private key can't be used: {error}"))?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

/// The configuration of a client that never speaks TLS, for libraries that want one nevertheless.
/// It reads no file and trusts nobody.
///
/// # Errors
/// Never with the versions that ring knows.
pub(super) fn unused() -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS can't be used: {error}"))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn system(provider: Arc<CryptoProvider>) -> Result<Verifier, String> {
    Verifier::new(provider).map_err(|error| {
        format!(
            "the system's certificates can't be read ({error}); install ca-certificates or name \
             the authorities to trust"
        )
    })
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for (number, certificate) in (1..).zip(certificates(pem, "the authorities")?) {
        store.add(certificate).map_err(|error| {
            format!("the authorities: certificate {number} can't be used: {error}")
        })?;
    }
    Ok(store)
}

/// The certificates in a PEM text. The library's own errors quote the text, so they aren't shown.
fn certificates(pem: &[u8], whose: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|_| format!("{whose}: the PEM text is damaged"))?;
    if found.is_empty() {
        return Err(format!("{whose}: no PEM certificate is in it"));
    }
    Ok(found)
}

fn private(key: &Secret) -> Result<PrivateKeyDer<'static>, String> {
    let pem = key.reveal();
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
        if pem.contains("ENCRYPTED") {
            "our private key is encrypted; give one without a passphrase".to_owned()
        } else {
            "our private key: no PEM private key (PKCS#8, PKCS#1 or SEC1) is in it".to_owned()
        }
    })
}
