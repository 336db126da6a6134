//! People, phones, operators and backends around one daemon: everything over real gRPC.

use std::sync::Arc;

use paraphe_companion::{Activation, Address, Argon2Cost, Invitation, Phone, Server, SoftwareKeyStore};
use paraphe_proto::jwt::{self, ClientJwt, dpop};
use paraphe_proto::keys::{Signer, SoftwareKey};
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::{self, Role};
use rand_core::{OsRng, RngCore};
use tonic::Request;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::daemon::{DEMONSTRATION, Daemon, ISSUER};

pub use crate::specimen::{passport, passport_of, passport_until, purchase};

pub const PIN: &str = "739145";
pub const WRONG_PIN: &str = "739146";

/// A program with a key of its own: a backend or a service account.
#[derive(Clone)]
pub struct Account {
    pub id: String,
    pub key: Arc<SoftwareKey>,
}

impl Account {
    fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            key: Arc::new(SoftwareKey::generate(&mut OsRng).unwrap()),
        }
    }

    pub fn jwk(&self) -> String {
        serde_json::to_string(&self.key.public_key().to_jwk()).unwrap()
    }

    pub fn token(&self, audience: &str, now: i64, lifetime_s: i64) -> String {
        let claims = ClientJwt {
            iss: self.id.clone(),
            sub: self.id.clone(),
            iat: Timestamp::from_secs(now),
            exp: Timestamp::from_secs(now + lifetime_s),
            jti: None,
        };
        jwt::sign_client_jwt(&*self.key, &claims, audience).unwrap()
    }
}

/// A person with an enrolled phone.
pub struct Person {
    pub phone: Phone,
    pub name: String,
}

pub struct World {
    pub daemon: Daemon,
    pub server: Server,
    pub channel: Channel,
    pub clerk: Clerk,
    pub auditor: Account,
    pub market: Account,
    pub admin: Session,
    pub offset_s: i64,
    people: u32,
}

/// An operator who has signed in on a terminal.
#[derive(Clone)]
pub struct Session {
    pub terminal: Arc<SoftwareKey>,
    pub token: String,
}

/// A clerk at the counter: signed in, with the phone that signs enrolments.
#[derive(Clone)]
pub struct Clerk {
    pub id: String,
    pub session: Session,
    pub phone: Arc<Phone>,
}

/// A call of the service `Enrolment`; a DPoP proof names its method.
pub trait DeskCall {
    const METHOD: &'static str;
}

macro_rules! desk_calls {
    ($($message:ident = $method:literal),* $(,)?) => {
        $(impl DeskCall for v1::$message {
            const METHOD: &'static str = concat!("/paraphe.v1.Enrolment/", $method);
        })*
    };
}

desk_calls!(
    OpenCaseRequest = "OpenCase",
    RecordEvidenceRequest = "RecordEvidence",
    CountersignRequest = "Countersign",
    IssueActivationRequest = "IssueActivation",
    GetActivationRequest = "GetActivation",
    ConfirmActivationRequest = "ConfirmActivation",
    GetCaseRequest = "GetCase",
);

impl World {
    pub async fn new() -> Self {
        Self::with(DEMONSTRATION).await
    }

    pub async fn with(extra: &str) -> Self {
        let (daemon, made) = Daemon::prepared(extra);
        Self::around(daemon, made).await
    }

    /// The people around a daemon that was initialised a moment ago.
    pub async fn around(mut daemon: Daemon, made: serde_json::Value) -> Self {
        daemon.start();
        let (server, channel) = connect(&daemon).await;
        let uri = made["administrators"][0]["uri"].as_str().unwrap();
        let (phone, _) = activate(&daemon, &server, uri, "admin").await;
        let pem = std::fs::read_to_string(daemon.path("first-terminal.pem")).unwrap();
        let terminal = Arc::new(SoftwareKey::from_pkcs8_pem(&pem).unwrap());
        let token = sign_in((&channel, &server), &phone, &terminal, "admin-1", now()).await;
        let blank = Account::new("");
        daemon.secrets.note("a session token", &token);
        let admin = Session { terminal, token };
        let clerk = Clerk {
            id: String::new(),
            session: admin.clone(),
            phone: Arc::new(phone),
        };
        let (auditor, market) = (blank.clone(), blank);
        let mut world = Self {
            daemon,
            server,
            channel,
            clerk,
            auditor,
            market,
            admin,
            offset_s: 0,
            people: 0,
        };
        world.clerk = world.operator("clerk-desk", &[Role::Clerk]).await;
        world.auditor = world.service("auditor", &[Role::Auditor]).await;
        world.market = world.backend("market", true).await;
        world
    }

