//! From the shape of a catalogue file to actions that are known to work.
//!
//! Called by [`super::Catalogue::parse`] only. Every rule of the catalogue that is not about one request is here, and every
//! template is rendered before the daemon serves it.

use std::collections::BTreeMap;

use super::checked::ParameterError;
use super::error::CatalogueError;
use super::file::{self, RawAction, RawKind, RawLifetime, RawLocale, RawMatch};
use super::format::Locale;
use super::limits;
use super::parameters::{Kind, Parameter};
use super::template::{Template, TemplateError, Templates};
use super::{Action, Document, Lifetime, LifetimeBounds, OWN_PREFIX, TITLE_KEY, label_key, value_key};

/// The daemon's own actions.
const OWN_ACTIONS: &str = include_str!("builtin.toml");

/// Of one document; a person reads them all on a phone.
const MOST_ROWS: usize = 12;
/// Of one rendered document, so that the challenge that carries it stays below the 8 KiB of a statement.
pub(super) const MOST_DOCUMENT_BYTES: usize = 4_096;

/// The actions of a file and the daemon's own, by id.
pub(super) fn actions(
    toml_text: &str,
    bounds: LifetimeBounds,
) -> Result<BTreeMap<String, Action>, CatalogueError> {
    let mut actions = BTreeMap::new();
    for raw in file::read(OWN_ACTIONS)? {
        actions.insert(raw.id.clone(), action(raw, bounds)?);
    }
    for raw in file::read(toml_text)? {
        let refused = |why| {
            Err(CatalogueError::Id {
                action: raw.id.clone(),
                why,
            })
        };
        if raw.id.starts_with(OWN_PREFIX) {
            return refused("ids that begin with `paraphe.` are the daemon's own; choose another");
        }
        if actions.contains_key(&raw.id) {
            return refused("it is defined twice; remove one");
        }
        actions.insert(raw.id.clone(), action(raw, bounds)?);
    }
    Ok(actions)
}

fn action(raw: RawAction, bounds: LifetimeBounds) -> Result<Action, CatalogueError> {
    let id = raw.id;
    if !is_id(&id) {
        let why = "an id is 1 to 64 characters of a-z 0-9 . _ - and begins with a letter";
        return Err(CatalogueError::Id { action: id, why });
    }
    let lifetime = lifetime(&id, raw.kind, &raw.lifetime_s, bounds)?;
    let locales = locales(&id, &raw.locales)?;
    let parameters = limits::parameters(&id, &raw.parameters, &locales)?;
    let mut documents = BTreeMap::new();
    for (locale, raw) in locales.iter().zip(raw.locales.values()) {
        documents.insert(
            *locale,
            Loading {
                action: &id,
                locale: *locale,
                parameters: &parameters,
            }
            .document(raw)?,
        );
    }
    let action = Action {
        id,
        is_transaction: raw.kind == RawKind::Transaction,
        acr: raw.acr,
        needs_match_code: raw.match_mode == RawMatch::EnterCode,
        lifetime,
        session_acr_sufficient: raw.session_acr_sufficient,
        parameters,
        documents,
    };
    rehearse(&action)?;
    Ok(action)
}

/// Ids of actions and values of enumerations.
pub(super) fn is_id(id: &str) -> bool {
    let safe = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, b'.' | b'_' | b'-');
    id.len() <= 64 && id.bytes().next().is_some_and(|it| it.is_ascii_lowercase()) && id.bytes().all(safe)
}

fn lifetime(
    id: &str,
    kind: RawKind,
    raw: &RawLifetime,
    bounds: LifetimeBounds,
) -> Result<Lifetime, CatalogueError> {
    let (min_s, max_s) = (raw.min.unwrap_or(bounds.min_s), raw.max.unwrap_or(bounds.max_s));
    let usual_s: u32 = if kind == RawKind::Login { 120 } else { 300 };
    let default_s = raw.default.unwrap_or(usual_s.min(max_s).max(min_s));
    if bounds.min_s <= min_s && min_s <= default_s && default_s <= max_s && max_s <= bounds.max_s {
        return Ok(Lifetime {
            default_s: default_s.into(),
            min_s: min_s.into(),
            max_s: max_s.into(),
        });
    }
    Err(CatalogueError::Lifetime {
        action: id.to_owned(),
        min_s,
        default_s,
        max_s,
        bounds,
    })
}

fn locales(id: &str, raw: &BTreeMap<String, RawLocale>) -> Result<Vec<Locale>, CatalogueError> {
    let refused = |locale: &str, why| CatalogueError::Locale {
        action: id.to_owned(),
        locale: locale.to_owned(),
        why,
    };
    let known: Vec<_> = Locale::ALL.iter().map(|it| it.as_str()).collect();
    if raw.is_empty() {
        return Err(refused(
            "",
            "an action needs a template in at least one locale".to_owned(),
        ));
    }
    raw.keys()
        .map(|tag| {
            let unknown = |_| refused(tag, format!("documents can be shown in {}", known.join(", ")));
            tag.parse().map_err(unknown)
        })
        .collect()
}

