use std::convert::Infallible;
use std::io::Write;
use std::sync::{Arc, Mutex};

use http::header::CONTENT_TYPE;
use tower::{ServiceExt, service_fn};
use tracing::instrument::WithSubscriber;
use tracing_subscriber::fmt::MakeWriter;

use super::*;

const UNARY: &str = "/paraphe.v1.Companion/Nonce";

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Sends a request through the layer to a handler that logs one line; the answer's headers and all that was logged.
async fn logged(path: &str, trailers: Option<&'static str>) -> (HeaderMap, String) {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(lines.clone())
        .with_ansi(false)
        .finish();
    let inner = service_fn(move |request: Request| async move {
        assert!(request.extensions().get::<RequestId>().is_some());
        tracing::info!("handled");
        let body = http_body_util::Empty::new().with_trailers(async move {
            trailers.map(|code| {
                Ok(HeaderMap::from_iter([(
                    HeaderName::from_static("grpc-status"),
                    HeaderValue::from_static(code),
                )]))
            })
        });
        Ok::<_, Infallible>(Response::new(Body::new(body)))
    });
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = path.parse().unwrap();
    let grpc = HeaderValue::from_static("application/grpc");
    request.headers_mut().insert(CONTENT_TYPE, grpc);
    let answering = async {
        let response = RequestIdLayer.layer(inner).oneshot(request).await.unwrap();
        let headers = response.headers().clone();
        response.into_body().collect().await.unwrap();
        headers
    };
    let headers = answering.with_subscriber(subscriber).await;
    let bytes = lines.0.lock().unwrap().clone();
    (headers, String::from_utf8(bytes).unwrap())
}

#[tokio::test]
async fn every_line_of_a_request_carries_its_id_and_the_last_one_its_status() {
    let (headers, log) = logged(UNARY, Some("5")).await;
    let id = headers[REQUEST_ID].to_str().unwrap();
    assert!(id.starts_with("req_"), "{id}");
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    for line in &lines {
        assert!(line.contains(&format!("request_id={id}")), "{line}");
        assert!(line.contains(UNARY), "{line}");
    }
    assert!(lines[0].contains("handled"), "{log}");
    assert!(
        lines[1].contains("status=\"NotFound\"") && lines[1].contains("latency_ms="),
        "{log}"
    );
}

#[tokio::test]
async fn an_answer_that_never_ended_is_logged_as_gone() {
    let (_, log) = logged(UNARY, None).await;
    assert!(log.contains("status=\"gone\""), "{log}");
}

#[tokio::test]
async fn a_path_that_is_not_ours_is_not_logged() {
    let (_, log) = logged("/somebody/secret-4711", Some("12")).await;
    assert!(log.contains("unknown") && !log.contains("4711"), "{log}");
}
