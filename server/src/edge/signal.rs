//! The signals that end the daemon. `main` hands [`shutdown_signal`] to [`super::serve`].

use tokio::signal::unix::{SignalKind, signal};

/// Resolves at the first SIGTERM or SIGINT. A second one then has no effect: the drain has a limit of its own.
///
/// Handlers are installed when the future is first polled; one that cannot be installed is logged and not waited for.
pub async fn shutdown_signal() {
    let name = tokio::select! {
        () = received(SignalKind::terminate()) => "SIGTERM",
        () = received(SignalKind::interrupt()) => "SIGINT",
    };
    tracing::info!(signal = name, "stopping");
}

/// Resolves when the signal arrives next.
async fn received(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signals) => {
            signals.recv().await;
        }
        Err(error) => {
            tracing::error!(%error, ?kind, "no handler for a signal could be installed");
            std::future::pending::<()>().await;
        }
    }
}
