//! Domain → wire.

use paraphe_proto::pin::PinPolicy;
use paraphe_proto::time::Timestamp;
use paraphe_proto::{statements, v1};

use super::caller::wire_role;
use crate::app::activation::{Issued, View};
use crate::app::answer::Outcome;
use crate::domain::attestation::VerifiedAttestation;
use crate::domain::case::{Case, Evidence, State as CaseState};
use crate::domain::challenge::{Challenge, Purpose, State};
use crate::domain::device::State as DeviceState;
use crate::domain::operator::{Credential, Operator};
use crate::domain::relying_party::RelyingParty;

/// The rules for a new PIN.
pub fn pin_rules(policy: &PinPolicy) -> v1::PinRules {
    v1::PinRules {
        min_length: policy.min_length.into(),
        max_length: policy.max_length.into(),
        refuse_repeats: policy.refuse_repeats,
        refuse_runs: policy.refuse_runs,
        refuse_dates: policy.refuse_dates,
    }
}

/// State of a challenge.
pub fn state(state: &State) -> v1::State {
    match state {
        State::Pending => v1::State::Pending,
        State::Approved { .. } => v1::State::Approved,
        State::Denied { .. } => v1::State::Denied,
        State::Reported { .. } => v1::State::Reported,
        State::Expired { .. } => v1::State::Expired,
        State::Cancelled { .. } => v1::State::Cancelled,
        State::Superseded { .. } => v1::State::Superseded,
        State::Failed { .. } => v1::State::Failed,
    }
}

/// A challenge as its backend sees it; the assertion until it expires.
pub fn verdict(challenge: &Challenge, now: Timestamp) -> v1::Verdict {
    let assertion = match &challenge.state {
        State::Approved {
            assertion,
            assertion_expires_at,
            ..
        } if now < *assertion_expires_at => assertion.clone(),
        _ => String::new(),
    };
    v1::Verdict {
        challenge_id: challenge.id.to_string(),
        state: state(&challenge.state).into(),
        decided_at: challenge.state.decided_at().map_or(0, Timestamp::as_secs),
        assertion,
        cursor: challenge
            .verdict_number
            .map(|number| number.to_string())
            .unwrap_or_default(),
        idempotency_key: challenge.idempotency_key.clone(),
    }
}

/// The outcome that a phone is told.
pub fn outcome(outcome: &Outcome) -> v1::Outcome {
    v1::Outcome {
        challenge_id: outcome.challenge.id.to_string(),
        state: outcome.challenge.state.as_str().to_owned(),
        decided_at: outcome.challenge.state.decided_at().map_or(0, Timestamp::as_secs),
        attempts_left: outcome.attempts_left,
    }
}

/// A challenge that waits for a phone.
pub fn pending(challenge: &Challenge) -> v1::PendingChallenge {
    v1::PendingChallenge {
        challenge: challenge.statement.clone(),
        quiet: challenge.quiet,
    }
}

/// One line of a person's history, in the words that were shown. A clerk's phone is no list of the people they enrolled.
pub fn history_entry(past: &Challenge, shown: statements::Challenge) -> v1::HistoryEntry {
    let about_others = matches!(past.purpose, Purpose::Enrol { .. });
    let rows = shown.display.rows.into_iter().filter(|_| !about_others);
    v1::HistoryEntry {
        at: past.created_at.as_secs(),
        challenge_id: past.id.to_string(),
        relying_party_name: shown.relying_party.name,
        action: past.action.clone(),
        title: shown.display.title,
        rows: rows
            .map(|row| v1::DisplayRow {
                label: row.label,
                value: row.value,
            })
            .collect(),
        state: past.state.as_str().to_owned(),
        decided_at: past.state.decided_at().map_or(0, Timestamp::as_secs),
    }
}

/// State of a device.
pub fn device_state(state: DeviceState) -> v1::DeviceState {
    match state {
        DeviceState::AwaitingConfirmation => v1::DeviceState::AwaitingConfirmation,
        DeviceState::Quarantined { .. } => v1::DeviceState::Quarantined,
        DeviceState::Active => v1::DeviceState::Active,
        DeviceState::Locked { .. } => v1::DeviceState::Locked,
        DeviceState::Revoked { .. } => v1::DeviceState::Revoked,
        DeviceState::Suspended { .. } => v1::DeviceState::Suspended,
        DeviceState::Replaced { .. } => v1::DeviceState::Replaced,
        DeviceState::Expired { .. } => v1::DeviceState::Expired,
    }
}

