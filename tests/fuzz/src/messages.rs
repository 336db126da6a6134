//! Every RPC's message by tag: decoded, encoded again, and handed to what parses its fields.

use paraphe_proto::activation::ActivationUri;
use paraphe_proto::ids::{ActivationId, CaseId, ChallengeId};
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::jws;
use paraphe_proto::oprf::{BlindedElement, EvaluatedElement};
use paraphe_proto::{statements, v1};
use paraphe_server::app::request::require_token;
use paraphe_server::domain::mrz;
use paraphe_server::rpc::decode;
use prost::Message;
use time::macros::date;

macro_rules! by_tag {
    ($tag:expr, $bytes:expr, $($message:ident $(=> $parse:expr)?),* $(,)?) => {{
        const COUNT: u8 = [$(stringify!($message)),*].len() as u8;
        let mut tag = $tag % COUNT;
        $(
            if tag == 0 {
                #[allow(unused_variables)]
                if let Some(message) = decoded::<v1::$message>($bytes) {
                    $(($parse)(message);)?
                }
                return;
            }
            tag -= 1;
        )*
        let _ = tag;
    }};
}

/// Reading what was written gives the same message.
fn decoded<M: Message + Default + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<M> {
    let message = M::decode(bytes).ok()?;
    let written = message.encode_to_vec();
    assert_eq!(M::decode(written.as_slice()).ok().as_ref(), Some(&message));
    Some(message)
}

/// First byte: the message.
pub fn run(data: &[u8]) {
    let [tag, bytes @ ..] = data else { return };
    by_tag!(
        *tag, bytes,
        CheckRequest => |m: v1::CheckRequest| { let _ = decode::person(m.person); },
        RequestRequest => request,
        GetRequest => |m: v1::GetRequest| challenge(&m.challenge_id),
        WatchRequest,
        CancelRequest => |m: v1::CancelRequest| challenge(&m.challenge_id),
        SignedRequest => |m: v1::SignedRequest| { let _ = jws::unverified_kid::<statements::Proof>(&m.proof); },
        NonceRequest,
        KeySetsRequest,
        BeginActivationRequest => |m: v1::BeginActivationRequest| { activation(&m.activation_id); let _ = PublicKey::from_sec1(&m.possession_key); },
        EvaluateActivationBody => |m: v1::EvaluateActivationBody| { activation(&m.activation_id); element(&m.blinded_element); },
        FinishActivationBody => |m: v1::FinishActivationBody| activation(&m.activation_id),
        DeviceBody,
        WatchBody,
        FetchBody,
        UnlockBody => |m: v1::UnlockBody| { challenge(&m.challenge_id); element(&m.blinded_element); },
        AnswerBody => |m: v1::AnswerBody| challenge(&m.challenge_id),
        RefuseBody => |m: v1::RefuseBody| challenge(&m.challenge_id),
        LiftBody,
        HistoryBody,
        ReplaceBody,
        ConfirmReplacementBody => |m: v1::ConfirmReplacementBody| activation(&m.activation_id),
        OpenCaseRequest,
        RecordEvidenceRequest => evidence,
        CountersignRequest,
        IssueActivationRequest,
        GetActivationRequest,
        ConfirmActivationRequest => |m: v1::ConfirmActivationRequest| activation(&m.activation_id),
        GetCaseRequest,
        BeginSessionRequest => |m: v1::BeginSessionRequest| { let _ = require_token("operator", &m.operator, 64); },
        CompleteSessionRequest,
        WhoAmIRequest,
        EndSessionRequest,
        CreateOperatorRequest => |m: v1::CreateOperatorRequest| { let _ = decode::roles(&m.roles); },
        CreateServiceAccountRequest => |m: v1::CreateServiceAccountRequest| { let _ = decode::roles(&m.roles); jwk(&m.public_jwk); },
        ListOperatorsRequest,
        DisableOperatorRequest,
        RegisterTerminalRequest,
        ListTerminalsRequest,
        RegisterRelyingPartyRequest => |m: v1::RegisterRelyingPartyRequest| jwk(&m.public_jwk),
        ListRelyingPartiesRequest,
        ListAuditEntriesRequest,
        GetStatementsRequest,
        DeviceEventsBody,
        ReplaceOperatorPhoneRequest,
    );
}

fn request(message: v1::RequestRequest) {
    let _ = require_token("idempotency_key", &message.idempotency_key, 64);
    let _ = decode::subject(&message.subject);
    let _ = decode::match_code(message.r#match);
    let _ = decode::parameters(message.parameters);
}

fn evidence(message: v1::RecordEvidenceRequest) {
    let _ = decode::id::<CaseId>("case_id", "cas_", &message.case_id);
    let _ = decode::checks(&message.checks);
    let _ = mrz::parse(&message.mrz, date!(2026 - 11 - 27));
}

/// An id that is read is written as it was.
fn challenge(text: &str) {
    if let Ok(id) = decode::id::<ChallengeId>("challenge_id", "chl_", text) {
        assert_eq!(id.to_string(), text);
    }
}

fn activation(text: &str) {
    if let Ok(id) = decode::id::<ActivationId>("activation_id", "act_", text) {
        assert_eq!(id.to_string(), text);
    }
    let _ = ActivationUri::parse(text);
}

/// A point that is read is written as it was.
fn element(bytes: &[u8]) {
    if let Ok(element) = BlindedElement::parse(bytes) {
        assert_eq!(element.as_bytes().as_slice(), bytes);
    }
    let _ = EvaluatedElement::parse(bytes);
}

fn jwk(text: &str) {
    if let Ok(key) = decode::public_jwk(text) {
        assert!(PublicKey::from_sec1(key.as_sec1()).is_ok());
    }
}
