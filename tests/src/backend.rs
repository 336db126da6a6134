//! A relying party: signs its own tokens, asks people to confirm.
//!
//! Called by the tests through [`World`](crate::World). Nothing here retries or checks: a reply is what the daemon said.

use std::collections::HashMap;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use paraphe_proto::jwt::{ClientJwt, sign_client_jwt};
use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::v1::parameter_value::Kind;
use paraphe_proto::v1::step_up_client::StepUpClient;
use paraphe_proto::v1::{
    CancelRequest, CheckRequest, CheckResponse, GetRequest, Match, Money, ParameterValue, RequestRequest,
    RequestResponse, State, Verdict, WatchRequest, check_request::Person as ByWhat,
};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use crate::clock::unique;
use crate::specimen::Specimen;
use crate::world::{Link, bearer};

/// A registered relying party.
pub struct Backend {
    link: Arc<Link>,
    /// Its id.
    pub id: String,
    /// Signs its tokens.
    pub key: SoftwareKey,
}

/// What a purchase of the catalogue's `course.buy` asks; change any field before it is sent.
pub type Purchase = RequestRequest;

/// A text parameter.
#[must_use]
pub fn text(value: &str) -> ParameterValue {
    ParameterValue {
        kind: Some(Kind::Text(value.to_owned())),
    }
}

/// A purchase of one course for a person.
#[must_use]
pub fn purchase(subject: &str) -> Purchase {
    let price = Kind::Money(Money {
        minor_units: 149_900,
        currency: "EUR".to_owned(),
    });
    let date = Kind::Date("2027-03-01".to_owned());
    RequestRequest {
        idempotency_key: unique(),
        subject: subject.to_owned(),
        action: "course.buy".to_owned(),
        parameters: HashMap::from([
            ("title".to_owned(), text("Soudure TIG, niveau 2")),
            ("provider".to_owned(), text("Ateliers du Rhône")),
            ("price".to_owned(), ParameterValue { kind: Some(price) }),
            ("session".to_owned(), ParameterValue { kind: Some(date) }),
            ("reference".to_owned(), text("CMD-2027-0042")),
        ]),
        locale: "fr".to_owned(),
        lifetime_s: 0,
        r#match: Match::Unspecified.into(),
    }
}

impl Backend {
    /// A backend that signs with this key.
    #[must_use]
    pub fn new(link: Arc<Link>, id: &str, key: SoftwareKey) -> Self {
        Self {
            link,
            id: id.to_owned(),
            key,
        }
    }

    /// What its tokens say now.
    #[must_use]
    pub fn claims(&self) -> ClientJwt {
        let (iss, iat) = (self.id.clone(), self.link.now());
        ClientJwt {
            sub: iss.clone(),
            iss,
            iat,
            exp: iat.plus_s(300),
            jti: None,
        }
    }

    /// A fresh token.
    #[must_use]
    pub fn token(&self) -> String {
        sign_client_jwt(&self.key, &self.claims(), &self.link.issuer).expect("a token")
    }

    /// A request of this backend.
    #[must_use]
    pub fn authorise<T>(&self, message: T) -> Request<T> {
        bearer(message, &self.token())
    }

    /// The generated client, without credentials.
    #[must_use]
    pub fn client(&self) -> StepUpClient<Channel> {
        StepUpClient::new(self.link.channel())
    }

    /// `Check` by civil identity.
    pub async fn check(&self, who: &Specimen) -> Result<CheckResponse, Status> {
        self.check_for(ByWhat::Identity(who.identity()), "course.buy", "")
            .await
    }

    /// `Check`.
    pub async fn check_for(&self, person: ByWhat, action: &str, acr: &str) -> Result<CheckResponse, Status> {
        let request = CheckRequest {
            person: Some(person),
            action: action.to_owned(),
            session_acr: acr.to_owned(),
        };
        Ok(self.client().check(self.authorise(request)).await?.into_inner())
    }

    /// The person's pairwise subject here.
    pub async fn subject_of(&self, who: &Specimen) -> String {
        let reply = self.check(who).await.expect("the check is answered");
        assert!(
            reply.subject.starts_with("sub_"),
            "the person is enrolled: {reply:?}"
        );
        reply.subject
    }

    /// `Request`. The match code counts as a secret of the world.
    pub async fn request(&self, purchase: &Purchase) -> Result<RequestResponse, Status> {
        let reply = self
            .client()
            .request(self.authorise(purchase.clone()))
            .await?
            .into_inner();
        if !reply.match_code.is_empty() {
            self.link.keep_secret(&reply.match_code);
        }
        Ok(reply)
    }

    /// A fresh purchase for a subject.
    pub async fn ask(&self, subject: &str) -> RequestResponse {
        self.request(&purchase(subject))
            .await
            .expect("the request is taken")
    }

    /// `Get`.
    pub async fn verdict(&self, challenge_id: &str) -> Result<Verdict, Status> {
        let request = GetRequest {
            challenge_id: challenge_id.to_owned(),
        };
        Ok(self.client().get(self.authorise(request)).await?.into_inner())
    }

    /// The state that `Get` gives.
    pub async fn state(&self, challenge_id: &str) -> State {
        self.verdict(challenge_id)
            .await
            .expect("its own challenge")
            .state()
    }

    /// `Cancel`.
    pub async fn cancel(&self, challenge_id: &str) -> Result<Verdict, Status> {
        let request = CancelRequest {
            challenge_id: challenge_id.to_owned(),
        };
        Ok(self.client().cancel(self.authorise(request)).await?.into_inner())
    }

    /// `Watch` after a cursor.
    pub async fn watch(&self, cursor: &str) -> Result<Streaming<Verdict>, Status> {
        let request = WatchRequest {
            cursor: cursor.to_owned(),
        };
        Ok(self.client().watch(self.authorise(request)).await?.into_inner())
    }

    /// The JWK Set that the daemon serves over TLS.
    pub async fn jwks(&self) -> serde_json::Value {
        let (status, body) = get(self.link.channel(), "/.well-known/jwks.json").await;
        assert_eq!(status, 200);
        serde_json::from_str(&body).expect("a JWK Set")
    }
}

/// `GET` on the daemon's port.
pub async fn get(mut channel: Channel, path: &str) -> (u16, String) {
    use tonic::client::GrpcService as _;
    use tonic::codegen::http;
    std::future::poll_fn(|context| channel.poll_ready(context))
        .await
        .expect("a connection");
    let request = http::Request::get(path)
        .body(tonic::body::Body::empty())
        .expect("a request");
    let response = channel.call(request).await.expect("a response");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}
