//! The backend: a marketplace where courses are bought with public money.

use std::collections::HashMap;
use std::sync::Arc;

use paraphe_proto::keys::{Signer as _, SoftwareKey};
use paraphe_proto::v1::parameter_value::Kind;
use paraphe_proto::v1::step_up_client::StepUpClient;
use paraphe_proto::v1::{
    Money, ParameterValue, RegisterRelyingPartyRequest, RequestRequest, RequestResponse,
};

use super::opening::House;
use super::staff::Operator;
use super::stage::Stage;
use crate::channel::{AuthenticatedChannel, Connection};
use crate::commands::terminal::new_key;
use crate::credentials::Credentials;
use crate::error::{Error, Result};
use crate::output::boxed;
use crate::parameter::money_text;

/// Its id: `iss` of its tokens, `aud` of its assertions.
pub const ID: &str = "course-marketplace";
/// Its name on the phone.
pub const NAME: &str = "Course marketplace";
/// The action it asks for.
pub const ACTION: &str = "course.buy";
const PAGE_WIDTH: u16 = 60;

/// The registered backend.
pub struct Marketplace {
    key: Arc<SoftwareKey>,
    issuer: String,
}

/// What somebody puts into the basket.
pub struct Course {
    /// Title of the course.
    pub title: &'static str,
    /// Who gives it.
    pub provider: &'static str,
    /// Price in cents of a euro.
    pub price_cents: i64,
    /// First day, `YYYY-MM-DD`.
    pub session: &'static str,
    /// The order's number.
    pub reference: &'static str,
}

/// An administrator registers the backend's public key.
///
/// # Errors
/// What the daemon refuses.
pub async fn register(stage: &Stage, house: &House, administrator: &Operator) -> Result<Marketplace> {
    stage.step("register the marketplace as a backend")?;
    let key = Arc::new(new_key()?);
    let jwk = serde_json::to_string(&key.public_key().to_jwk())
        .map_err(|error| Error::other("demo.jwk", error.to_string()))?;
    let request = RegisterRelyingPartyRequest {
        relying_party_id: ID.to_owned(),
        display_name: NAME.to_owned(),
        public_jwk: jwk,
        may_identify: true,
        actions: vec![ACTION.to_owned()],
        ..RegisterRelyingPartyRequest::default()
    };
    let registered = house
        .connection
        .admin(administrator.credentials.clone())
        .register_relying_party(request)
        .await?
        .into_inner();
    stage.fact(
        "backend",
        format!("{} ({})", registered.display_name, registered.relying_party_id),
    )?;
    stage.fact("may ask for", registered.actions.join(", "))?;
    Ok(Marketplace {
        key,
        issuer: house.initialised.issuer.clone(),
    })
}

impl Marketplace {
    /// `StepUp` as this backend.
    pub fn step_up(&self, connection: &Connection) -> StepUpClient<AuthenticatedChannel> {
        let credentials = Credentials::Account {
            id: ID.to_owned(),
            key: Arc::clone(&self.key),
            issuer: self.issuer.clone(),
        };
        connection.step_up(credentials)
    }

    /// Asks `subject` to confirm a purchase; the order's number is the idempotency key.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn request(
        &self,
        connection: &Connection,
        subject: &str,
        course: &Course,
        lifetime_s: u32,
    ) -> Result<RequestResponse> {
        let request = RequestRequest {
            idempotency_key: course.reference.to_owned(),
            subject: subject.to_owned(),
            action: ACTION.to_owned(),
            parameters: course.parameters(),
            locale: "en".to_owned(),
            lifetime_s,
            ..RequestRequest::default()
        };
        Ok(self.step_up(connection).request(request).await?.into_inner())
    }
}

impl Course {
    /// The price as the page shows it.
    pub fn price(&self) -> String {
        money_text(&self.money())
    }

    fn money(&self) -> Money {
        Money {
            minor_units: self.price_cents,
            currency: "EUR".to_owned(),
        }
    }

    fn parameters(&self) -> HashMap<String, ParameterValue> {
        let named = [
            ("title", Kind::Text(self.title.to_owned())),
            ("provider", Kind::Text(self.provider.to_owned())),
            ("price", Kind::Money(self.money())),
            ("session", Kind::Date(self.session.to_owned())),
            ("reference", Kind::Text(self.reference.to_owned())),
        ];
        named
            .into_iter()
            .map(|(name, kind)| (name.to_owned(), ParameterValue { kind: Some(kind) }))
            .collect()
    }

    /// The marketplace's page while it waits for the phone.
    pub fn page(&self, match_code: &str) -> String {
        let spaced: Vec<String> = match_code.chars().map(String::from).collect();
        let lines = [
            format!("{}, {}", self.title, self.price()),
            String::new(),
            "Confirm on your phone. It will ask for this code:".to_owned(),
            String::new(),
            format!("{:^1$}", spaced.join(" "), usize::from(PAGE_WIDTH - 4)),
            String::new(),
        ];
        boxed(&format!("{NAME} · the page in the browser"), &lines, PAGE_WIDTH)
    }
}
