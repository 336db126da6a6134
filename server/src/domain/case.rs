//! One enrolment file: `open → verified → (countersigned) → issued → enrolled`, or `rejected`.
//!
//! Called by `app::case`. Invariant: an activation is issued only for evidence that meets the channel's profile, and where
//! the profile asks for two people, two stood for it.

use paraphe_proto::ids::{ActivationId, CaseId, OperatorId, SubjectId};
use paraphe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::fault::{self, Result};

/// What the document said and what was checked.
#[derive(Clone, Serialize, Deserialize)]
pub struct Evidence {
    /// `TD1`, `TD2`, `TD3`.
    pub format: String,
    /// ICAO 9303 document code.
    pub code: String,
    /// ICAO 9303 issuing state.
    pub issuing_state: String,
    /// Document number.
    pub number: String,
    /// As on the document.
    pub family_name: String,
    /// As on the document.
    pub given_names: String,
    /// `YYYY-MM-DD`, `00` where unknown.
    pub birth_date: String,
    /// `F`, `M` or `X`.
    pub sex: String,
    /// ICAO 9303 nationality.
    pub nationality: String,
    /// `YYYY-MM-DD`.
    pub expiry_date: String,
    /// INSEE COG code; empty when not known.
    pub birthplace: String,
    /// Names of the checks that passed.
    pub checks: Vec<String>,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The provider that signed for it; `None` where a clerk saw it.
    #[serde(default)]
    pub proofed: Option<Proofed>,
    /// Issuing state and number of an earlier document of the same person, as the clerk was told; empty when not.
    #[serde(default)]
    pub previous_document: String,
    /// The clerk said that this is none of the namesakes that were known.
    #[serde(default)]
    pub another_person: bool,
}

/// An identity-proofing provider's word.
#[derive(Clone, Serialize, Deserialize)]
pub struct Proofed {
    /// Its name in the configuration.
    pub provider: String,
    /// `paraphe-proofing+jwt`, compact JWS.
    pub statement: String,
}

impl Evidence {
    /// First moment (UTC) at which the document is no longer valid: the end of its expiry date. `None` for a specimen that had expired
    /// when it was recorded.
    pub fn valid_until(&self) -> Option<Timestamp> {
        let format = time::macros::format_description!("[year]-[month]-[day]");
        let last_day = time::Date::parse(&self.expiry_date, format).ok()?;
        let end = last_day.next_day()?.midnight().assume_utc().unix_timestamp();
        (end > self.recorded_at.as_secs()).then(|| Timestamp::from_secs(end))
    }
}

/// Where a case is.
#[derive(Clone, Serialize, Deserialize)]
pub enum State {
    /// Nothing recorded yet.
    Open,
    /// Evidence recorded.
    Verified(Evidence),
    /// A second person stood for it.
    Countersigned(Evidence, OperatorId),
    /// The clerk turned it down.
    Rejected,
    /// An activation is out.
    Issued(Evidence, ActivationId, SubjectId),
    /// The phone was confirmed.
    Enrolled(Evidence, SubjectId),
}

impl State {
    /// The name in the database and on the wire.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Verified(_) => "verified",
            Self::Countersigned(..) => "countersigned",
            Self::Rejected => "rejected",
            Self::Issued(..) => "issued",
            Self::Enrolled(..) => "enrolled",
        }
    }
}

/// A case as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub struct Case {
    /// Its id.
    pub id: CaseId,
    /// Its channel.
    pub channel: String,
    /// The clerk who opened it.
    pub opened_by: OperatorId,
    /// When.
    pub opened_at: Timestamp,
    /// Whether the channel asks for a second person.
    pub two_people: bool,
    /// Where it is.
    pub state: State,
}

impl Case {
    /// Records evidence, or `None` to reject. Evidence may be recorded again, but not where a second
    /// person stands for it: what they have read is what they sign.
    ///
    /// # Errors
    /// `case.state`.
    pub fn record(mut self, evidence: Option<Evidence>) -> Result<Self> {
        match self.state {
            State::Open => {}
            State::Verified(_) if !self.two_people => {}
            _ => return self.wrong_state(),
        }
        self.state = evidence.map_or(State::Rejected, State::Verified);
        Ok(self)
    }

    /// A second person stands for the case.
    ///
    /// # Errors
    /// `case.own` for the clerk who opened it, `case.state`.
    pub fn countersign(mut self, by: OperatorId) -> Result<Self> {
        if by == self.opened_by {
            return fault::CASE_OWN.broken();
        }
        match self.state {
            State::Verified(evidence) => self.state = State::Countersigned(evidence, by),
            _ => return self.wrong_state(),
        }
        Ok(self)
    }