    pub fn now(&self) -> i64 {
        now() + self.offset_s
    }

    /// Moves the daemon's clock forward.
    pub fn pass(&mut self, seconds: i64) {
        self.offset_s += seconds;
        self.daemon.clock(self.offset_s);
    }

    /// Starts the daemon again on its folder.
    pub async fn start_again(&mut self) {
        self.daemon.start();
        (self.server, self.channel) = connect(&self.daemon).await;
    }

    /// A request in the name of the administrator.
    pub fn as_admin<T>(&self, method: &str, message: T) -> Request<T> {
        self.as_session(&self.admin, method, message)
    }

    /// A request in the name of the clerk.
    pub fn as_clerk<T: DeskCall>(&self, message: T) -> Request<T> {
        self.as_session(&self.clerk.session, T::METHOD, message)
    }

    /// A request in the name of somebody who has signed in.
    pub fn as_session<T>(&self, session: &Session, method: &str, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let iat = Timestamp::from_secs(self.now());
        let token = &session.token;
        let proof = dpop::sign(&*session.terminal, method, ISSUER, Some(token), iat, &jti()).unwrap();
        request
            .metadata_mut()
            .insert("authorization", format!("DPoP {token}").parse().unwrap());
        request.metadata_mut().insert("dpop", proof.parse().unwrap());
        request
    }

    /// A request in the name of a backend or a service account.
    pub fn as_account<T>(&self, account: &Account, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let token = account.token(ISSUER, self.now(), 200);
        request
            .metadata_mut()
            .insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    }

    pub fn admin_client(&self) -> v1::admin_client::AdminClient<Channel> {
        v1::admin_client::AdminClient::new(self.channel.clone())
    }

    pub fn enrolment(&self) -> v1::enrolment_client::EnrolmentClient<Channel> {
        v1::enrolment_client::EnrolmentClient::new(self.channel.clone())
    }

    pub fn step_up(&self) -> v1::step_up_client::StepUpClient<Channel> {
        v1::step_up_client::StepUpClient::new(self.channel.clone())
    }

    pub async fn service(&self, name: &str, roles: &[Role]) -> Account {
        let mut account = Account::new("");
        let message = v1::CreateServiceAccountRequest {
            name: name.to_owned(),
            roles: roles.iter().map(|role| i32::from(*role)).collect(),
            public_jwk: account.jwk(),
        };
        let request = self.as_admin("/paraphe.v1.Admin/CreateServiceAccount", message);
        account.id = self
            .admin_client()
            .create_service_account(request)
            .await
            .unwrap()
            .into_inner()
            .operator_id;
        account
    }

