//! The action catalogue: what backends may ask a person to confirm, and the words in which the person is asked.
//!
//! Parsed once from a TOML file when the daemon starts (deploy/actions.toml shows the form) and joined by the daemon's own
//! actions, `paraphe.*` (builtin.toml). The use cases that raise challenges call it. Invariant: every template of every
//! locale has been rendered with values at the limits of its parameters, so a [`Display`] can only fail to come about for a
//! reason that is the backend's. Protocol, section 6, steps 1 and 2.

mod checked;
mod error;
mod file;
mod format;
mod limits;
mod load;
mod parameters;
mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use thiserror::Error;

use super::level::Acr;
pub use checked::{CheckedParameters, ParameterError};
pub use error::CatalogueError;
pub use parameters::ParameterValue;
pub use template::TemplateError;

use format::Locale;
use parameters::Parameter;
use template::Templates;

/// Ids of the daemon's own actions begin so; a file may not define them, and backends may not ask for them.
pub const OWN_PREFIX: &str = "paraphe.";

/// The lifetimes that policy allows, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifetimeBounds {
    /// Shortest; 30 unless the deployment is a demonstration.
    pub min_s: u32,
    /// Longest; at most 600.
    pub max_s: u32,
}

/// The lifetimes of one action's challenges, in seconds: `min_s` ≤ `default_s` ≤ `max_s`, within [`LifetimeBounds`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// When the backend asks for none.
    pub default_s: i64,
    /// Shortest that it may ask for.
    pub min_s: i64,
    /// Longest that it may ask for.
    pub max_s: i64,
}

/// All actions, those of the file and the daemon's own.
pub struct Catalogue {
    actions: BTreeMap<String, Action>,
}

/// One action.
pub struct Action {
    id: String,
    is_transaction: bool,
    acr: Acr,
    needs_match_code: bool,
    lifetime: Lifetime,
    session_acr_sufficient: Option<Acr>,
    parameters: Vec<Parameter>,
    documents: BTreeMap<Locale, Document>,
}

/// The templates of one action in one locale: the messages `title`, and `label-n` and `value-n` for each row.
struct Document {
    templates: Templates,
    rows: usize,
}

/// What a person is shown, word for word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Display {
    /// BCP 47 tag.
    pub locale: String,
    /// One line that says what is asked.
    pub title: String,
    /// Label and value, in the order of the catalogue.
    pub rows: Vec<(String, String)>,
}

/// Why a document cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RenderError {
    /// The action is not in the catalogue in this locale.
    #[error("the action `{action}` has no template in the locale {locale:?}; it has {known}")]
    LocaleUnknown {
        /// Its id.
        action: String,
        /// What was asked for.
        locale: String,
        /// The locales it has.
        known: String,
    },
    /// Values that are right alone and wrong together, e.g. letters that Unicode composes across a boundary.
    #[error("the document of the action `{action}` cannot be shown with these parameters: {source}")]
    NotRenderable {
        /// Its id.
        action: String,
        /// What is wrong.
        source: TemplateError,
    },
    /// The parameters were checked for another action.
    #[error("the parameters were checked for `{checked}`, not for `{action}`")]
    OtherAction {
        /// Its id.
        action: String,
        /// The other one's.
        checked: String,
    },
}

impl RenderError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            RenderError::LocaleUnknown { .. } => "action.locale_unknown",
            RenderError::NotRenderable { .. } => "action.not_renderable",
            RenderError::OtherAction { .. } => "action.other_parameters",
        }
    }
}

impl Catalogue {
    /// Reads the text of a catalogue file; the empty text is a catalogue of the daemon's own actions only. Lifetimes that
    /// an action leaves open are 120 s for a login and 300 s for a transaction, moved into `bounds`.
    ///
    /// # Errors
    /// The first thing that is wrong, by line or by action, locale and row.
    pub fn parse(toml_text: &str, bounds: LifetimeBounds) -> Result<Catalogue, CatalogueError> {
        Ok(Catalogue {
            actions: load::actions(toml_text, bounds)?,
        })
    }

    /// The action of this id, the daemon's own included: whether the caller may ask for it is another question.
    pub fn action(&self, id: &str) -> Option<&Action> {
        self.actions.get(id)
    }

    /// All actions by id.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.actions.values()
    }
}

impl Action {
    /// Its id, e.g. `course.buy`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is a transaction, of which one at a time is pending, or a login.
    pub fn is_transaction(&self) -> bool {
        self.is_transaction
    }

    /// The level that the person's phone must have.
    pub fn acr(&self) -> Acr {
        self.acr
    }

    /// Whether the person must enter the code of the backend's page; a backend may ask for more, not for less.
    pub fn needs_match_code(&self) -> bool {
        self.needs_match_code
    }

    /// How long its challenges live.
    pub fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// The level of a session at which no step-up is needed; `None` when it always is.
    pub fn session_acr_sufficient(&self) -> Option<Acr> {
        self.session_acr_sufficient
    }

    /// The tags of its locales.
    pub fn locales(&self) -> impl Iterator<Item = &'static str> {
        self.documents.keys().map(|it| it.as_str())
    }

    /// Checks a backend's parameters.
    ///
    /// # Errors
    /// The first parameter that is unknown, missing, of another kind or not allowed, and what would be.
    pub fn check(
        &self,
        given: &BTreeMap<String, ParameterValue>,
    ) -> Result<CheckedParameters, ParameterError> {
        CheckedParameters::check(&self.id, &self.parameters, given)
    }

    /// The document that the person is shown and that is signed.
    ///
    /// # Errors
    /// A locale that the action does not have; parameters of another action, or that cannot be shown together.
    pub fn render(&self, locale: &str, parameters: &CheckedParameters) -> Result<Display, RenderError> {
        let action = || self.id.clone();
        if parameters.action() != self.id {
            let checked = parameters.action().to_owned();
            return Err(RenderError::OtherAction {
                action: action(),
                checked,
            });
        }
        let found = locale
            .parse()
            .ok()
            .and_then(|it| self.documents.get(&it).map(|document| (it, document)));
        let Some((tag, document)) = found else {
            let known = self.locales().collect::<Vec<_>>().join(", ");
            return Err(RenderError::LocaleUnknown {
                action: action(),
                locale: locale.to_owned(),
                known,
            });
        };
        document
            .render(tag, &parameters.written(tag, &self.parameters))
            .map_err(|(_, source)| RenderError::NotRenderable {
                action: action(),
                source,
            })
    }
}

impl Document {
    /// Renders all messages; an error comes with the key of the message that has it.
    fn render(
        &self,
        locale: Locale,
        values: &BTreeMap<String, String>,
    ) -> Result<Display, (String, TemplateError)> {
        let line = |key: String| self.templates.render(&key, values).map_err(|error| (key, error));
        let row = |n| Ok((line(label_key(n))?, line(value_key(n))?));
        Ok(Display {
            locale: locale.as_str().to_owned(),
            title: line(TITLE_KEY.to_owned())?,
            rows: (0..self.rows).map(row).collect::<Result<_, _>>()?,
        })
    }
}

const TITLE_KEY: &str = "title";

fn label_key(row: usize) -> String {
    format!("label-{}", row + 1)
}

fn value_key(row: usize) -> String {
    format!("value-{}", row + 1)
}
