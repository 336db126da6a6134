//! `[limits]`: what the edge takes on before it refuses. Read by `edge/`; defaults suit one node of two cores.

use std::time::Duration;

use serde::Deserialize;

use super::range::between;

/// Bounds on connections, requests and rates; each is checked before any work is done for the caller.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open TLS connections, 1 to 1,000,000; one more is closed at once. Default 10,000.
    #[serde(deserialize_with = "between::<1, 1_000_000, _, _>")]
    pub max_connections: usize,
    /// Requests being answered at the same time, 1 to 100,000. Default 512.
    #[serde(deserialize_with = "between::<1, 100_000, _, _>")]
    pub max_concurrent_requests: usize,
    /// Open server streams (watches), 1 to 1,000,000. Default 10,000.
    #[serde(deserialize_with = "between::<1, 1_000_000, _, _>")]
    pub max_open_streams: usize,
    /// The longest a request may take, 100 ms to 2 min; a caller may ask for less. Default 10 s.
    #[serde(deserialize_with = "between::<100, 120_000, _, _>")]
    pub request_deadline_ms: u64,
    /// The largest request message, 32 KiB to 4 MiB. Default 256 KiB.
    #[serde(deserialize_with = "between::<32_768, 4_194_304, _, _>")]
    pub max_message_bytes: usize,
    /// The longest a TLS handshake may take, 100 ms to 1 min. Default 5 s.
    #[serde(deserialize_with = "between::<100, 60_000, _, _>")]
    pub handshake_timeout_ms: u64,
    /// How long a stopping daemon waits for requests in progress, up to 5 min. Default 10 s.
    #[serde(deserialize_with = "between::<0, 300_000, _, _>")]
    pub drain_timeout_ms: u64,
    /// Requests per second of one authenticated caller, 1 to 1,000,000. Default 200.
    #[serde(deserialize_with = "between::<1, 1_000_000, _, _>")]
    pub requests_per_second_per_caller: u32,
    /// Requests an authenticated caller may send at once after a pause, 1 to 1,000,000. Default 400.
    #[serde(deserialize_with = "between::<1, 1_000_000, _, _>")]
    pub caller_burst: u32,
    /// Requests per second of one address (an IPv6 /64) by callers not yet recognised, 1 to 1,000,000. Default 50.
    #[serde(deserialize_with = "between::<1, 1_000_000, _, _>")]
    pub anonymous_requests_per_second_per_address: u32,
    /// Requests such an address may send at once after a pause, 1 to 1,000,000. Default 200.
    #[serde(deserialize_with = "between::<1, 1_000_000, _, _>")]
    pub anonymous_burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_concurrent_requests: 512,
            max_open_streams: 10_000,
            request_deadline_ms: 10_000,
            max_message_bytes: 262_144,
            handshake_timeout_ms: 5_000,
            drain_timeout_ms: 10_000,
            requests_per_second_per_caller: 200,
            caller_burst: 400,
            anonymous_requests_per_second_per_address: 50,
            anonymous_burst: 200,
        }
    }
}

impl Limits {
    /// The longest a request may take.
    #[must_use]
    pub fn request_deadline(&self) -> Duration {
        Duration::from_millis(self.request_deadline_ms)
    }

    /// The longest a TLS handshake may take.
    #[must_use]
    pub fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms)
    }

    /// How long a stopping daemon waits for requests in progress.
    #[must_use]
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }
}
