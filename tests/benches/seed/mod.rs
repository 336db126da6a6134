//! Large databases through the store's own transactions: distinct sealed rows of the domain's own records.
//!
//! Everybody has a subject, a case, an activation, a device and a name at one backend; past challenges carry the statements of a
//! few real confirmations, made by the use cases themselves (10,000,000 anew would take an hour): length, ids, times, numbers and
//! ciphertexts are those of distinct confirmations, the signed texts repeat.

mod past;
mod people;
mod records;
mod spread;
mod store;
mod templates;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use paraphe_proto::keys::{Signer, SoftwareKey};
use paraphe_server::domain::relying_party::RelyingParty;
use paraphe_server::domain::secret::Bytes;
use rand_core::OsRng;

use crate::Result;
use crate::deployment::Deployment;
use crate::phones::Phone;
use people::People;
use store::Store;

/// The one backend.
pub const BACKEND: &str = "course-marketplace";

/// What a database shall hold.
#[derive(Clone, Copy, Default)]
pub struct Plan {
    /// Enrolled people.
    pub subjects: u64,
    /// Those of them whose phones have real keys.
    pub phones: u64,
    /// Past challenges, approved, spread over the people and the months.
    pub past: u64,
    /// Pending challenges of distinct people, and when they all expire, Unix seconds.
    pub pending: Option<(u64, i64)>,
}

/// What was seeded.
pub struct Seeded {
    /// Folder for `paraphe load run --from`.
    pub phones: PathBuf,
    /// The phones of the folder.
    pub handsets: Vec<Phone>,
    /// Its id.
    pub backend: String,
    /// Its private key.
    pub backend_key: PathBuf,
    /// Rows that were inserted.
    pub rows: u64,
    /// How long that took.
    pub took: Duration,
    /// Bytes that the past added to the database.
    pub past_bytes: u64,
}

impl Seeded {
    /// What an earlier run left in a folder.
    pub fn found(deployment: &Deployment, backend: &str) -> Self {
        Self {
            phones: deployment.path("phones"),
            handsets: Vec::new(),
            backend: backend.to_owned(),
            backend_key: deployment.path("backend.pem"),
            rows: 0,
            took: Duration::ZERO,
            past_bytes: 0,
        }
    }
}

/// Fills a new deployment's database, which no daemon has open.
///
/// # Errors
/// Those of the store.
pub fn seed(deployment: &Deployment, plan: Plan) -> Result<Seeded> {
    let begun = Instant::now();
    let store = Store::open(&deployment.path("paraphed.toml"))?;
    let (party, backend_key) = register(deployment, &store)?;
    let people = People::new(&store, plan.subjects.max(plan.phones));
    let handsets = people.enrol(&store, plan.phones)?;
    let templates = match handsets.first() {
        Some(phone) if plan.past > 0 || plan.pending.is_some() => templates::confirm(&store, &party, phone)?,
        _ => Vec::new(),
    };
    let mut rows = store.rows();
    let store = store.reopened()?;
    let before = deployment.database_bytes()?;
    past::decided(&store, &people, &templates, plan.past)?;
    rows += store.rows();
    let store = store.reopened()?;
    let past_bytes = deployment.database_bytes()? - before;
    if let Some((count, expires_at)) = plan.pending {
        past::pending(&store, &people, &templates, count, expires_at)?;
        rows += store.rows();
    }
    let phones = write_phones(deployment, &store, &people, &handsets)?;
    store.close()?;
    Ok(Seeded {
        phones,
        handsets,
        backend: BACKEND.to_owned(),
        backend_key,
        rows,
        took: begun.elapsed(),
        past_bytes,
    })
}

fn register(deployment: &Deployment, store: &Store) -> Result<(RelyingParty, PathBuf)> {
    let key = SoftwareKey::generate(&mut OsRng)?;
    let file = deployment.path("backend.pem");
    std::fs::write(&file, key.to_pkcs8_pem()?.as_bytes())?;
    let party = RelyingParty {
        id: BACKEND.to_owned(),
        display_name: "Course marketplace".to_owned(),
        public_key: Some(Bytes(*key.public_key().as_sec1())),
        certificate_sha256: None,
        may_identify: true,
        actions: Vec::new(),
        registered_at: store.now,
    };
    store.insert(Arc::new(vec![party.clone()]))?;
    Ok((party, file))
}

fn write_phones(
    deployment: &Deployment,
    store: &Store,
    people: &People,
    handsets: &[Phone],
) -> Result<PathBuf> {
    let folder = deployment.path("phones");
    std::fs::create_dir_all(&folder)?;
    let issuer = serde_json::json!({
        "issuer": store.facts.issuer(),
        "root_key": store.facts.keys.root_public(),
    });
    std::fs::write(folder.join("issuer.json"), issuer.to_string())?;
    let mut lines = Vec::new();
    for (index, phone) in (0..).zip(handsets) {
        let name = people.name(index);
        serde_json::to_writer(&mut lines, &phone.line(BACKEND, &name.identity())?)?;
        lines.write_all(b"\n")?;
    }
    std::fs::write(folder.join("phones.jsonl"), lines)?;
    Ok(folder)
}
