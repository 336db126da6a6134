//! Claims that only the daemon's own challenges may carry: what a clerk signs, the rules for a new PIN, and a new phone.
//!
//! Called by `challenge`. Invariant: a backend's challenge asks for an approval and nothing else. The protocol: sections 4 and 5.

use paraphe_proto::statements::{
    CHANGE_PIN_ACTION, CHANGE_PIN_RELYING_PARTY, Challenge, ENROL_ACTION, ENROL_RELYING_PARTY,
    REPLACE_ACTION, REPLACE_RELYING_PARTY,
};

use crate::error::Error;

/// Refuses a claim in a challenge whose document does not say in words what the claim binds.
pub(crate) fn require_own(claims: &Challenge) -> Result<(), Error> {
    if claims.enrolment.is_some() && !is_of(claims, ENROL_RELYING_PARTY, ENROL_ACTION) {
        let detail = "only the daemon's own desk may ask to sign an enrolment";
        return Err(Error::untrusted("challenge.malformed", detail));
    }
    if claims.new_pin_policy.is_some() && !is_of(claims, CHANGE_PIN_RELYING_PARTY, CHANGE_PIN_ACTION) {
        let detail = "only the daemon itself may ask for a new PIN";
        return Err(Error::untrusted("challenge.malformed", detail));
    }
    if claims.replacement.is_some() && !is_of(claims, REPLACE_RELYING_PARTY, REPLACE_ACTION) {
        let detail = "only the daemon itself may ask to put another phone in the place of this one";
        return Err(Error::untrusted("challenge.malformed", detail));
    }
    Ok(())
}

fn is_of(claims: &Challenge, relying_party_id: &str, action: &str) -> bool {
    claims.action == action && claims.relying_party.id.to_string() == relying_party_id
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use paraphe_proto::encoding::B64;
    use paraphe_proto::ids::{ActivationId, DeviceId};
    use paraphe_proto::pin::PinPolicy;
    use paraphe_proto::statements::Replacement;

    use super::*;
    use crate::testing::{challenge, rng};

    #[test]
    fn only_the_daemon_itself_asks_to_put_another_phone_in_the_place_of_this_one() {
        let asked = |id: &str, action: &str| {
            let mut claims = challenge(&DeviceId::random(&mut rng()));
            claims.relying_party.id = id.parse().unwrap();
            claims.action = action.to_owned();
            claims.replacement = Some(Replacement {
                activation_id: ActivationId::random(&mut rng()),
                device_id: DeviceId::random(&mut rng()),
                activation_sha256: B64([1; 32]),
            });
            require_own(&claims)
        };
        assert!(asked("paraphe", "paraphe.replace").is_ok());
        for (id, action) in [
            ("courses", "paraphe.replace"),
            ("paraphe-desk", "paraphe.replace"),
            ("paraphe", "course.buy"),
        ] {
            assert_eq!(asked(id, action).unwrap_err().code(), "challenge.malformed");
        }
    }

    #[test]
    fn only_the_daemon_itself_asks_for_a_new_pin() {
        let asked = |id: &str, action: &str| {
            let mut claims = challenge(&DeviceId::random(&mut rng()));
            claims.relying_party.id = id.parse().unwrap();
            claims.action = action.to_owned();
            claims.new_pin_policy = Some(PinPolicy::default());
            require_own(&claims)
        };
        assert!(asked("paraphe", "paraphe.change_pin").is_ok());
        for (id, action) in [
            ("courses", "paraphe.change_pin"),
            ("paraphe-desk", "paraphe.change_pin"),
            ("paraphe", "course.buy"),
        ] {
            assert_eq!(asked(id, action).unwrap_err().code(), "challenge.malformed");
        }
    }
}
