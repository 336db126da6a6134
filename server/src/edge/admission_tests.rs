use http::header::{AUTHORIZATION, CONTENT_TYPE};
use tonic::{Code, Status};
use tower::{ServiceExt, service_fn};

use super::*;

const UNARY: &str = "/paraphe.v1.Companion/Nonce";
const STREAM: &str = "/paraphe.v1.Companion/Watch";

fn limits() -> Limits {
    Limits {
        max_concurrent_requests: 2,
        max_open_streams: 1,
        anonymous_requests_per_second_per_address: 1,
        anonymous_burst: 3,
        requests_per_second_per_caller: 1,
        caller_burst: 5,
        ..Limits::default()
    }
}

fn request(path: &str, address: &str) -> Request {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = path.parse().unwrap();
    request
        .headers_mut()
        .insert(CONTENT_TYPE, http::HeaderValue::from_static("application/grpc"));
    request.extensions_mut().insert(PeerInfo {
        address: address.parse().unwrap(),
        certificate_sha256: None,
    });
    request
}

/// Answers at once with a body that stays as long as the answer does.
async fn send(layer: &AdmissionLayer, request: Request) -> Response {
    let inner = service_fn(|_: Request| async {
        Ok::<_, std::convert::Infallible>(Response::new(Body::new("answer".to_owned())))
    });
    layer.layer(inner).oneshot(request).await.unwrap()
}

fn code(response: &Response) -> Option<Code> {
    Status::from_header_map(response.headers()).map(|status| status.code())
}

#[tokio::test]
async fn an_address_has_its_rate_and_others_are_not_held_back() {
    let layer = AdmissionLayer::new(&limits(), recognise_nobody());
    for _ in 0..3 {
        assert_eq!(code(&send(&layer, request(UNARY, "192.0.2.1:1")).await), None);
    }
    let refused = send(&layer, request(UNARY, "192.0.2.1:2")).await;
    assert_eq!(
        code(&refused),
        Some(Code::ResourceExhausted),
        "another port is the same address"
    );
    assert_eq!(code(&send(&layer, request(UNARY, "192.0.2.2:1")).await), None);
}

#[tokio::test]
async fn made_up_credentials_gain_nothing_and_recognised_ones_have_their_own_rate() {
    let recognise: Recognise = Arc::new(|headers, _| {
        let known = headers.get(AUTHORIZATION)? == "Bearer known";
        known.then_some([7; 32])
    });
    let layer = AdmissionLayer::new(&limits(), recognise);
    let with = |token: String| {
        let mut request = request(UNARY, "192.0.2.1:1");
        request
            .headers_mut()
            .insert(AUTHORIZATION, token.parse().unwrap());
        request
    };
    let mut admitted = 0;
    for n in 0..20 {
        admitted += usize::from(code(&send(&layer, with(format!("Bearer {n}"))).await).is_none());
    }
    assert_eq!(admitted, 3, "the address's burst");
    for _ in 0..5 {
        assert_eq!(code(&send(&layer, with("Bearer known".to_owned())).await), None);
    }
    assert!(code(&send(&layer, with("Bearer known".to_owned())).await).is_some());
}

#[tokio::test]
async fn one_request_too_many_is_refused_until_an_answer_is_gone() {
    let layer = AdmissionLayer::new(&limits(), recognise_nobody());
    let held = [
        send(&layer, request(UNARY, "192.0.2.1:1")).await,
        send(&layer, request(UNARY, "192.0.2.2:1")).await,
    ];
    let refused = send(&layer, request(UNARY, "192.0.2.3:1")).await;
    let status = Status::from_header_map(refused.headers()).unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = tonic_types::StatusExt::get_error_details(&status);
    assert_eq!(details.error_info().unwrap().reason, "daemon.busy");
    assert!(details.retry_info().is_some());
    drop(held);
    assert_eq!(code(&send(&layer, request(UNARY, "192.0.2.3:1")).await), None);
}

#[tokio::test]
async fn streams_have_places_of_their_own() {
    let layer = AdmissionLayer::new(&limits(), recognise_nobody());
    let watch = send(&layer, request(STREAM, "192.0.2.1:1")).await;
    assert!(code(&send(&layer, request(STREAM, "192.0.2.2:1")).await).is_some());
    assert_eq!(code(&send(&layer, request(UNARY, "192.0.2.3:1")).await), None);
    drop(watch);
    assert_eq!(code(&send(&layer, request(STREAM, "192.0.2.4:1")).await), None);
}

#[test]
fn a_flood_of_refusals_is_few_log_lines() {
    let refused = Occasionally::default();
    assert_eq!(refused.count(), Some(1));
    assert_eq!((0..1_000).filter_map(|_| refused.count()).count(), 0);
}

#[tokio::test]
async fn what_begins_is_refused_before_what_finishes() {
    let limits = Limits {
        max_concurrent_requests: 4,
        anonymous_burst: 100,
        ..limits()
    };
    let layer = AdmissionLayer::new(&limits, recognise_nobody());
    let begin = || request("/paraphe.v1.StepUp/Request", "192.0.2.1:1");
    let finish = || request("/paraphe.v1.Companion/Answer", "192.0.2.1:1");
    let held = [send(&layer, begin()).await, send(&layer, begin()).await];
    assert!(held.iter().all(|answer| code(answer).is_none()));
    assert_eq!(code(&send(&layer, begin()).await), Some(Code::ResourceExhausted));
    let more = [send(&layer, finish()).await, send(&layer, finish()).await];
    assert!(
        more.iter().all(|answer| code(answer).is_none()),
        "half is kept for them"
    );
    assert_eq!(code(&send(&layer, finish()).await), Some(Code::ResourceExhausted));
    drop((held, more));
    assert_eq!(code(&send(&layer, begin()).await), None);
}
