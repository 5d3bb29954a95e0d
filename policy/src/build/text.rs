//! Bytes in JSON: as text where they are UTF-8, else as `{"b64": …}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Name {
    Text(String),
    Bytes { b64: String },
}

impl From<&[u8]> for Name {
    fn from(bytes: &[u8]) -> Name {
        match std::str::from_utf8(bytes) {
            Ok(text) => Name::Text(text.to_owned()),
            Err(_) => Name::Bytes { b64: STANDARD.encode(bytes) },
        }
    }
}

impl TryFrom<Name> for Vec<u8> {
    type Error = base64::DecodeError;

    fn try_from(name: Name) -> Result<Vec<u8>, base64::DecodeError> {
        match name {
            Name::Text(text) => Ok(text.into_bytes()),
            Name::Bytes { b64 } => STANDARD.decode(b64),
        }
    }
}

pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
    Name::from(bytes).serialize(s)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
    Vec::try_from(Name::deserialize(d)?).map_err(D::Error::custom)
}
