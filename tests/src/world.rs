//! One daemon in a folder of its own, and the ways to it.
//!
//! Called by every end-to-end test. Invariants: a world begins as a copy of the [`template`](crate::template); its parties
//! follow it over restarts and clock moves; when it goes, its daemon goes with it and its log has been searched.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use paraphe_companion::Server;
use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::time::Timestamp;
use tempfile::TempDir;
use tonic::Request;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::backend::Backend;
use crate::daemon::{Daemon, clock_file};
use crate::operator::Operator;
use crate::person::{self, PIN, Person};
use crate::session::Staff;
use crate::settings::{ISSUER, Settings};
use crate::specimen::Specimen;
use crate::{binaries, folder, log, template};

/// The connection that the parties of a world share.
pub struct Link {
    /// Issuer URL.
    pub issuer: String,
    ca_pem: Vec<u8>,
    offset_s: AtomicI64,
    current: Mutex<Option<(String, Channel)>>,
    secrets: Mutex<Vec<String>>,
}

impl Link {
    /// A link that leads nowhere yet.
    #[must_use]
    pub fn new(folder: &Path) -> Arc<Self> {
        Arc::new(Self {
            issuer: ISSUER.to_owned(),
            ca_pem: std::fs::read(folder.join("ca.pem")).expect("the authority"),
            offset_s: AtomicI64::new(0),
            current: Mutex::new(None),
            secrets: Mutex::new(Vec::new()),
        })
    }

    /// Leads to this address from now on.
    pub fn lead_to(&self, address: &str) {
        let url = format!("https://{address}");
        let channel = self.endpoint(&url, None).connect_lazy();
        *lock(&self.current) = Some((url, channel));
    }

    fn endpoint(&self, url: &str, identity: Option<Identity>) -> Endpoint {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.ca_pem));
        if let Some(identity) = identity {
            tls = tls.identity(identity);
        }
        let endpoint = Endpoint::from_shared(url.to_owned()).expect("a URL");
        endpoint.tls_config(tls).expect("the authority is good")
    }

    /// A connection of its own that shows a client certificate.
    #[must_use]
    pub fn with_certificate(&self, identity: Identity) -> Channel {
        self.endpoint(&self.url(), Some(identity)).connect_lazy()
    }

    /// `https://127.0.0.1:PORT`
    #[must_use]
    pub fn url(&self) -> String {
        lock(&self.current).as_ref().expect("the daemon runs").0.clone()
    }

    /// The shared connection.
    #[must_use]
    pub fn channel(&self) -> Channel {
        lock(&self.current).as_ref().expect("the daemon runs").1.clone()
    }

    /// The same for phones.
    #[must_use]
    pub fn server(&self) -> Server {
        Server::over(self.url(), self.channel())
    }

    /// The daemon's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        crate::clock::now().plus_s(self.offset_s.load(Ordering::Relaxed))
    }

    /// Notes what no log line may hold.
    pub fn keep_secret(&self, secret: &str) {
        let mut secrets = lock(&self.secrets);
        if !secret.is_empty() && !secrets.iter().any(|known| known == secret) {
            secrets.push(secret.to_owned());
        }
    }

    /// Notes the personal data of a person.
    pub fn keep_person(&self, who: &Specimen) {
        for datum in [&who.family_name, &who.given_names, &who.number, &who.birth_date] {
            self.keep_secret(datum);
        }
    }

    /// What was noted.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        lock(&self.secrets).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request with a bearer token.
#[must_use]
pub fn bearer<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    with_header(&mut request, "authorization", &format!("Bearer {token}"));
    request
}

/// Sets one metadata entry.
pub fn with_header<T>(request: &mut Request<T>, name: &'static str, value: &str) {
    request.metadata_mut().insert(name, value.parse().expect("ASCII"));
}

/// A daemon with its folder and its parties.
pub struct World {
    /// The way to the daemon.
    pub link: Arc<Link>,
    /// Configuration, keys, database, phones.
    pub folder: TempDir,
    binary: PathBuf,
    daemon: Option<Daemon>,
}

impl World {
    /// A world with the usual settings.
    pub async fn start() -> Self {
        Self::with(|settings| settings).await
    }

    /// A world with other settings.
    pub async fn with(change: impl FnOnce(Settings) -> Settings) -> Self {
        let mut world = Self::stopped(change).await;
        world.resume();
        world
    }

