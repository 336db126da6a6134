//! Codes, exit codes and sentences of every kind of error.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::time::Duration;

use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

use super::*;

fn refused(code: Code, reason: &str) -> Error {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, "paraphe.v1", std::collections::HashMap::new());
    Status::with_error_details(code, "No.", details).into()
}

#[test]
fn every_grpc_code_has_its_documented_exit_code() {
    let expected = [
        (Code::Unauthenticated, 3),
        (Code::PermissionDenied, 3),
        (Code::NotFound, 4),
        (Code::FailedPrecondition, 5),
        (Code::AlreadyExists, 5),
        (Code::Aborted, 5),
        (Code::ResourceExhausted, 5),
        (Code::InvalidArgument, 6),
        (Code::OutOfRange, 6),
        (Code::Unavailable, 7),
        (Code::DeadlineExceeded, 7),
        (Code::Internal, 1),
    ];
    for (code, exit) in expected {
        assert_eq!(refused(code, "x.y").exit(), exit, "{code:?}");
        let bare: Error = Status::new(code, "No.").into();
        let exit = if code == Code::Internal { 7 } else { exit };
        assert_eq!(bare.exit(), exit, "{code:?} without details");
    }
}

#[test]
fn own_errors_have_their_documented_exit_codes() {
    let exits = [
        (Error::Usage("u".into()), 2),
        (Error::NotLoggedIn("n".into()), 3),
        (Error::NotFound("n".into()), 4),
        (
            Error::Forbidden {
                code: "a.b",
                message: "f".into(),
            },
            5,
        ),
        (Error::invalid("a.b", "i"), 6),
        (Error::Unreachable("u".into()), 7),
        (Error::NotApproved("denied"), 8),
        (
            Error::Verification {
                check: "signature",
                why: "w".into(),
            },
            9,
        ),
        (
            Error::WrongPin {
                attempts_left: 4,
                wait_s: 0,
            },
            10,
        ),
        (
            Error::Demo {
                number: 1,
                name: "n",
                why: "w".into(),
            },
            1,
        ),
    ];
    for (error, exit) in exits {
        assert_eq!(error.exit(), exit, "{error}");
        assert!(
            EXIT_CODES.contains(&format!("\n  {exit}  ")),
            "{exit} is not documented"
        );
    }
}

#[test]
fn a_refusal_shows_sentence_field_what_is_allowed_and_wait() {
    let mut details = ErrorDetails::new();
    details.set_error_info(
        "parameter.missing",
        "paraphe.v1",
        std::collections::HashMap::new(),
    );
    details.add_bad_request_violation("parameters.price", "money, at most 10000.00 EUR");
    details.set_retry_info(Some(Duration::from_millis(59_001)));
    let status =
        Status::with_error_details(Code::InvalidArgument, "The parameter price is missing.", details);
    let error = Error::from(status);
    assert_eq!(
        error.to_string(),
        "The parameter price is missing.\n  field parameters.price: money, at most 10000.00 EUR\n  try again in 60 s"
    );
    let json: serde_json::Value = serde_json::from_str(&error.json()).unwrap();
    assert_eq!(json["error"]["code"], "parameter.missing");
    assert_eq!(json["error"]["message"], "The parameter price is missing.");
    assert_eq!(json["error"]["fields"][0]["field"], "parameters.price");
    assert_eq!(json["error"]["wait_s"], 60);
}

#[test]
fn a_field_says_only_what_the_sentence_does_not() {
    let text = |message: &str| {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("mrz", "It must be at most 512 bytes.");
        Error::from(Status::with_error_details(
            Code::InvalidArgument,
            message,
            details,
        ))
        .to_string()
    };
    assert_eq!(
        text("It must be at most 512 bytes."),
        "It must be at most 512 bytes."
    );
    assert_eq!(
        text("A field is wrong. It must be at most 512 bytes."),
        "A field is wrong. It must be at most 512 bytes.\n  field mrz"
    );
}

#[test]
fn what_the_phone_says_keeps_its_code_and_gets_its_exit_code() {
    use paraphe_companion::Error as Phone;
    let cases: [(Phone, &str, u8); 5] = [
        (
            Phone::WrongPin {
                attempts_left: 3,
                wait_s: 0,
            },
            "pin.wrong",
            10,
        ),
        (
            Phone::Invalid {
                code: "match_code.malformed",
                message: "m".into(),
            },
            "match_code.malformed",
            6,
        ),
        (Phone::Unreachable { detail: "d".into() }, "daemon.unreachable", 7),
        (
            Phone::Untrusted {
                code: "statement.signature",
                detail: "d".into(),
            },
            "statement.signature",
            9,
        ),
        (
            Phone::Refused {
                code: "challenge.expired".into(),
                message: "m".into(),
                status: Code::FailedPrecondition,
                retry_after_s: None,
            },
            "challenge.expired",
            5,
        ),
    ];
    for (phone, code, exit) in cases {
        let error = Error::from(phone);
        assert_eq!((error.code(), error.exit()), (code, exit));
    }
}

#[test]
fn a_wrong_pin_warns_before_the_last_attempt() {
    let text = |attempts_left, wait_s| {
        Error::WrongPin {
            attempts_left,
            wait_s,
        }
        .to_string()
    };
    assert_eq!(text(4, 0), "Wrong PIN. 4 attempts are left.");
    assert_eq!(
        text(2, 60),
        "Wrong PIN. 2 attempts are left. The next one may be made in 60 s."
    );
    assert!(text(1, 900).contains("One attempt is left; if it fails too, the phone locks."));
    for wait_s in [0, 900] {
        assert_eq!(
            text(0, wait_s),
            "Wrong PIN. The phone is locked: a new identity check is needed."
        );
    }
}
