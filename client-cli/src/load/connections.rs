//! The connections of a load, and how many it takes.
//!
//! Called by `run`. Invariant: no call waits for another one's place on its connection, which would be measured as if the
//! daemon were slow.

use paraphe_companion as phone;

use super::tasks;
use crate::channel::{Connection, Server};
use crate::error::Result;
use crate::handset;

/// Calls and streams on one connection; the daemon takes 256.
const PLACES: usize = 224;
/// Connections that are being made at the same time.
const CONNECTING: usize = 16;

/// Connections for so many streams that stay open and so many calls at the same time; one at least.
pub fn needed(streams: usize, calls: usize) -> usize {
    streams.saturating_add(calls).div_ceil(PLACES).max(1)
}

/// So many connections of phones.
///
/// # Errors
/// As [`Server::channel`].
pub async fn of_phones(server: &Server, count: usize) -> Result<Vec<phone::Server>> {
    let mut made = Vec::new();
    let connecting = (0..count).map(|_| {
        let server = server.clone();
        async move { handset::connect(&server).await }
    });
    tasks::each(CONNECTING, connecting, |connection| {
        made.push(connection);
        Ok(())
    })
    .await?;
    Ok(made)
}

/// So many connections of one backend.
///
/// # Errors
/// As [`Server::channel`].
pub async fn of_backend(server: &Server, count: usize) -> Result<Vec<Connection>> {
    let mut made = Vec::new();
    for _ in 0..count {
        made.push(server.connect().await?);
    }
    Ok(made)
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

    #[test]
    fn there_is_a_place_for_every_stream_and_call() {
        assert_eq!((needed(0, 0), needed(0, 224), needed(1, 224)), (1, 1, 2));
        assert_eq!(needed(8_000, 64), 36);
    }
}