/// One locale of one action on its way in.
struct Loading<'a> {
    action: &'a str,
    locale: Locale,
    parameters: &'a [Parameter],
}

impl Loading<'_> {
    fn document(&self, raw: &RawLocale) -> Result<Document, CatalogueError> {
        if !(1..=MOST_ROWS).contains(&raw.rows.len()) {
            let why = format!(
                "a document has 1 to {MOST_ROWS} rows, this one {}",
                raw.rows.len()
            );
            let (action, locale) = self.named();
            return Err(CatalogueError::Locale { action, locale, why });
        }
        let mut lines = vec![self.line(TITLE_KEY.to_owned(), &raw.title, true)?];
        for (n, row) in raw.rows.iter().enumerate() {
            lines.push(self.line(label_key(n), &row.label, false)?);
            lines.push(self.line(value_key(n), &row.value, true)?);
        }
        self.require_seen(&lines)?;
        self.require_fitting(&lines)?;
        let mut templates = Templates::new(self.locale);
        for (key, template) in lines {
            templates
                .add(template)
                .map_err(|source| self.refused(key, source))?;
        }
        Ok(Document {
            templates,
            rows: raw.rows.len(),
        })
    }

    fn line(&self, key: String, text: &str, may_vary: bool) -> Result<(String, Template), CatalogueError> {
        let template = Template::parse(&key, text).map_err(|source| self.refused(key.clone(), source))?;
        if let Some(parameter) = template.parameters.first().filter(|_| !may_vary) {
            let source = TemplateError::ParameterInLabel {
                parameter: parameter.clone(),
            };
            return Err(self.refused(key, source));
        }
        if let Some(parameter) = template
            .parameters
            .iter()
            .find(|name| self.kind_of(name).is_none())
        {
            let names: Vec<_> = self.parameters.iter().map(|it| it.name.as_str()).collect();
            let known = if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            };
            let source = TemplateError::UnknownParameter {
                parameter: parameter.clone(),
                known,
            };
            return Err(self.refused(key, source));
        }
        Ok((key, template))
    }

    fn require_seen(&self, lines: &[(String, Template)]) -> Result<(), CatalogueError> {
        let is_seen = |name: &String| {
            lines
                .iter()
                .any(|(_, template)| template.parameters.contains(name))
        };
        match self.parameters.iter().find(|it| !is_seen(&it.name)) {
            None => Ok(()),
            Some(unseen) => {
                let (action, locale) = self.named();
                Err(CatalogueError::Unseen {
                    action,
                    locale,
                    parameter: unseen.name.clone(),
                })
            }
        }
    }

    fn require_fitting(&self, lines: &[(String, Template)]) -> Result<(), CatalogueError> {
        let longest = |name: &String| {
            self.kind_of(name)
                .map_or(0, |kind| kind.longest_bytes(self.locale))
        };
        let bytes = lines
            .iter()
            .map(|(_, template)| template.text_bytes + template.parameters.iter().map(longest).sum::<usize>())
            .sum();
        if bytes <= MOST_DOCUMENT_BYTES {
            return Ok(());
        }
        let (action, locale) = self.named();
        Err(CatalogueError::TooLong {
            action,
            locale,
            bytes,
        })
    }

    fn kind_of(&self, name: &str) -> Option<&Kind> {
        self.parameters
            .iter()
            .find(|it| it.name == name)
            .map(|it| &it.kind)
    }

    fn named(&self) -> (String, String) {
        (self.action.to_owned(), self.locale.as_str().to_owned())
    }

    fn refused(&self, place: String, source: TemplateError) -> CatalogueError {
        let (action, locale) = self.named();
        CatalogueError::Template {
            action,
            locale,
            place,
            source,
        }
    }
}

/// Checks and renders samples of every kind, currency and enumeration value in every locale.
fn rehearse(action: &Action) -> Result<(), CatalogueError> {
    let samples: Vec<_> = action
        .parameters
        .iter()
        .map(|it| (&it.name, it.kind.samples()))
        .collect();
    let rounds = samples.iter().map(|(_, values)| values.len()).max().unwrap_or(1);
    for round in 0..rounds {
        let given = samples
            .iter()
            .filter_map(|(name, values)| Some(((*name).clone(), values.iter().cycle().nth(round)?.clone())))
            .collect();
        let checked = action
            .check(&given)
            .map_err(|error: ParameterError| CatalogueError::Parameter {
                action: action.id.clone(),
                parameter: error.parameter().unwrap_or_default().to_owned(),
                why: error.to_string(),
            })?;
        for (locale, document) in &action.documents {
            let loading = Loading {
                action: &action.id,
                locale: *locale,
                parameters: &action.parameters,
            };
            document
                .render(*locale, &checked.written(*locale, &action.parameters))
                .map_err(|(place, source)| loading.refused(place, source))?;
        }
    }
    Ok(())
}
