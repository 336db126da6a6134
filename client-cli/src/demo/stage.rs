//! The stage of the demo: it numbers and names the steps, prints them as they go, and never waits for ever.
//!
//! Callers: every act. Invariant: whatever goes wrong, whoever stops the demo, the step it happened in is named; a step
//! that takes longer than its limit, or a daemon that ends by itself, ends the demo at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::process::Child;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::output::{DIM, GOOD, HEADING, Output, View, columns, table_within, wrapped};

/// Longest time that a step may take.
const STEP_LIMIT: Duration = Duration::from_secs(30);
const WATCH_INTERVAL: Duration = Duration::from_millis(50);
const INDENT: &str = "     ";
/// Longest name of a check.
const CHECK_NAME: usize = 23;

/// The stage. Cloning it gives another handle on the same one.
#[derive(Clone)]
pub struct Stage {
    output: Output,
    began: Instant,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    step: Step,
    /// Whether the step has begun and not been told as done.
    open: bool,
    deadline: Instant,
    /// The daemon while it is meant to run.
    daemon: Option<Child>,
}

/// One step, as `--json` prints it once it is done.
#[derive(Clone, Serialize)]
struct Step {
    step: usize,
    name: &'static str,
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    facts: serde_json::Map<String, serde_json::Value>,
}

impl View for Step {
    fn text(&self) -> String {
        // People saw its lines already, as they were reached.
        String::new()
    }
}

impl Stage {
    /// An empty stage.
    pub fn new(output: Output) -> Self {
        let step = Step {
            step: 0,
            name: "prepare",
            facts: serde_json::Map::new(),
        };
        let shared = Shared {
            step,
            open: false,
            deadline: Instant::now() + STEP_LIMIT,
            daemon: None,
        };
        Stage {
            output,
            began: Instant::now(),
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// Begins an act.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn act(&self, title: &str) -> Result<()> {
        self.finish_step()?;
        self.output.say(&format!(
            "\n{HEADING}{title}{HEADING:#}\n{DIM}{}{DIM:#}",
            "─".repeat(title.chars().count())
        ))
    }

    /// Begins a step; the one before is done.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn step(&self, name: &'static str) -> Result<()> {
        self.finish_step()?;
        let number = {
            let mut shared = self.lock();
            shared.step = Step {
                step: shared.step.step + 1,
                name,
                facts: serde_json::Map::new(),
            };
            shared.open = true;
            shared.deadline = Instant::now() + STEP_LIMIT;
            shared.step.step
        };
        self.output
            .say(&format!("\n{HEADING}{number:>3}  {name}{HEADING:#}"))
    }

