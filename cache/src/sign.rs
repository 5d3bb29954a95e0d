//! Signatures: a reader with trusted keys takes only what one of them has signed.

use crate::remote::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, VerifyingKey};
use std::fmt;

/// What a file with a private key begins with.
const PRIVATE: &str = "airtight-private-key ";

/// What a public key begins with.
const PUBLIC: &str = "airtight-key ";

/// A private key (ed25519, RFC 8032).
pub struct SigningKey(ed25519_dalek::SigningKey);

/// A public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// The keys whose entries are taken; with none of them, every entry is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedKeys(Vec<PublicKey>);

/// A signature and the public key that it is to be checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) key: [u8; 32],
    pub(crate) bytes: [u8; 64],
}

/// Text that is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {what}: {why}")]
pub struct KeyError {
    what: &'static str,
    why: &'static str,
}

impl SigningKey {
    /// A key from 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> SigningKey {
        SigningKey(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Reads what [`SigningKey::text`] wrote.
    ///
    /// # Errors
    /// When it is something else. The error holds nothing of the text.
    pub fn parse(text: &str) -> Result<SigningKey, KeyError> {
        let bad = |why| KeyError { what: "a private key of Airtight", why };
        Ok(SigningKey::from_seed(&bytes(text, PRIVATE).map_err(bad)?))
    }

    /// The key as one line of text.
    pub fn text(&self) -> Secret {
        Secret::new(format!("{PRIVATE}{}\n", STANDARD.encode(self.0.to_bytes())))
    }

    /// The public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        let bytes = self.0.sign(message).to_bytes();
        Signature { key: self.0.verifying_key().to_bytes(), bytes }
    }
}

/// Shows nothing of the key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(secret)")
    }
}

impl PublicKey {
    /// Reads what its `Display` wrote.
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse(text: &str) -> Result<PublicKey, KeyError> {
        let bad = |why| KeyError { what: "a public key of Airtight", why };
        if text.trim_start().starts_with(PRIVATE) {
            return Err(bad("it is a private key, which is nobody else's business"));
        }
        let bytes = bytes(text, PUBLIC).map_err(bad)?;
        VerifyingKey::from_bytes(&bytes).map(PublicKey).map_err(|_| bad("no point of the curve"))
    }
}

/// `airtight-key` and the key in base64.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", STANDARD.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn bytes(text: &str, start: &str) -> Result<[u8; 32], &'static str> {
    let text = text.trim();
    let text = text.strip_prefix(start.trim_end()).map(str::trim_start);
    let text = text.ok_or("it begins with something else")?;
    let bytes = STANDARD.decode(text).map_err(|_| "no base64")?;
    bytes.try_into().map_err(|_| "not 32 bytes long")
}

impl TrustedKeys {
    /// Entries signed by one of `keys` are taken, and no others; every entry if there are none.
    pub fn new(keys: Vec<PublicKey>) -> TrustedKeys {
        TrustedKeys(keys)
    }

    /// Whether any entry is taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who signed `message`. A signature is checked even when none is asked for.
    pub(crate) fn check(
        &self,
        signature: Option<&Signature>,
        message: &[u8],
    ) -> Result<Option<String>, String> {
        let Some(signature) = signature else {
            return match self.0.is_empty() {
                true => Ok(None),
                false => Err("it is not signed".to_owned()),
            };
        };
        let key = VerifyingKey::from_bytes(&signature.key)
            .map_err(|_| "it is signed with what is no key".to_owned())?;
        let shown = PublicKey(key).to_string();
        if !self.0.is_empty() && !self.0.contains(&PublicKey(key)) {
            return Err(format!("it is signed by a key that is not trusted, {shown}"));
        }
        let bytes = ed25519_dalek::Signature::from_bytes(&signature.bytes);
        key.verify_strict(message, &bytes).map_err(|_| "its signature is wrong".to_owned())?;
        Ok(Some(shown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_through_text_and_show_nothing() {
        let key = SigningKey::from_seed(&[7; 32]);
        let again = SigningKey::parse(key.text().reveal()).map(|key| key.public());
        assert_eq!(again, Ok(key.public()));
        assert_eq!(PublicKey::parse(&key.public().to_string()), Ok(key.public()));
        assert_eq!(format!("{key:?} {:?}", key.text()), "SigningKey(secret) (secret)");
        assert!(PublicKey::parse(key.text().reveal()).is_err());
        for wrong in ["", "airtight-key", "airtight-key AAAA", "ssh-ed25519 AAAA"] {
            assert!(PublicKey::parse(wrong).is_err(), "{wrong}");
            assert!(SigningKey::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_trusted_signatures_on_the_same_bytes_count() {
        let (one, other) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let (trusted, any) = (TrustedKeys::new(vec![one.public()]), TrustedKeys::default());
        let good = one.sign(b"entry");
        assert_eq!(trusted.check(Some(&good), b"entry"), Ok(Some(one.public().to_string())));
        assert!(trusted.check(Some(&good), b"other").is_err());
        assert!(trusted.check(Some(&other.sign(b"entry")), b"entry").is_err());
        assert!(trusted.check(None, b"entry").is_err());
        assert_eq!(any.check(None, b"entry"), Ok(None));
        assert!(any.check(Some(&good), b"other").is_err());
        let mut forged = good;
        forged.bytes[3] ^= 1;
        assert!(any.check(Some(&forged), b"entry").is_err());
    }
}
