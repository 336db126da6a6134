//! Why a catalogue file is refused when the daemon starts.
//!
//! Made by [`super::file`] and [`super::load`], shown by `paraphed check-config` and at start. Each names the line, or the
//! action and what in it is wrong, and says what is allowed.

use thiserror::Error;

use super::LifetimeBounds;
use super::load::MOST_DOCUMENT_BYTES;
use super::template::TemplateError;

/// Why a catalogue is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CatalogueError {
    /// Not TOML, or not of the shape of a catalogue.
    #[error("line {line}, {path}: {message}")]
    File {
        /// Path of the key, e.g. `action[0].acr`.
        path: String,
        /// From 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// An id that an action may not have.
    #[error("action `{action}`: {why}")]
    Id {
        /// The id.
        action: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Lifetimes out of order or outside the policy.
    #[error(
        "action `{action}`: lifetime_s must be {} ≤ min ≤ default ≤ max ≤ {}; it is min {min_s}, default {default_s}, max {max_s}",
        bounds.min_s, bounds.max_s
    )]
    Lifetime {
        /// Its id.
        action: String,
        /// As given or filled in.
        min_s: u32,
        /// As given or filled in.
        default_s: u32,
        /// As given or filled in.
        max_s: u32,
        /// The policy.
        bounds: LifetimeBounds,
    },
    /// A parameter whose limits make no sense.
    #[error("action `{action}`, parameter `{parameter}`: {why}")]
    Parameter {
        /// Its id.
        action: String,
        /// The parameter's name.
        parameter: String,
        /// What is wrong and what is allowed.
        why: String,
    },
    /// A locale that is missing, unknown or incomplete.
    #[error("action `{action}`, locale {locale:?}: {why}")]
    Locale {
        /// Its id.
        action: String,
        /// Its tag.
        locale: String,
        /// What is wrong.
        why: String,
    },
    /// A template that cannot be read or rendered.
    #[error("action `{action}`, locale {locale:?}, {place}: {source}")]
    Template {
        /// Its id.
        action: String,
        /// Its tag.
        locale: String,
        /// `title`, or `label-n` or `value-n` of row n from 1.
        place: String,
        /// What is wrong.
        source: TemplateError,
    },
    /// A parameter that the person would confirm without seeing it.
    #[error(
        "action `{action}`, locale {locale:?}: the parameter `{parameter}` is in no row and not in the title; show it"
    )]
    Unseen {
        /// Its id.
        action: String,
        /// Its tag.
        locale: String,
        /// The parameter's name.
        parameter: String,
    },
    /// A document that may not fit into a statement.
    #[error(
        "action `{action}`, locale {locale:?}: with the longest parameters the document takes {bytes} bytes; at most {MOST_DOCUMENT_BYTES} are allowed, so lower max_chars"
    )]
    TooLong {
        /// Its id.
        action: String,
        /// Its tag.
        locale: String,
        /// The most it takes.
        bytes: usize,
    },
}

impl CatalogueError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            CatalogueError::File { .. } => "catalogue.file",
            CatalogueError::Id { .. } => "catalogue.id",
            CatalogueError::Lifetime { .. } => "catalogue.lifetime",
            CatalogueError::Parameter { .. } => "catalogue.parameter",
            CatalogueError::Locale { .. } => "catalogue.locale",
            CatalogueError::Template { .. } => "catalogue.template",
            CatalogueError::Unseen { .. } => "catalogue.unseen_parameter",
            CatalogueError::TooLong { .. } => "catalogue.too_long",
        }
    }
}
