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

#[tokio::test(start_paused = true)]
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

fn roomy(max_concurrent_requests: usize) -> AdmissionLayer {
    let limits = Limits {
        max_concurrent_requests,
        anonymous_burst: 1_000,
        ..limits()
    };
    AdmissionLayer::new(&limits, recognise_nobody())
}

fn begin() -> Request {
    request("/paraphe.v1.StepUp/Request", "192.0.2.1:1")
}

fn finish() -> Request {
    request("/paraphe.v1.Companion/Answer", "192.0.2.1:1")
}

async fn admitted(layer: &AdmissionLayer, request: fn() -> Request, times: usize) -> Vec<Response> {
    let mut held = Vec::new();
    for _ in 0..times {
        held.push(send(layer, request()).await);
        assert_eq!(code(held.last().unwrap()), None);
    }
    held
}

type Sending<'a> = std::pin::Pin<Box<dyn Future<Output = Response> + 'a>>;

/// As many as may stand in the line of one place.
fn full_line(layer: &AdmissionLayer, request: fn() -> Request) -> Vec<Sending<'_>> {
    let mut line: Vec<Sending<'_>> = Vec::new();
    for _ in 0..IN_LINE {
        let mut waiting: Sending<'_> = Box::pin(send(layer, request()));
        assert!(waiting.as_mut().now_or_never().is_none());
        line.push(waiting);
    }
    line
}

#[tokio::test(start_paused = true)]
async fn what_begins_is_refused_before_what_finishes() {
    let layer = roomy(16);
    let held = admitted(&layer, begin, 2).await;
    assert_eq!(code(&send(&layer, begin()).await), Some(Code::ResourceExhausted));
    let more = admitted(&layer, finish, 14).await;
    assert_eq!(code(&send(&layer, finish()).await), Some(Code::ResourceExhausted));
    drop((held, more));
    assert_eq!(code(&send(&layer, begin()).await), None);
}

#[tokio::test(start_paused = true)]
async fn a_request_stands_in_line_for_a_while_and_gets_the_place_that_becomes_free() {
    let layer = roomy(1);
    for call in [begin, finish] {
        let held = admitted(&layer, finish, 1).await;
        let begun = tokio::time::Instant::now();
        assert_eq!(code(&send(&layer, call()).await), Some(Code::ResourceExhausted));
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
        let leaves = async {
            tokio::time::sleep(PATIENCE / 2).await;
            drop(held);
        };
        let (answer, ()) = tokio::join!(send(&layer, call()), leaves);
        assert_eq!(code(&answer), None);
    }
}

#[tokio::test(start_paused = true)]
async fn the_line_has_an_end_and_whoever_leaves_it_makes_room() {
    let layer = roomy(1);
    let _held = admitted(&layer, finish, 1).await;
    let mut line = full_line(&layer, finish);
    let begun = tokio::time::Instant::now();
    assert!(code(&send(&layer, finish()).await).is_some());
    assert!(begun.elapsed().is_zero(), "refused at once");
    line.pop();
    assert!(send(&layer, finish()).now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn beginnings_in_line_take_nobody_elses_place_in_it() {
    let layer = roomy(1);
    let held = admitted(&layer, finish, 1).await;
    let line = full_line(&layer, begin);
    assert!(code(&send(&layer, begin()).await).is_some());
    let mut finishing = Box::pin(send(&layer, finish()));
    assert!(finishing.as_mut().now_or_never().is_none(), "it waits");
    drop((line, held));
    assert_eq!(code(&finishing.await), None);
}

#[tokio::test(start_paused = true)]
async fn strangers_keep_no_backend_waiting() {
    let layer = roomy(16);
    let arrive = || request("/paraphe.v1.Companion/BeginActivation", "192.0.2.1:1");
    let _slow = admitted(&layer, arrive, 2).await;
    assert!(code(&send(&layer, arrive()).await).is_some());
    let begun = tokio::time::Instant::now();
    admitted(&layer, begin, 1).await;
    assert!(begun.elapsed().is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_beginning_that_stood_in_line_counts_as_one() {
    let layer = roomy(8);
    let held = admitted(&layer, begin, 1).await;
    let leaves = async {
        tokio::time::sleep(PATIENCE / 2).await;
        drop(held);
    };
    let (second, ()) = tokio::join!(send(&layer, begin()), leaves);
    assert_eq!(code(&second), None);
    assert!(code(&send(&layer, begin()).await).is_some());
}

#[tokio::test(start_paused = true)]
async fn nobody_stands_in_line_beyond_their_deadline() {
    let layer = roomy(1);
    let _held = admitted(&layer, finish, 1).await;
    let mut hurried = finish();
    let timeout = http::HeaderValue::from_static("300m");
    hurried.headers_mut().insert("grpc-timeout", timeout);
    let begun = tokio::time::Instant::now();
    assert!(code(&send(&layer, hurried).await).is_some());
    assert!(begun.elapsed() < PATIENCE / 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_the_place_of_a_stream() {
    let layer = AdmissionLayer::new(&limits(), recognise_nobody());
    let _watch = send(&layer, request(STREAM, "192.0.2.1:1")).await;
    let begun = tokio::time::Instant::now();
    assert!(code(&send(&layer, request(STREAM, "192.0.2.2:1")).await).is_some());
    assert!(begun.elapsed().is_zero());
}
