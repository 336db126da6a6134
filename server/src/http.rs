//! The plain HTTP pages beside gRPC on the same TLS port: the assertion keys and a liveness page.
//!
//! `lib.rs` merges [`router`] with the gRPC routes. Backends and anybody else may read both; neither says anything about
//! a person (protocol.md section 2, RFC 7517 section 5).

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// Gives the JWK set as it is now, in JSON.
pub type Jwks = Arc<dyn Fn() -> Arc<str> + Send + Sync>;

/// `GET /.well-known/jwks.json` and `GET /healthz`.
pub fn router(jwks: Jwks) -> Router {
    Router::new()
        .route("/.well-known/jwks.json", get(show_jwks))
        .route("/healthz", get(|| async { "ok" }))
        .with_state(jwks)
}

/// What no route serves: to gRPC callers `UNIMPLEMENTED`, as the gRPC specification has it, and 404 to everybody else.
pub async fn unknown(headers: HeaderMap) -> Response {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if kind.is_some_and(|kind| kind.starts_with("application/grpc")) {
        return tonic::Status::unimplemented("There is no such method.").into_http();
    }
    (StatusCode::NOT_FOUND, "There is no such page.\n").into_response()
}

async fn show_jwks(State(jwks): State<Jwks>) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "application/jwk-set+json"),
        (CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, jwks().to_string())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn fetch(path: &str) -> (StatusCode, http::HeaderMap, String) {
        let router = router(Arc::new(|| Arc::from(r#"{"keys":[]}"#)));
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (head, body) = router.oneshot(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (
            head.status,
            head.headers,
            String::from_utf8(bytes.to_vec()).unwrap(),
        )
    }

    #[tokio::test]
    async fn the_keys_may_be_cached_for_five_minutes() {
        let (status, headers, body) = fetch("/.well-known/jwks.json").await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, r#"{"keys":[]}"#));
        assert_eq!(headers[CACHE_CONTROL], "public, max-age=300");
        assert_eq!(headers[CONTENT_TYPE], "application/jwk-set+json");
    }

    #[tokio::test]
    async fn what_is_not_there_is_404_to_browsers_and_unimplemented_to_grpc() {
        let mut headers = HeaderMap::new();
        assert_eq!(unknown(headers.clone()).await.status(), StatusCode::NOT_FOUND);
        headers.insert(CONTENT_TYPE, "application/grpc+proto".parse().unwrap());
        let response = unknown(headers).await;
        assert_eq!(
            (
                response.status(),
                response.headers()["grpc-status"].to_str().unwrap()
            ),
            (StatusCode::OK, "12")
        );
    }

    #[tokio::test]
    async fn it_says_that_it_lives() {
        let (status, _, body) = fetch("/healthz").await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "ok"));
    }
}
