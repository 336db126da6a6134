//! What can be wrong with a configuration file, each with a stable code and a sentence that says what to do.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a configuration was refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read ({source}); name the file with --config and let the daemon's user read it", file.display())]
    Unreadable {
        /// The configuration file.
        file: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The text is not TOML.
    #[error("{at}: this is not TOML: {message}")]
    Syntax {
        /// Where.
        at: Place,
        /// What the parser expected.
        message: String,
    },
    /// A key that no section has.
    #[error("{at}: {key}: {message}; correct the spelling or remove the key")]
    UnknownKey {
        /// Where.
        at: Place,
        /// The full key, e.g. `limits.max_conections`.
        key: String,
        /// The keys that are allowed.
        message: String,
    },
    /// A key without which the daemon cannot run.
    #[error("{at}: {key}: {message}; deploy/paraphed.toml shows it")]
    MissingKey {
        /// Where.
        at: Place,
        /// The section that lacks it, `.` for the top of the file.
        key: String,
        /// Which one.
        message: String,
    },
    /// A value of the wrong type or outside its range.
    #[error("{at}: {key}: {message}")]
    Value {
        /// Where.
        at: Place,
        /// The full key.
        key: String,
        /// What is wrong and what is allowed.
        message: String,
    },
    /// Values that are each allowed but not together.
    #[error("{at}: {key}: {message}")]
    Conflict {
        /// The file.
        at: Place,
        /// The key to change.
        key: String,
        /// What it disagrees with and what is allowed.
        message: String,
    },
}

/// A line of the configuration file, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Place {
    file: Option<PathBuf>,
    line: Option<usize>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}", file.display())?,
            None => write!(f, "configuration")?,
        }
        match self.line {
            Some(line) => write!(f, ":{line}"),
            None => Ok(()),
        }
    }
}

impl Place {
    fn of(text: &str, error: &toml::de::Error) -> Self {
        let line = error
            .span()
            .and_then(|span| text.get(..span.start))
            .map(|before| before.matches('\n').count() + 1);
        Self { file: None, line }
    }
}

/// The line, from 1, at which a key stands, or else the innermost section on the way to it.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let root = toml::de::DeTable::parse(text).ok()?;
    let (mut table, mut start) = (Some(root.get_ref()), None);
    for part in key.split('.') {
        let mut entries = table.into_iter().flat_map(|table| table.iter());
        let Some((name, value)) = entries.find(|(name, _)| name.get_ref() == part) else {
            break;
        };
        start = Some(name.span().start);
        table = value.get_ref().as_table();
    }
    text.get(..start?).map(|before| before.matches('\n').count() + 1)
}

impl ConfigError {
    /// The stable name of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "config.unreadable",
            Self::Syntax { .. } => "config.syntax",
            Self::UnknownKey { .. } => "config.unknown_key",
            Self::MissingKey { .. } => "config.missing_key",
            Self::Value { .. } => "config.value",
            Self::Conflict { .. } => "config.conflict",
        }
    }

    pub(super) fn conflict(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Conflict {
            at: Place::default(),
            key: key.into(),
            message: message.into(),
        }
    }

    pub(super) fn syntax(text: &str, error: &toml::de::Error) -> Self {
        Self::Syntax {
            at: Place::of(text, error),
            message: error.message().to_owned(),
        }
    }

    pub(super) fn from_serde(text: &str, error: &serde_path_to_error::Error<toml::de::Error>) -> Self {
        let at = Place::of(text, error.inner());
        let key = error.path().to_string();
        let message = error.inner().message().to_owned();
        if message.starts_with("unknown field") {
            Self::UnknownKey { at, key, message }
        } else if message.starts_with("missing field") {
            Self::MissingKey { at, key, message }
        } else {
            Self::Value { at, key, message }
        }
    }

    /// Finds the line of the key that a conflict names, or of the section that would hold it.
    pub(super) fn located(mut self, text: &str) -> Self {
        if let Self::Conflict { at, key, .. } = &mut self {
            at.line = line_of(text, key);
        }
        self
    }

    pub(super) fn in_file(mut self, path: &Path) -> Self {
        match &mut self {
            Self::Unreadable { .. } => {}
            Self::Syntax { at, .. }
            | Self::UnknownKey { at, .. }
            | Self::MissingKey { at, .. }
            | Self::Value { at, .. }
            | Self::Conflict { at, .. } => at.file = Some(path.to_owned()),
        }
        self
    }
}