    /// An operator with a phone of their own, signed in on a terminal of their own.
    pub async fn operator(&self, name: &str, roles: &[Role]) -> Clerk {
        let message = v1::CreateOperatorRequest {
            name: name.to_owned(),
            roles: roles.iter().map(|role| i32::from(*role)).collect(),
        };
        let request = self.as_admin("/paraphe.v1.Admin/CreateOperator", message);
        let created = self
            .admin_client()
            .create_operator(request)
            .await
            .unwrap()
            .into_inner();
        let issued = created.activation.unwrap();
        let (phone, sas) = activate(&self.daemon, &self.server, &issued.uri, name).await;
        let confirm = v1::ConfirmActivationRequest {
            activation_id: issued.activation_id,
            code: sas,
        };
        let request = self.as_session(&self.admin, v1::ConfirmActivationRequest::METHOD, confirm);
        self.enrolment().confirm_activation(request).await.unwrap();
        let terminal = Arc::new(SoftwareKey::generate(&mut OsRng).unwrap());
        let register = v1::RegisterTerminalRequest {
            thumbprint: terminal.public_key().thumbprint().to_owned(),
            label: format!("Terminal of {name}"),
        };
        let request = self.as_admin("/paraphe.v1.Admin/RegisterTerminal", register);
        self.admin_client().register_terminal(request).await.unwrap();
        let token = sign_in((&self.channel, &self.server), &phone, &terminal, name, self.now()).await;
        self.daemon.secrets.note("a session token", &token);
        Clerk {
            id: created.operator.unwrap().operator_id,
            session: Session { terminal, token },
            phone: Arc::new(phone),
        }
    }

    /// The clerk signs in again, once the session is over.
    pub async fn sign_in_again(&mut self) {
        let clerk = &self.clerk;
        let at = (&self.channel, &self.server);
        let token = sign_in(
            at,
            &clerk.phone,
            &clerk.session.terminal,
            "clerk-desk",
            self.now(),
        )
        .await;
        self.clerk.session.token = token;
    }

    pub async fn backend(&self, id: &str, may_identify: bool) -> Account {
        let account = Account::new(id);
        let message = v1::RegisterRelyingPartyRequest {
            relying_party_id: id.to_owned(),
            display_name: format!("The {id}"),
            public_jwk: account.jwk(),
            may_identify,
            ..Default::default()
        };
        let request = self.as_admin("/paraphe.v1.Admin/RegisterRelyingParty", message);
        self.admin_client().register_relying_party(request).await.unwrap();
        account
    }

    /// A verified case and its activation: id, QR content, typed code.
    pub async fn issue(&mut self) -> (String, v1::IssueActivationResponse) {
        self.issue_with("350415").await
    }

    /// The same for a document with another last day, `YYMMDD`.
    pub async fn issue_with(&mut self, expiry: &str) -> (String, v1::IssueActivationResponse) {
        self.people += 1;
        let letter = |n: u32| char::from(b'A' + u8::try_from(n % 26).unwrap());
        let name = format!("TEST{}{}", letter(self.people / 26), letter(self.people));
        let case_id = self.verified("counter", &passport_until(&name, expiry)).await;
        (name, self.issue_for(&case_id).await)
    }

    /// An open case.
    pub async fn open(&self, channel: &str) -> String {
        let open = v1::OpenCaseRequest {
            channel: channel.to_owned(),
        };
        let case = self.enrolment().open_case(self.as_clerk(open)).await.unwrap();
        case.into_inner().case_id
    }

    /// A case with a document that was looked at.
    pub async fn verified(&self, channel: &str, mrz: &str) -> String {
        let case_id = self.open(channel).await;
        let evidence = v1::RecordEvidenceRequest {
            case_id: case_id.clone(),
            mrz: mrz.to_owned(),
            checks: vec![
                v1::Check::DocumentGenuine.into(),
                v1::Check::HolderLikeness.into(),
            ],
            accepted: true,
            ..Default::default()
        };
        let recorded = self.enrolment().record_evidence(self.as_clerk(evidence)).await;
        recorded.unwrap();
        case_id
    }

    /// The activation of a verified case, signed on the clerk's own phone.
    pub async fn issue_for(&self, case_id: &str) -> v1::IssueActivationResponse {
        let issued = self.try_issue(case_id).await.unwrap();
        self.sign(&issued).await.unwrap();
        issued
    }

    /// The same, not signed yet.
    pub async fn try_issue(&self, case_id: &str) -> Result<v1::IssueActivationResponse, tonic::Status> {
        let issue = v1::IssueActivationRequest {
            case_id: case_id.to_owned(),
            replaces: false,
            ..Default::default()
        };
        let issued = self.enrolment().issue_activation(self.as_clerk(issue)).await?;
        let issued = issued.into_inner();
        let secrets = &self.daemon.secrets;
        secrets.note("an activation code", &issued.code);
        secrets.note("a suspension code", &issued.suspension_code);
        secrets.note("a match code", &issued.match_code);
        Ok(issued)
    }