    /// The evidence an activation may be issued for. An activation that ended unused may be followed by another.
    ///
    /// # Errors
    /// `case.state`.
    pub fn issuable(&self) -> Result<&Evidence> {
        match &self.state {
            State::Verified(evidence) if !self.two_people => Ok(evidence),
            State::Countersigned(evidence, _) | State::Issued(evidence, ..) => Ok(evidence),
            _ => self.wrong_state(),
        }
    }

    /// The evidence, once there is any.
    pub fn evidence(&self) -> Option<&Evidence> {
        match &self.state {
            State::Open | State::Rejected => None,
            State::Verified(evidence)
            | State::Countersigned(evidence, _)
            | State::Issued(evidence, ..)
            | State::Enrolled(evidence, _) => Some(evidence),
        }
    }

    /// The activation is out.
    ///
    /// # Errors
    /// `case.state`.
    pub fn issue(mut self, activation: ActivationId, subject: SubjectId) -> Result<Self> {
        let evidence = self.issuable()?.clone();
        self.state = State::Issued(evidence, activation, subject);
        Ok(self)
    }

    /// The phone of the latest activation was confirmed.
    ///
    /// # Errors
    /// `case.state`, also for an earlier activation.
    pub fn enrol(mut self, activation: ActivationId) -> Result<Self> {
        match self.state {
            State::Issued(evidence, latest, subject) if latest == activation => {
                self.state = State::Enrolled(evidence, subject);
            }
            _ => return self.wrong_state(),
        }
        Ok(self)
    }

    fn wrong_state<T>(&self) -> Result<T> {
        Err(fault::CASE_STATE
            .fault()
            .because(format!("It is `{}`.", self.state.as_str())))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn case(two_people: bool) -> Case {
        Case {
            id: CaseId::from_bytes([1; 16]),
            channel: "counter".into(),
            opened_by: OperatorId::from_bytes([1; 16]),
            opened_at: Timestamp::from_secs(0),
            two_people,
            state: State::Open,
        }
    }

    fn evidence() -> Evidence {
        Evidence {
            format: "TD3".into(),
            code: "P".into(),
            issuing_state: "UTO".into(),
            number: "L898902C3".into(),
            family_name: "ERIKSSON".into(),
            given_names: "ANNA MARIA".into(),
            birth_date: "1974-08-12".into(),
            sex: "F".into(),
            nationality: "UTO".into(),
            expiry_date: "2012-04-15".into(),
            birthplace: String::new(),
            checks: vec![],
            recorded_at: Timestamp::from_secs(0),
            proofed: None,
            previous_document: String::new(),
            another_person: false,
        }
    }

    #[test]
    fn two_people_means_two() {
        let clerk = OperatorId::from_bytes([1; 16]);
        let other = OperatorId::from_bytes([2; 16]);
        let verified = case(true).record(Some(evidence())).unwrap();
        assert!(verified.issuable().is_err());
        assert_eq!(
            verified.clone().countersign(clerk).err().unwrap().code(),
            "case.own"
        );
        assert!(verified.countersign(other).unwrap().issuable().is_ok());
        assert!(case(false).record(Some(evidence())).unwrap().issuable().is_ok());
    }

    #[test]
    fn a_document_is_valid_to_the_end_of_its_last_day() {
        let mut evidence = evidence();
        assert_eq!(evidence.valid_until(), Some(Timestamp::from_secs(1_334_534_400)));
        evidence.expiry_date = "2028-02-29".into();
        assert_eq!(evidence.valid_until(), Some(Timestamp::from_secs(1_835_481_600)));
        evidence.recorded_at = Timestamp::from_secs(1_835_481_600);
        assert_eq!(evidence.valid_until(), None);
    }

    #[test]
    fn a_rejected_or_enrolled_case_issues_nothing() {
        assert!(case(false).record(None).unwrap().issuable().is_err());
        assert!(case(false).issuable().is_err());
        let (activation, other) = (
            ActivationId::from_bytes([3; 16]),
            ActivationId::from_bytes([4; 16]),
        );
        let issued = case(false).record(Some(evidence())).unwrap();
        let issued = issued.issue(activation, SubjectId::from_bytes([5; 16])).unwrap();
        assert!(issued.clone().enrol(other).is_err());
        assert!(issued.enrol(activation).unwrap().issuable().is_err());
    }
}