    /// A world whose daemon has not been started.
    pub async fn stopped(change: impl FnOnce(Settings) -> Settings) -> Self {
        let template = template::folder().await;
        let folder = folder::fresh("world");
        folder::copy(template, folder.path());
        change(Settings::default()).write(folder.path());
        let link = Link::new(folder.path());
        link.keep_person(&Specimen::anna());
        Self {
            link,
            folder,
            binary: binaries::paraphed_with_hooks(),
            daemon: None,
        }
    }

    /// Starts the daemon.
    pub fn resume(&mut self) {
        let started = Daemon::start(&self.binary, self.folder.path());
        let daemon = started.expect("the daemon starts");
        self.link.lead_to(&daemon.address);
        self.daemon = Some(daemon);
    }

    /// The running daemon.
    #[must_use]
    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("the daemon runs")
    }

    /// Takes the running daemon, to watch it end.
    pub fn take_daemon(&mut self) -> Daemon {
        self.daemon.take().expect("the daemon runs")
    }

    /// Stops the daemon with SIGTERM.
    pub async fn stop(&mut self) {
        assert_eq!(self.take_daemon().stop().await, 0, "SIGTERM ends in exit code 0");
    }

    /// Stops and starts it on the same files.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.resume();
    }

    /// Kills it and starts it on the same files.
    pub fn crash(&mut self) {
        self.take_daemon().kill();
        self.resume();
    }

    /// Moves the daemon's clock, and that of its parties.
    pub fn move_clock(&self, seconds: i64) {
        let offset = self.link.offset_s.fetch_add(seconds, Ordering::Relaxed) + seconds;
        let file = clock_file(self.folder.path());
        let fresh = file.with_extension("fresh");
        std::fs::write(&fresh, offset.to_string()).expect("the clock file");
        std::fs::rename(fresh, file).expect("the clock file");
    }

    /// A private key of the template.
    #[must_use]
    pub fn key(&self, name: &str) -> SoftwareKey {
        template::key(self.folder.path(), name)
    }

    /// A backend of the template: `market`, `bank` or `shop`.
    #[must_use]
    pub fn backend(&self, id: &str) -> Backend {
        Backend::new(Arc::clone(&self.link), id, self.key(id))
    }

    /// A service account of the template: `clerk`, `colleague`, `supervisor`, `support`, `auditor`, `administrator`.
    #[must_use]
    pub fn operator(&self, name: &str) -> Operator {
        let id = template::operator_id(self.folder.path(), name);
        Operator::service(Arc::clone(&self.link), &id, self.key(name))
    }

    /// The first terminal.
    #[must_use]
    pub fn terminal(&self) -> Staff {
        let pem = std::fs::read_to_string(self.folder.path().join("first-terminal.pem")).expect("a key");
        Staff::new(
            Arc::clone(&self.link),
            SoftwareKey::from_pkcs8_pem(&pem).expect("a key"),
        )
    }

    /// Anna's phone, active since the template.
    #[must_use]
    pub fn anna(&self) -> Person {
        Person::open(&self.link, &self.phone_dir("anna"), PIN)
    }

    /// The first administrator's phone.
    #[must_use]
    pub fn administrator(&self) -> Person {
        Person::open(&self.link, &self.phone_dir("admin-1"), PIN)
    }

    /// Where a phone's folder lies.
    #[must_use]
    pub fn phone_dir(&self, name: &str) -> PathBuf {
        self.folder.path().join("phones").join(name)
    }

    /// Activates a phone for somebody up to the six digits; the activation's id comes with them.
    pub async fn activate(&self, who: &Specimen, pin: &str) -> (Person, String, String) {
        let issued = self.operator("clerk").invite(who).await;
        let dir = self.phone_dir(&crate::clock::unique().to_lowercase());
        let (person, digits) = person::activate(&self.link, &dir, &issued.uri, pin).await;
        (person, issued.activation_id, digits)
    }

    /// Enrols somebody, with a confirmed phone.
    pub async fn enrol(&self, who: &Specimen, pin: &str) -> Person {
        let (person, activation, digits) = self.activate(who, pin).await;
        let confirmed = self.operator("clerk").confirm(&activation, &digits).await;
        assert_eq!(confirmed.expect("the digits are right").state, "confirmed");
        person
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.daemon.take());
        if !std::thread::panicking() {
            log::require_clean(self.folder.path(), &self.link.secrets());
        }
    }
}