    /// The clerk's yes to an enrolment.
    pub async fn sign(
        &self,
        issued: &v1::IssueActivationResponse,
    ) -> Result<paraphe_companion::Receipt, paraphe_companion::Error> {
        let phone = &self.clerk.phone;
        let pending = phone.fetch(&self.server).await?;
        let mut shown = pending.into_iter().filter_map(|pending| pending.challenge.ok());
        let asked = shown.find(|shown| shown.challenge_id().to_string() == issued.challenge_id);
        let code = Some(issued.match_code.as_str());
        phone
            .approve(&self.server, &asked.unwrap(), code, PIN, &mut OsRng)
            .await
    }

    pub async fn confirm(&self, activation_id: &str, code: &str) -> Result<v1::Activation, tonic::Status> {
        let message = v1::ConfirmActivationRequest {
            activation_id: activation_id.into(),
            code: code.into(),
        };
        let request = self.as_clerk(message);
        Ok(self.enrolment().confirm_activation(request).await?.into_inner())
    }

    /// A person whose phone is active.
    pub async fn enrol(&mut self) -> Person {
        let (name, issued) = self.issue().await;
        let (phone, sas) = activate(&self.daemon, &self.server, &issued.uri, &name).await;
        self.confirm(&issued.activation_id, &sas).await.unwrap();
        Person { phone, name }
    }

    /// What was audited lately, at most 500 entries.
    pub async fn audit(&self) -> Vec<v1::AuditEntry> {
        let list = v1::ListAuditEntriesRequest {
            after: 0,
            page_size: 500,
        };
        let entries = self
            .admin_client()
            .list_audit_entries(self.as_account(&self.auditor, list))
            .await;
        entries.unwrap().into_inner().entries
    }

    /// The person's subject at a backend that may identify.
    pub async fn subject(&self, backend: &Account, person: &Person) -> String {
        let identity = v1::PivotIdentity {
            family_name: person.name.clone(),
            given_names: "ANNA".into(),
            birth_date: "1974-08-12".into(),
            birthplace: String::new(),
        };
        let check = v1::CheckRequest {
            person: Some(v1::check_request::Person::Identity(identity)),
            action: "course.buy".into(),
            session_acr: String::new(),
        };
        self.step_up()
            .check(self.as_account(backend, check))
            .await
            .unwrap()
            .into_inner()
            .subject
    }

    /// Asks to confirm a purchase.
    pub async fn ask(&self, backend: &Account, subject: &str) -> v1::RequestResponse {
        self.try_ask(backend, purchase(subject)).await.unwrap()
    }

    pub async fn try_ask(
        &self,
        backend: &Account,
        message: v1::RequestRequest,
    ) -> Result<v1::RequestResponse, tonic::Status> {
        let asked = self.step_up().request(self.as_account(backend, message)).await?;
        let asked = asked.into_inner();
        self.daemon.secrets.note("a match code", &asked.match_code);
        Ok(asked)
    }

    pub async fn verdict(&self, backend: &Account, id: &str) -> v1::Verdict {
        let get = v1::GetRequest {
            challenge_id: id.to_owned(),
        };
        self.step_up()
            .get(self.as_account(backend, get))
            .await
            .unwrap()
            .into_inner()
    }

    /// The one challenge that waits for a phone.
    pub async fn shown(&self, phone: &Phone) -> paraphe_companion::Shown {
        let mut pending = phone.fetch(&self.server).await.unwrap();
        assert_eq!(pending.len(), 1);
        pending.pop().unwrap().challenge.unwrap()
    }

    pub async fn attempts_left(&self, phone: &Phone) -> u32 {
        phone.device(&self.server).await.unwrap().attempts_left
    }
}

