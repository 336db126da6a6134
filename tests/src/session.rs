//! An operator's login on a terminal: the challenge on their own phone, the token bound to the terminal's key.

use std::sync::Arc;

use paraphe_proto::jwt::dpop;
use paraphe_proto::keys::{Signer as _, SoftwareKey};
use paraphe_proto::v1::session_client::SessionClient;
use paraphe_proto::v1::{
    BeginSessionRequest, BeginSessionResponse, CompleteSessionRequest, CompleteSessionResponse,
    RequestResponse, State, WhoAmIRequest,
};
use tonic::{Request, Status};

use crate::clock::unique;
use crate::operator::{Operator, path};
use crate::person::Person;
use crate::world::{Link, with_header};

/// A terminal on which operators log in.
pub struct Staff {
    link: Arc<Link>,
    /// The terminal's key.
    pub terminal: SoftwareKey,
}

impl Staff {
    /// The terminal with this key.
    #[must_use]
    pub fn new(link: Arc<Link>, terminal: SoftwareKey) -> Self {
        Self { link, terminal }
    }

    /// A request that carries the terminal's proof for one method of `Session`.
    #[must_use]
    pub fn prove<T>(&self, message: T, method: &str) -> Request<T> {
        let (issuer, now) = (&self.link.issuer, self.link.now());
        let proof = dpop::sign(
            &self.terminal,
            &path("Session", method),
            issuer,
            None,
            now,
            &unique(),
        );
        let mut request = Request::new(message);
        with_header(&mut request, "dpop", &proof.expect("a proof"));
        request
    }

    /// `Session.Begin`.
    pub async fn begin(&self, name: &str) -> Result<BeginSessionResponse, Status> {
        let request = self.prove(
            BeginSessionRequest {
                operator: name.to_owned(),
            },
            "Begin",
        );
        let begun = SessionClient::new(self.link.channel())
            .begin(request)
            .await?
            .into_inner();
        self.link.keep_secret(&begun.match_code);
        Ok(begun)
    }

    /// `Session.Complete`.
    pub async fn complete(&self, challenge_id: &str) -> Result<CompleteSessionResponse, Status> {
        let message = CompleteSessionRequest {
            challenge_id: challenge_id.to_owned(),
        };
        let mut client = SessionClient::new(self.link.channel());
        let completed = client
            .complete(self.prove(message, "Complete"))
            .await?
            .into_inner();
        if !completed.token.is_empty() {
            self.link.keep_secret(&completed.token);
        }
        Ok(completed)
    }

    /// Logs a person in who confirms on their phone.
    pub async fn log_in(&self, name: &str, person: &Person) -> Operator {
        let begun = self.begin(name).await.expect("the login begins");
        let asked = RequestResponse {
            challenge_id: begun.challenge_id.clone(),
            match_code: begun.match_code,
            expires_at: begun.expires_at,
            state: State::Pending.into(),
        };
        person.approve(&asked).await.expect("the operator confirms");
        let completed = self
            .complete(&begun.challenge_id)
            .await
            .expect("the login is complete");
        assert_eq!(completed.state(), State::Approved);
        let terminal = copy_of(&self.terminal);
        let mut operator = Operator::session(Arc::clone(&self.link), "", terminal, completed.token);
        let request = operator.authorise(WhoAmIRequest {}, &path("Session", "WhoAmI"));
        let who = operator
            .sessions()
            .who_am_i(request)
            .await
            .expect("the session counts")
            .into_inner();
        operator.id = who.operator_id;
        operator
    }
}

/// The same key once more.
#[must_use]
pub fn copy_of(key: &SoftwareKey) -> SoftwareKey {
    let copy = SoftwareKey::from_scalar(&key.to_scalar()).expect("a key");
    assert_eq!(copy.public_key(), key.public_key());
    copy
}
