//! Log lines on standard error, as text for people or JSON for machines.
//!
//! `main` calls [`init`] once, after the configuration was read. Invariant: a line never holds a secret, a PIN, a code or
//! personal data. Paraphe's own code logs ids and codes of errors only; libraries are held at `warn`, since at finer levels
//! some print headers. Every line written while a request is answered carries its `request_id` (see `edge::request_id`).

use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt};

use crate::config::{LogFilter, LogFormat, Logging};

/// Logging was set up already.
#[derive(Debug, Error)]
#[error("logging was set up already: {0}")]
pub struct TelemetryError(#[from] TryInitError);

/// Starts logging as configured.
///
/// # Errors
/// When the process has a subscriber already.
pub fn init(logging: &Logging) -> Result<(), TelemetryError> {
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match logging.format {
        LogFormat::Text => fmt::layer().with_writer(std::io::stderr).with_ansi(false).boxed(),
        LogFormat::Json => {
            let json = fmt::layer().json().flatten_event(true).with_current_span(true);
            json.with_span_list(false).with_writer(std::io::stderr).boxed()
        }
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(targets(&logging.filter)))
        .try_init()?;
    Ok(())
}

fn targets(filter: &LogFilter) -> Targets {
    let own = ["paraphe_server", "paraphe_proto", "paraphed"];
    Targets::new()
        .with_default(LevelFilter::WARN)
        .with_targets(own.map(|name| (name, filter.level())))
        .with_targets(filter.modules().iter().cloned())
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;
    use crate::config::Logging;

    fn targets_of(filter: &str) -> Targets {
        let logging: Logging = toml::from_str(&format!("filter = {filter:?}")).unwrap();
        targets(&logging.filter)
    }

    #[test]
    fn libraries_stay_quiet_whatever_the_filter_says() {
        let targets = targets_of("trace");
        assert!(targets.would_enable("paraphe_server::app", &Level::TRACE));
        assert!(!targets.would_enable("h2::codec", &Level::INFO));
        assert!(targets.would_enable("h2::codec", &Level::WARN));
    }

    #[test]
    fn a_module_can_have_a_level_of_its_own() {
        let targets = targets_of("warn,paraphe_server::edge=debug");
        assert!(targets.would_enable("paraphe_server::edge::admission", &Level::DEBUG));
        assert!(!targets.would_enable("paraphe_server::app", &Level::INFO));
    }
}