/// End of a quarantine, or 0.
pub fn quarantined_until(state: DeviceState) -> i64 {
    if let DeviceState::Quarantined { until } = state {
        until.as_secs()
    } else {
        0
    }
}

/// An activation as the operator is shown it, once.
pub fn issued(issued: Issued, asked: Option<&Challenge>) -> v1::IssueActivationResponse {
    v1::IssueActivationResponse {
        activation_id: issued.id.to_string(),
        code: issued.code,
        uri: issued.uri,
        expires_at: issued.expires_at.as_secs(),
        challenge_id: asked.map(|asked| asked.id.to_string()).unwrap_or_default(),
        match_code: asked
            .and_then(|asked| asked.match_code.clone())
            .unwrap_or_default(),
        sign_until: asked.map_or(0, |asked| asked.expires_at.as_secs()),
        suspension_code: issued.suspension_code.unwrap_or_default(),
    }
}

/// State of a device, for operators.
pub fn device_state_name(state: DeviceState) -> v1::DeviceStateName {
    v1::DeviceStateName {
        state: state.as_str().to_owned(),
        quarantined_until: quarantined_until(state),
        key_storage: String::new(),
    }
}

/// Where an activation stands.
pub fn activation(view: &View) -> v1::Activation {
    v1::Activation {
        activation_id: view.id.to_string(),
        state: view.state.to_owned(),
        tries_left: view.tries_left,
        expires_at: view.expires_at.as_secs(),
        device: view
            .device
            .as_ref()
            .map(|(state, key_storage)| v1::DeviceStateName {
                key_storage: key_storage.amr().to_owned(),
                ..device_state_name(*state)
            }),
    }
}

/// What was verified of a possession key.
pub fn attestation(verified: VerifiedAttestation) -> v1::KeyAttestation {
    v1::KeyAttestation {
        kind: verified.kind.as_str().to_owned(),
        security_level: verified.security_level.as_str().to_owned(),
        application: verified.application,
        os_version: verified.os_version.unwrap_or(0),
        os_patch_level: verified.os_patch_level.unwrap_or(0),
        verified_at: verified.verified_at.as_secs(),
    }
}

/// A case.
pub fn case(case: &Case) -> v1::Case {
    let evidence = case.evidence();
    let proofed = evidence.and_then(|evidence| evidence.proofed.as_ref());
    v1::Case {
        case_id: case.id.to_string(),
        channel: case.channel.clone(),
        state: case.state.as_str().to_owned(),
        document: evidence.map(document),
        opened_at: case.opened_at.as_secs(),
        countersignature_required: case.two_people
            && matches!(case.state, CaseState::Open | CaseState::Verified(_)),
        proofing_provider: proofed
            .map(|proofed| proofed.provider.clone())
            .unwrap_or_default(),
    }
}

fn document(evidence: &Evidence) -> v1::Document {
    let end = evidence
        .number
        .char_indices()
        .rev()
        .nth(3)
        .map_or(0, |(at, _)| at);
    v1::Document {
        format: evidence.format.clone(),
        code: evidence.code.clone(),
        issuing_state: evidence.issuing_state.clone(),
        number_end: evidence.number.get(end..).unwrap_or_default().to_owned(),
        family_name: evidence.family_name.clone(),
        given_names: evidence.given_names.clone(),
        birth_date: evidence.birth_date.clone(),
        sex: evidence.sex.clone(),
        nationality: evidence.nationality.clone(),
        expiry_date: evidence.expiry_date.clone(),
    }
}

/// An operator.
pub fn operator(operator: &Operator) -> v1::Operator {
    v1::Operator {
        operator_id: operator.id.to_string(),
        name: operator.name.clone(),
        roles: roles(operator),
        state: if operator.disabled { "disabled" } else { "active" }.to_owned(),
        service: matches!(operator.credential, Credential::Key { .. }),
        created_at: operator.created_at.as_secs(),
    }
}

/// An operator's roles.
pub fn roles(operator: &Operator) -> Vec<i32> {
    operator
        .roles
        .iter()
        .map(|role| wire_role(*role).into())
        .collect()
}

/// A relying party.
pub fn relying_party(party: &RelyingParty) -> v1::RelyingParty {
    v1::RelyingParty {
        relying_party_id: party.id.clone(),
        display_name: party.display_name.clone(),
        may_identify: party.may_identify,
        actions: party.actions.clone(),
        registered_at: party.registered_at.as_secs(),
    }
}
