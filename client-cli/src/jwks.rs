//! The daemon's public assertion keys: a JWK Set (RFC 7517) from a file, or from `/.well-known/jwks.json` over TLS.
//!
//! Callers: `paraphe verify`, the demo. The daemon serves it on its gRPC port, so the gRPC channel (HTTP/2) fetches it too.

use std::future::poll_fn;

use http_body_util::{BodyExt as _, Limited};
use tonic::body::Body;
use tonic::client::GrpcService as _;
use tonic::codegen::http::{Request, StatusCode};
use tonic::transport::Channel;

use crate::error::{Error, Result};

/// Path of the JWK Set on the daemon.
pub const PATH: &str = "/.well-known/jwks.json";
const LARGEST_BYTES: usize = 64 * 1024;

/// Fetches the JWK Set; the text as served.
///
/// # Errors
/// [`Error::Unreachable`] without a connection; [`Error::Other`] `jwks.refused` for another status than 200 or more than
/// 64 KiB of UTF-8.
pub async fn fetch(mut channel: Channel, path: &str) -> Result<String> {
    let refused = |why: String| {
        Error::other(
            "jwks.refused",
            format!("The daemon did not give its keys at {path}: {why}."),
        )
    };
    poll_fn(|context| channel.poll_ready(context)).await?;
    let request = Request::get(path)
        .header("accept", "application/json")
        .body(Body::empty())
        .map_err(|error| refused(error.to_string()))?;
    let response = channel.call(request).await?;
    if response.status() != StatusCode::OK {
        return Err(refused(format!("status {}", response.status())));
    }
    let body = Limited::new(response.into_body(), LARGEST_BYTES)
        .collect()
        .await
        .map_err(|error| refused(error.to_string()))?;
    String::from_utf8(body.to_bytes().to_vec()).map_err(|error| refused(error.to_string()))
}