    /// Ends the last step.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn finish_step(&self) -> Result<()> {
        let step = {
            let mut shared = self.lock();
            if !std::mem::take(&mut shared.open) || !self.output.is_json() {
                return Ok(());
            }
            shared.step.clone()
        };
        self.output.show(&step)
    }

    /// Something that this step found out.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn fact(&self, label: &str, value: impl Into<String>) -> Result<()> {
        let value = value.into();
        self.lock()
            .step
            .facts
            .insert(label.replace(' ', "_"), value.clone().into());
        self.output
            .say(&format!("{INDENT}{DIM}{label:<14}{DIM:#} {value}"))
    }

    /// Something that went as it should.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn good(&self, text: &str) -> Result<()> {
        self.output.say(&format!("{INDENT}{GOOD}✓{GOOD:#} {text}"))
    }

    /// A check that held: its name, and what holds, on as many lines as it takes.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn check(&self, name: &str, holds: &str) -> Result<()> {
        let indent = INDENT.len() + 2 + CHECK_NAME + 1;
        let lines = wrapped(holds, usize::from(columns()).saturating_sub(indent));
        let mut name = name;
        for line in lines {
            let mark = if name.is_empty() {
                " ".to_owned()
            } else {
                format!("{GOOD}✓{GOOD:#}")
            };
            self.output
                .say(&format!("{INDENT}{mark} {name:<CHECK_NAME$} {line}"))?;
            name = "";
        }
        Ok(())
    }

    /// A table, indented.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn table<const N: usize>(
        &self,
        header: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Result<()> {
        let width = columns().saturating_sub(u16::try_from(INDENT.len()).unwrap_or(0));
        self.picture(&table_within(width, header, rows))
    }

    /// A sentence.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn say(&self, text: &str) -> Result<()> {
        let width = usize::from(columns()).saturating_sub(INDENT.len());
        wrapped(text, width)
            .iter()
            .try_for_each(|line| self.output.say(&format!("{INDENT}{line}")))
    }

    /// A picture of several lines: a screen, a page, a QR code.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn picture(&self, text: &str) -> Result<()> {
        text.lines()
            .try_for_each(|line| self.output.say(&format!("{INDENT}{line}")))
    }

    /// The last result.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn show(&self, view: &impl View) -> Result<()> {
        self.finish_step()?;
        self.output.show(view)
    }

    /// Milliseconds since the demo began.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Gives the running daemon into the stage's care.
    pub fn watch_daemon(&self, daemon: Child) {
        self.lock().daemon = Some(daemon);
    }

    /// Takes the daemon back, to stop it.
    pub fn release_daemon(&self) -> Option<Child> {
        self.lock().daemon.take()
    }

    /// Runs the whole story; ends it early when a step takes too long, the daemon ends, or somebody interrupts.
    ///
    /// # Errors
    /// [`Error::Demo`] with the step it happened in.
    pub async fn run(&self, story: impl Future<Output = Result<()>>) -> Result<()> {
        let ended = tokio::select! {
            ended = story => ended,
            trouble = self.trouble() => Err(trouble),
            trouble = interrupted() => Err(trouble),
        };
        match ended {
            Ok(()) => Ok(()),
            Err(Error::OutputClosed) => Err(Error::OutputClosed),
            Err(error) => {
                // A daemon that was killed is seen as such a moment after its connections break.
                tokio::time::sleep(WATCH_INTERVAL).await;
                Err(self.name_step(&error))
            }
        }
    }

    /// Waits for a step that takes too long or a daemon that ends by itself.
    async fn trouble(&self) -> Error {
        loop {
            tokio::time::sleep(WATCH_INTERVAL).await;
            if let Some(ended) = self.daemon_ended() {
                return Error::other("demo.daemon_ended", ended);
            }
            if self.lock().deadline <= Instant::now() {
                return Error::other(
                    "demo.too_slow",
                    format!("no end after {} s.", STEP_LIMIT.as_secs()),
                );
            }
        }
    }

    fn daemon_ended(&self) -> Option<String> {
        let mut shared = self.lock();
        let status = shared.daemon.as_mut()?.try_wait().ok()??;
        Some(format!("paraphed ended by itself ({status})."))
    }

    fn name_step(&self, error: &Error) -> Error {
        let mut why = error.to_string();
        if let Some(ended) = self.daemon_ended().filter(|ended| *ended != why) {
            why = format!("{why} {ended}");
        }
        let shared = self.lock();
        Error::Demo {
            number: shared.step.step,
            name: shared.step.name,
            why,
        }
    }

    /// A poisoned lock is no reason to stop: the state behind it is replaced as a whole.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for SIGINT or SIGTERM, so that the daemon is not left behind.
async fn interrupted() -> Error {
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    let Ok(mut terminate) = terminate else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    Error::other("demo.interrupted", "it was interrupted.")
}

/// Fails the step unless `condition` holds.
///
/// # Errors
/// [`Error::Other`] `demo.unexpected` with what was seen.
pub fn ensure(condition: bool, seen: impl FnOnce() -> String) -> Result<()> {
    if condition {
        Ok(())
    } else {
        Err(Error::other("demo.unexpected", seen()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use super::*;

    fn stage() -> Stage {
        let stage = Stage::new(Output::new(false));
        stage.step("first").unwrap();
        stage.step("second").unwrap();
        stage
    }

    #[tokio::test]
    async fn a_failure_names_its_step() {
        let error = stage()
            .run(async { Err(Error::other("x.y", "seven is not eight.")) })
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "demo failed at step 2 (second): seven is not eight."
        );
        assert_eq!(error.exit(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_hangs_ends_at_its_limit() {
        let error = stage().run(std::future::pending()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "demo failed at step 2 (second): no end after 30 s."
        );
    }

    #[tokio::test]
    async fn a_daemon_that_ends_by_itself_ends_the_demo() {
        let stage = stage();
        stage.watch_daemon(tokio::process::Command::new("false").spawn().unwrap());
        let error = stage.run(std::future::pending()).await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("(second): paraphed ended by itself (exit status: 1)"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_daemon_that_was_released_may_end() {
        let stage = stage();
        stage.watch_daemon(tokio::process::Command::new("true").spawn().unwrap());
        let mut daemon = stage.release_daemon().unwrap();
        assert!(
            stage
                .run(async {
                    daemon
                        .wait()
                        .await
                        .map(|_| ())
                        .map_err(|e| Error::other("x", e.to_string()))
                })
                .await
                .is_ok()
        );
    }
}
