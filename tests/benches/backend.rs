//! The seeded backend, for rows that speak for themselves, and connections to the daemon.

use paraphe_proto::jwt::{self, ClientJwt};
use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::step_up_client::StepUpClient;
use paraphe_proto::v1::{Money, ParameterValue, RequestRequest, RequestResponse, parameter_value::Kind};
use rand_core::{OsRng, RngCore};
use tonic::Request;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::Result;
use crate::deployment::Deployment;
use crate::seed::Seeded;

/// The issuer of deploy/paraphed.toml.
pub const ISSUER: &str = "https://paraphe.example";
const TOKEN_LIFETIME_S: i64 = 280;

/// Signs itself one token and uses it until it expires.
pub struct Backend {
    client: StepUpClient<Channel>,
    id: String,
    key: SoftwareKey,
    token: String,
    until: i64,
}

impl Backend {
    /// Connects.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn connect(deployment: &Deployment, url: &str, seeded: &Seeded) -> Result<Self> {
        let pem = std::fs::read_to_string(&seeded.backend_key)?;
        Ok(Self {
            client: StepUpClient::new(connect(deployment, url).await?),
            id: seeded.backend.clone(),
            key: SoftwareKey::from_pkcs8_pem(&pem)?,
            token: String::new(),
            until: 0,
        })
    }

    /// Asks a person to confirm a purchase.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn ask(&mut self, subject: &str) -> Result<RequestResponse> {
        let request = self.authenticated(purchase(subject))?;
        Ok(self.client.request(request).await?.into_inner())
    }

    fn authenticated<T>(&mut self, message: T) -> Result<Request<T>> {
        let now = i64::try_from(std::time::UNIX_EPOCH.elapsed()?.as_secs())?;
        if now >= self.until {
            self.until = now + TOKEN_LIFETIME_S - 10;
            let claims = ClientJwt {
                iss: self.id.clone(),
                sub: self.id.clone(),
                iat: Timestamp::from_secs(now),
                exp: Timestamp::from_secs(now + TOKEN_LIFETIME_S),
                jti: None,
            };
            self.token = jwt::sign_client_jwt(&self.key, &claims, ISSUER)?;
        }
        let mut request = Request::new(message);
        let bearer = format!("Bearer {}", self.token).parse()?;
        request.metadata_mut().insert("authorization", bearer);
        Ok(request)
    }
}

/// One connection of its own.
///
/// # Errors
/// When nobody answers.
pub async fn connect(deployment: &Deployment, url: &str) -> Result<Channel> {
    Ok(endpoint(deployment, url)?.connect().await?)
}

/// Where to connect, by the development certificate.
///
/// # Errors
/// When there is no such certificate.
pub fn endpoint(deployment: &Deployment, url: &str) -> Result<Endpoint> {
    let authority = Certificate::from_pem(std::fs::read(deployment.path("ca.pem"))?);
    let tls = ClientTlsConfig::new().ca_certificate(authority);
    Ok(Endpoint::from_shared(url.to_owned())?
        .tcp_nodelay(true)
        .tls_config(tls)?)
}

fn purchase(subject: &str) -> RequestRequest {
    let value = |kind| ParameterValue { kind: Some(kind) };
    let text = |text: &str| value(Kind::Text(text.to_owned()));
    let mut key = [0; 16];
    OsRng.fill_bytes(&mut key);
    let price = Money {
        minor_units: 149_900,
        currency: "EUR".to_owned(),
    };
    RequestRequest {
        idempotency_key: paraphe_proto::encoding::base64url(&key),
        subject: subject.to_owned(),
        action: "course.buy".to_owned(),
        parameters: [
            ("title".to_owned(), text("TIG welding, level 2")),
            ("provider".to_owned(), text("GRETA Lyon Métropole")),
            ("price".to_owned(), value(Kind::Money(price))),
            ("session".to_owned(), value(Kind::Date("2027-01-11".to_owned()))),
            ("reference".to_owned(), text("CF-2027-0042")),
        ]
        .into(),
        locale: "fr".to_owned(),
        lifetime_s: 0,
        r#match: 0,
    }
}
