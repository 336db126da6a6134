//! One line of the journal: encoded, authenticated, read. Used by `file` and `read`.

use paraphe_proto::encoding::{base64url, from_base64url};
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::domain::ended::Event;

/// What a line says. `prev` is the tag of the line before.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Line {
    /// The first line: format and name.
    Journal { format: u32, name: String },
    /// A group's events, before its commit.
    Group {
        number: u64,
        prev: String,
        events: Vec<Event>,
    },
    /// The group of this number was committed.
    Committed { number: u64, prev: String },
}

impl Line {
    pub(super) fn prev(&self) -> Option<&str> {
        match self {
            Self::Journal { .. } => None,
            Self::Group { prev, .. } | Self::Committed { prev, .. } => Some(prev),
        }
    }

    /// The bytes of the line with its end, and its tag.
    pub(super) fn encode(&self, key: &hmac::Key) -> Result<(Vec<u8>, String), serde_json::Error> {
        let mut bytes = serde_json::to_vec(self)?;
        let tag = base64url(hmac::sign(key, &bytes).as_ref());
        bytes.push(b' ');
        bytes.extend_from_slice(tag.as_bytes());
        bytes.push(b'\n');
        Ok((bytes, tag))
    }

    /// A whole line, its end included, and its tag; `None` for anything that was not written under this key.
    pub(super) fn decode(bytes: &[u8], key: &hmac::Key) -> Option<(Self, String)> {
        let text = bytes.strip_suffix(b"\n")?;
        let space = text.iter().rposition(|byte| *byte == b' ')?;
        let (json, tag) = (text.get(..space)?, text.get(space + 1..)?);
        let tag = std::str::from_utf8(tag).ok()?;
        hmac::verify(key, json, &from_base64url(tag).ok()?).ok()?;
        Some((serde_json::from_slice(json).ok()?, tag.to_owned()))
    }
}