/// Connects to a running daemon.
pub async fn connect(daemon: &Daemon) -> (Server, Channel) {
    let ca = std::fs::read(daemon.path("ca.pem")).unwrap();
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&ca));
    let endpoint = Endpoint::from_shared(daemon.url.clone())
        .unwrap()
        .tls_config(tls)
        .unwrap();
    let channel = endpoint.connect().await.unwrap();
    let address = Address {
        url: daemon.url.clone(),
        ca_pem: ca,
        server_name: None,
    };
    (Server::connect(&address).await.unwrap(), channel)
}

/// A software phone for an activation; and the six digits it shows.
pub async fn activate(daemon: &Daemon, server: &Server, uri: &str, name: &str) -> (Phone, String) {
    let folder = daemon.path(&format!("phone-{name}"));
    let keystore = Arc::new(SoftwareKeyStore::open(folder.join("keys"), "test/1").unwrap());
    let invitation = Invitation::from_uri(uri).unwrap();
    let mut activation = Activation::begin(&folder, keystore, invitation, server, &mut OsRng)
        .await
        .unwrap();
    let done = activation
        .finish(server, PIN, Argon2Cost::LOWEST, &mut OsRng)
        .await
        .unwrap();
    (done.phone, done.sas.to_string())
}

pub async fn sign_in(
    (channel, server): (&Channel, &Server),
    phone: &Phone,
    terminal: &SoftwareKey,
    name: &str,
    at: i64,
) -> String {
    let id = begin_login((channel, server), phone, terminal, name, at).await;
    let done = complete_login(channel, terminal, &id, at).await;
    done.unwrap().token
}

/// A login that the operator's phone has approved, and that nobody has redeemed.
pub async fn begin_login(
    (channel, server): (&Channel, &Server),
    phone: &Phone,
    terminal: &SoftwareKey,
    name: &str,
    at: i64,
) -> String {
    let begun = ask_login(channel, terminal, name, at).await.unwrap();
    let mut pending = phone.fetch(server).await.unwrap();
    let shown = pending.pop().unwrap().challenge.unwrap();
    let code = Some(begun.match_code.as_str());
    phone
        .approve(server, &shown, code, PIN, &mut OsRng)
        .await
        .unwrap();
    begun.challenge_id
}

/// The login's challenge, on whichever phone the operator has.
pub async fn ask_login(
    channel: &Channel,
    terminal: &SoftwareKey,
    name: &str,
    at: i64,
) -> Result<v1::BeginSessionResponse, tonic::Status> {
    let begin = v1::BeginSessionRequest {
        operator: name.to_owned(),
    };
    let request = at_terminal(terminal, "/paraphe.v1.Session/Begin", at, begin);
    let mut session = v1::session_client::SessionClient::new(channel.clone());
    Ok(session.begin(request).await?.into_inner())
}

pub async fn complete_login(
    channel: &Channel,
    terminal: &SoftwareKey,
    id: &str,
    at: i64,
) -> Result<v1::CompleteSessionResponse, tonic::Status> {
    let complete = v1::CompleteSessionRequest {
        challenge_id: id.to_owned(),
    };
    let request = at_terminal(terminal, "/paraphe.v1.Session/Complete", at, complete);
    let mut session = v1::session_client::SessionClient::new(channel.clone());
    Ok(session.complete(request).await?.into_inner())
}

/// A request of a terminal on which nobody has signed in yet.
fn at_terminal<T>(terminal: &SoftwareKey, method: &str, at: i64, message: T) -> Request<T> {
    let proof = dpop::sign(terminal, method, ISSUER, None, Timestamp::from_secs(at), &jti()).unwrap();
    let mut request = Request::new(message);
    request.metadata_mut().insert("dpop", proof.parse().unwrap());
    request
}

pub fn now() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// A random name for one use.
pub fn jti() -> String {
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    paraphe_proto::encoding::base64url(&bytes)
}

/// The stable code of a refusal.
pub fn code(status: &tonic::Status) -> String {
    use tonic_types::StatusExt;
    status
        .get_details_error_info()
        .map(|info| info.reason)
        .unwrap_or_default()
}
