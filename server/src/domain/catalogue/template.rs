//! One line of a display document as a Fluent message.
//!
//! Called by [`super::Action`] at load and for every challenge. Invariant: a [`Templates`] holds messages of literal text
//! and `{ $parameter }` only. No selector hides a parameter from one reader, no function reshapes it, nothing refers to
//! another message; values go in as finished strings and are never read as templates. Protocol, section 6, step 2.

use std::collections::BTreeMap;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use fluent_syntax::ast::{Entry, Expression, InlineExpression, Message, PatternElement};
use thiserror::Error;

use super::format::Locale;
use crate::domain::text::{PlainText, TextError};

/// The longest template, in characters.
pub(super) const LONGEST_TEMPLATE_CHARS: usize = 300;

/// Why a template is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// Not plain text itself, or not once it was rendered.
    #[error("{0}")]
    Text(#[from] TextError),
    /// Not one Fluent message.
    #[error("this is not a Fluent pattern ({0}); write braces as {{ \"{{\" }} and {{ \"}}\" }}")]
    Syntax(String),
    /// Something other than text and parameters.
    #[error("{0} is not allowed; a template takes text and {{ $parameter }}")]
    Expression(&'static str),
    /// A parameter that the action does not have.
    #[error("the action has no parameter `{parameter}`; it has {known}")]
    UnknownParameter {
        /// Its name.
        parameter: String,
        /// Those it has.
        known: String,
    },
    /// Where only text may stand.
    #[error("it refers to the parameter `{parameter}`; a label is the same for every request")]
    ParameterInLabel {
        /// Its name.
        parameter: String,
    },
    /// Fluent would not render it.
    #[error("it cannot be rendered: {0}")]
    Render(String),
}

/// A template that was read and not yet rendered.
pub(super) struct Template {
    /// Parameters in the order in which they stand, as often as they do.
    pub(super) parameters: Vec<String>,
    /// Bytes of its text without them.
    pub(super) text_bytes: usize,
    resource: FluentResource,
}

/// The messages of one action in one locale.
pub(super) struct Templates {
    bundle: FluentBundle<FluentResource>,
}

impl Template {
    /// Reads `text` as the one message `key`.
    pub(super) fn parse(key: &str, text: &str) -> Result<Template, TemplateError> {
        // Plain text has no newline, so what follows `key = ` can neither end the message nor begin another.
        let plain = PlainText::parse(text, LONGEST_TEMPLATE_CHARS)?;
        let resource = FluentResource::try_new(format!("{key} = {plain}\n")).map_err(|(_, errors)| {
            TemplateError::Syntax(errors.first().map_or_else(String::new, |it| it.kind.to_string()))
        })?;
        let (parameters, text_bytes) = contents(only_message(&resource, key)?)?;
        Ok(Template {
            parameters,
            text_bytes,
            resource,
        })
    }
}

fn only_message<'a>(resource: &'a FluentResource, key: &str) -> Result<&'a Message<&'a str>, TemplateError> {
    match (resource.get_entry(0), resource.get_entry(1)) {
        (Some(Entry::Message(message)), None)
            if message.id.name == key && message.attributes.is_empty() && message.comment.is_none() =>
        {
            Ok(message)
        }
        _ => Err(TemplateError::Syntax("it is not one message".to_owned())),
    }
}

fn contents(message: &Message<&str>) -> Result<(Vec<String>, usize), TemplateError> {
    let pattern = message
        .value
        .as_ref()
        .ok_or_else(|| TemplateError::Syntax("it is empty".to_owned()))?;
    let mut parameters = Vec::new();
    let mut text_bytes = 0;
    for element in &pattern.elements {
        match element {
            PatternElement::TextElement { value } => text_bytes += value.len(),
            PatternElement::Placeable {
                expression: Expression::Inline(inline),
            } => match inline {
                InlineExpression::VariableReference { id } => parameters.push(id.name.to_owned()),
                InlineExpression::StringLiteral { value } => text_bytes += value.len(),
                other => return Err(TemplateError::Expression(name_of(other))),
            },
            PatternElement::Placeable {
                expression: Expression::Select { .. },
            } => {
                return Err(TemplateError::Expression("a selector"));
            }
        }
    }
    Ok((parameters, text_bytes))
}

fn name_of(expression: &InlineExpression<&str>) -> &'static str {
    match expression {
        InlineExpression::FunctionReference { .. } => "a function",
        InlineExpression::MessageReference { .. } => "a reference to a message",
        InlineExpression::TermReference { .. } => "a reference to a term",
        InlineExpression::NumberLiteral { .. } => "a number literal",
        InlineExpression::Placeable { .. } => "a placeable within a placeable",
        InlineExpression::StringLiteral { .. } | InlineExpression::VariableReference { .. } => "this",
    }
}

impl Templates {
    /// No messages yet.
    pub(super) fn new(locale: Locale) -> Templates {
        let tag = locale.as_str().parse().unwrap_or_default();
        let mut bundle = FluentBundle::new_concurrent(vec![tag]);
        bundle.set_use_isolating(false);
        Templates { bundle }
    }

    /// Adds a message whose key is not there yet.
    pub(super) fn add(&mut self, template: Template) -> Result<(), TemplateError> {
        self.bundle.add_resource(template.resource).map_err(|errors| {
            TemplateError::Render(errors.first().map_or_else(String::new, ToString::to_string))
        })
    }

    /// Renders the message `key`; each value is shown as it is, and the whole must be plain text again.
    pub(super) fn render(
        &self,
        key: &str,
        values: &BTreeMap<String, String>,
    ) -> Result<String, TemplateError> {
        let pattern = self
            .bundle
            .get_message(key)
            .and_then(|message| message.value())
            .ok_or_else(|| TemplateError::Render(format!("there is no message `{key}`")))?;
        let mut arguments = FluentArgs::with_capacity(values.len());
        for (name, value) in values {
            arguments.set(name.as_str(), value.as_str());
        }
        let mut errors = Vec::new();
        let text = self.bundle.format_pattern(pattern, Some(&arguments), &mut errors);
        match errors.first() {
            Some(error) => Err(TemplateError::Render(error.to_string())),
            None => Ok(PlainText::parse(&text, usize::MAX)?.into_string()),
        }
    }
}
