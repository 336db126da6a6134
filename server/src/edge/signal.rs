//! The signals that the daemon heeds. `start` hands [`shutdown_signal`] to [`super::serve`].
//!
//! Invariant: a handler is there from the call on, not from the first poll: a signal that arrives while the daemon says that it listens
//! would end it undrained otherwise.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// One kind of signal, heeded from the moment this is made.
pub struct Signals(Option<Signal>);

impl Signals {
    /// Installs the handler; one that cannot be installed is logged and not waited for.
    pub fn of(kind: SignalKind) -> Self {
        let installed = signal(kind);
        Self(
            installed
                .inspect_err(
                    |error| tracing::error!(%error, ?kind, "no handler for a signal could be installed"),
                )
                .ok(),
        )
    }

    /// Resolves when the signal arrives next.
    pub async fn next(&mut self) {
        match &mut self.0 {
            Some(signals) => {
                signals.recv().await;
            }
            None => std::future::pending().await,
        }
    }
}

/// Resolves at the first SIGTERM or SIGINT. A second one then has no effect: the drain has a limit of its own.
pub fn shutdown_signal() -> impl Future<Output = ()> {
    let mut terminate = Signals::of(SignalKind::terminate());
    let mut interrupt = Signals::of(SignalKind::interrupt());
    async move {
        let name = tokio::select! {
            () = terminate.next() => "SIGTERM",
            () = interrupt.next() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping");
    }
}
