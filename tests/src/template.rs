//! What every world begins with: initialised once per process by the real daemon, through its own interfaces.
//!
//! Called by [`World`](crate::World). It holds: `paraphed init` with development TLS; the first administrator's phone (`admin-1`);
//! service accounts, one for each role and a second clerk; the backends `market` and `bank`, which may name people, and `shop`,
//! which may not; Anna Maria's phone, enrolled at the counter.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use paraphe_proto::keys::{Signer as _, SoftwareKey};
use paraphe_proto::v1::{CreateServiceAccountRequest, RegisterRelyingPartyRequest, Role};
use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::clock::rng;
use crate::daemon::{self, Daemon};
use crate::operator::{Operator, path};
use crate::person::{self, PIN, Person};
use crate::session::Staff;
use crate::settings::Settings;
use crate::specimen::Specimen;
use crate::world::Link;
use crate::{binaries, folder, log};

/// The service accounts with their role.
pub const ACCOUNTS: [(&str, Role); 6] = [
    ("clerk", Role::Clerk),
    ("colleague", Role::Clerk),
    ("supervisor", Role::Supervisor),
    ("support", Role::Support),
    ("auditor", Role::Auditor),
    ("administrator", Role::Administrator),
];

/// The backends: id, name, whether they may name people, actions they may ask for.
const BACKENDS: [(&str, &str, bool, &[&str]); 3] = [
    ("market", "Mon Compte Formation", true, &[]),
    ("bank", "Banque des Deux Rives", true, &[]),
    ("shop", "La Petite Boutique", false, &["course.buy"]),
];

/// What `paraphed init --json` prints.
#[derive(Deserialize)]
pub struct Initialised {
    /// Issuer URL.
    pub issuer: String,
    /// Activations of the first administrators.
    pub administrators: Vec<FirstAdministrator>,
}

/// One of the first administrators.
#[derive(Deserialize)]
pub struct FirstAdministrator {
    /// Operator name.
    pub operator: String,
    /// The activation.
    pub activation_id: String,
    /// For typing.
    pub code: String,
    /// Content of the QR code.
    pub uri: String,
}

/// The template's folder.
pub async fn folder() -> &'static Path {
    static FOLDER: OnceCell<PathBuf> = OnceCell::const_new();
    FOLDER.get_or_init(build).await
}

/// Initialises a folder with these settings; nothing runs yet.
pub fn initialise(folder: &Path, settings: &Settings) -> Initialised {
    settings.write(folder);
    let arguments = ["--development-tls", "--json"];
    let done = daemon::run(&binaries::paraphed_with_hooks(), "init", folder, &arguments);
    assert_eq!(done.code, 0, "paraphed init: {}", done.stderr);
    serde_json::from_str(&done.stdout).expect("what init prints is JSON")
}

async fn build() -> PathBuf {
    let folder = folder::of_process().join("template");
    fs::create_dir_all(&folder).expect("the template's folder");
    let initialised = initialise(&folder, &Settings::default());
    let running = Daemon::start(&binaries::paraphed_with_hooks(), &folder).expect("the daemon starts");
    let link = Link::new(&folder);
    link.lead_to(&running.address);
    for first in &initialised.administrators {
        link.keep_secret(&first.code);
        fs::write(folder.join(format!("{}.uri", first.operator)), &first.uri).expect("a file");
    }
    let first = &initialised.administrators[0];
    let dir = folder.join("phones/admin-1");
    let (phone, _) = person::activate(&link, &dir, &first.uri, PIN).await;
    let administrator = log_in(&folder, &link, &first.operator, &phone).await;
    create_accounts(&folder, &administrator).await;
    register_backends(&folder, &administrator).await;
    enrol_anna(&folder, &link).await;
    assert_eq!(running.stop().await, 0);
    log::require_clean(&folder, &link.secrets());
    fs::remove_file(daemon::log_file(&folder)).expect("the log");
    folder
}

async fn log_in(folder: &Path, link: &Arc<Link>, name: &str, phone: &Person) -> Operator {
    let pem = fs::read_to_string(folder.join("first-terminal.pem")).expect("the terminal's key");
    let terminal = SoftwareKey::from_pkcs8_pem(&pem).expect("the terminal's key");
    Staff::new(Arc::clone(link), terminal).log_in(name, phone).await
}

async fn create_accounts(folder: &Path, administrator: &Operator) {
    let mut ids = BTreeMap::new();
    for (name, role) in ACCOUNTS {
        let message = CreateServiceAccountRequest {
            name: name.to_owned(),
            roles: vec![role.into()],
            public_jwk: new_key(folder, name),
        };
        let request = administrator.authorise(message, &path("Admin", "CreateServiceAccount"));
        let made = administrator.admin().create_service_account(request).await;
        ids.insert(name, made.expect("an account").into_inner().operator_id);
    }
    let text = serde_json::to_string(&ids).expect("JSON");
    fs::write(folder.join("operators.json"), text).expect("a file");
}

async fn register_backends(folder: &Path, administrator: &Operator) {
    for (id, name, may_identify, actions) in BACKENDS {
        let message = RegisterRelyingPartyRequest {
            relying_party_id: id.to_owned(),
            display_name: name.to_owned(),
            public_jwk: new_key(folder, id),
            certificate_sha256: String::new(),
            may_identify,
            actions: actions.iter().map(ToString::to_string).collect(),
        };
        let request = administrator.authorise(message, &path("Admin", "RegisterRelyingParty"));
        administrator
            .admin()
            .register_relying_party(request)
            .await
            .expect("a backend");
    }
}

async fn enrol_anna(folder: &Path, link: &Arc<Link>) {
    let clerk = Operator::service(
        Arc::clone(link),
        &operator_id(folder, "clerk"),
        key(folder, "clerk"),
    );
    let issued = clerk.invite(&Specimen::anna()).await;
    let (_, digits) = person::activate(link, &folder.join("phones/anna"), &issued.uri, PIN).await;
    clerk
        .confirm(&issued.activation_id, &digits)
        .await
        .expect("the digits are right");
}

/// Makes a key file and gives the public JWK.
pub fn new_key(folder: &Path, name: &str) -> String {
    let key = SoftwareKey::generate(&mut rng()).expect("a key");
    let pem = key.to_pkcs8_pem().expect("a key");
    fs::write(folder.join(format!("{name}.pem")), pem.as_bytes()).expect("a key file");
    serde_json::to_string(&key.public_key().to_jwk()).expect("a JWK")
}

/// A private key of a folder.
#[must_use]
pub fn key(folder: &Path, name: &str) -> SoftwareKey {
    let pem = fs::read_to_string(folder.join(format!("{name}.pem"))).expect("a key file");
    SoftwareKey::from_pkcs8_pem(&pem).expect("a key")
}

/// The id of a service account.
#[must_use]
pub fn operator_id(folder: &Path, name: &str) -> String {
    let text = fs::read_to_string(folder.join("operators.json")).expect("the accounts");
    let ids: BTreeMap<String, String> = serde_json::from_str(&text).expect("JSON");
    ids[name].clone()
}
