//! `paraphe load prepare`: people are enrolled at the real desk, in the name of the clerk who is logged in.
//!
//! Called by `commands/load.rs`. Invariants: a phone is in the folder once it is confirmed, and then it is whole; what fails
//! loses the people under way and no other. Protocol: section 5.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use paraphe_companion::{Activated, Activation, Argon2Cost, Invitation, KeyStore};
use paraphe_proto::activation::ActivationUri;
use paraphe_proto::encoding::{B64, B64Vec};
use paraphe_proto::v1::enrolment_client::EnrolmentClient;
use paraphe_proto::v1::{
    Check, ConfirmActivationRequest, IssueActivationRequest, IssueActivationResponse, OpenCaseRequest,
    RecordEvidenceRequest,
};
use serde::Serialize;
use zeroize::Zeroizing;

use super::desk_phone::DeskPhone;
use super::folder::{Appender, Folder, Issuer, PhoneLine};
use super::keys::MemoryKeyStore;
use super::patience::{Patience, patiently};
use super::specimen::Specimen;
use super::{progress, tasks};
use crate::channel::AuthenticatedChannel;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output::{View, facts};
use crate::{edge, handset};

/// People at the desk at the same time.
const DESKS: usize = 8;

/// What to prepare.
pub struct Order {
    /// How many phones.
    pub phones: usize,
    /// Into which folder.
    pub to: PathBuf,
    /// The clerk's own phone.
    pub clerk_phone: PathBuf,
    /// Its PIN.
    pub pin_file: PathBuf,
    /// Enrolment channel.
    pub channel: String,
}

/// What was prepared.
#[derive(Serialize)]
pub struct Prepared {
    phones: usize,
    to: PathBuf,
    quarantined_until: Option<i64>,
}

impl View for Prepared {
    fn text(&self) -> String {
        let until = self
            .quarantined_until
            .map(paraphe_proto::time::Timestamp::from_secs);
        facts([
            ("phones", self.phones.to_string()),
            ("folder", self.to.display().to_string()),
            (
                "quarantined until",
                until.map(crate::output::time_text).unwrap_or_default(),
            ),
        ])
    }
}

/// Enrols the phones and adds them to the folder.
///
/// # Errors
/// The first refusal; phones that were confirmed before it stay in the folder.
pub async fn prepare(context: &Context, order: Order) -> Result<Prepared> {
    let server = context.server()?;
    let credentials = context.operator(&server.issuer)?;
    let desk = Arc::new(Desk {
        enrolment: server.connect().await?.enrolment(credentials),
        phones: handset::connect(&server).await?,
        clerk: DeskPhone::open(&order.clerk_phone, &order.pin_file)?,
        channel: order.channel,
    });
    let mut shelf = Shelf::new(Folder::at(&order.to));
    let bar = progress::bar(context.output, "enrolling", order.phones);
    let people = (0..order.phones).map(|_| {
        let desk = Arc::clone(&desk);
        async move { desk.enrol().await }
    });
    tasks::each(DESKS, people, |enrolled| {
        bar.inc(1);
        shelf.put(enrolled)
    })
    .await?;
    bar.finish_and_clear();
    Ok(Prepared {
        phones: order.phones,
        to: order.to,
        quarantined_until: shelf.quarantined_until,
    })
}

/// Where confirmed phones go.
struct Shelf {
    folder: Folder,
    file: Option<Appender>,
    quarantined_until: Option<i64>,
}

impl Shelf {
    fn new(folder: Folder) -> Self {
        Shelf {
            folder,
            file: None,
            quarantined_until: None,
        }
    }

    /// The first phone names the issuer of all.
    fn put(&mut self, enrolled: Enrolled) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                self.folder.create(&enrolled.issuer)?;
                self.file.insert(self.folder.append()?)
            }
        };
        file.add(&enrolled.phone)?;
        self.quarantined_until = self.quarantined_until.max(enrolled.quarantined_until);
        Ok(())
    }
}

struct Desk {
    enrolment: EnrolmentClient<AuthenticatedChannel>,
    phones: paraphe_companion::Server,
    clerk: DeskPhone,
    channel: String,
}

struct Enrolled {
    issuer: Issuer,
    phone: PhoneLine,
    quarantined_until: Option<i64>,
}

impl Desk {
    async fn enrol(&self) -> Result<Enrolled> {
        let person = Specimen::draw(&mut edge::random());
        let case_id = self.verified(&person).await?;
        let issued = self.issue(&case_id).await?;
        let handset = NewHandset::activate(&self.phones, &issued.uri).await?;
        let quarantined_until = self.confirm(&issued, handset.activated.sas.to_string()).await?;
        let uri = ActivationUri::parse(&issued.uri)
            .map_err(|error| Error::other(error.code(), error.to_string()))?;
        Ok(Enrolled {
            issuer: Issuer {
                issuer: uri.issuer,
                root_key: uri.root_key,
            },
            phone: handset.line(person)?,
            quarantined_until,
        })
    }

    /// A verified case; its id.
    async fn verified(&self, person: &Specimen) -> Result<String> {
        let open = OpenCaseRequest {
            channel: self.channel.clone(),
        };
        let case = patiently(|| async { Ok(self.enrolment.clone().open_case(open.clone()).await?) }).await?;
        let case_id = case.into_inner().case_id;
        let evidence = RecordEvidenceRequest {
            case_id: case_id.clone(),
            mrz: person.mrz.clone(),
            checks: vec![Check::DocumentGenuine.into(), Check::HolderLikeness.into()],
            accepted: true,
            ..Default::default()
        };
        patiently(|| async { Ok(self.enrolment.clone().record_evidence(evidence.clone()).await?) }).await?;
        Ok(case_id)
    }

    /// The activation of a case, signed on the clerk's phone: one at a time, since a newer one takes its place.
    async fn issue(&self, case_id: &str) -> Result<IssueActivationResponse> {
        let phone = self.clerk.take().await;
        let issue = IssueActivationRequest {
            case_id: case_id.to_owned(),
            replaces: false,
            ..Default::default()
        };
        let issued =
            patiently(|| async { Ok(self.enrolment.clone().issue_activation(issue.clone()).await?) });
        let issued = issued.await?.into_inner();
        phone.stand_for(&self.phones, &issued).await?;
        Ok(issued)
    }

    /// Types the six digits; until when the phone can only refuse.
    async fn confirm(&self, issued: &IssueActivationResponse, code: String) -> Result<Option<i64>> {
        let request = ConfirmActivationRequest {
            activation_id: issued.activation_id.clone(),
            code,
        };
        let confirm = || async { Ok(self.enrolment.clone().confirm_activation(request.clone()).await?) };
        let device = patiently(confirm).await?.into_inner().device;
        Ok(device
            .map(|device| device.quarantined_until)
            .filter(|until| *until > 0))
    }
}

/// A phone that has just been activated, with what is needed to bring it up again without its folder.
struct NewHandset {
    activated: Activated,
    keystore: Arc<MemoryKeyStore>,
    pin: Zeroizing<String>,
}

impl NewHandset {
    async fn activate(server: &paraphe_companion::Server, uri: &str) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(Error::file("create a folder in", &std::env::temp_dir()))?;
        let keystore = Arc::new(MemoryKeyStore::default());
        let begin = || async {
            let keystore: Arc<dyn KeyStore> = Arc::<MemoryKeyStore>::clone(&keystore);
            let invitation = Invitation::from_uri(uri)?;
            Ok(Activation::begin(folder.path(), keystore, invitation, server, &mut edge::random()).await?)
        };
        let mut activation = patiently(begin).await?;
        let pin = handset::choose_pin(&activation)?;
        let patience = Patience::of_preparation();
        let mut tries = patience.until(patience.deadline(Duration::ZERO));
        let activated = loop {
            let done = if activation.pin_is_chosen() {
                activation.complete(server).await
            } else {
                let mut rng = edge::random();
                activation
                    .finish(server, &pin, Argon2Cost::LOWEST, &mut rng)
                    .await
            };
            match done {
                Ok(activated) => break activated,
                Err(error) => tries.again(error.into()).await?,
            }
        };
        Ok(NewHandset {
            activated,
            keystore,
            pin,
        })
    }

    fn line(&self, person: Specimen) -> Result<PhoneLine> {
        let unreadable = |error: String| Error::other("load.phone", error);
        let record = self.activated.phone.record();
        let key = self
            .keystore
            .key()
            .ok_or_else(|| unreadable("The phone has no key.".to_owned()))?;
        let pem = key
            .to_pkcs8_pem()
            .map_err(|error| unreadable(error.to_string()))?;
        let secret = self
            .keystore
            .unseal(&record.key_label, &record.key.sealed_device_secret.0)?;
        let wrapped =
            serde_json::to_vec(&record.key.wrapped).map_err(|error| unreadable(error.to_string()))?;
        Ok(PhoneLine {
            name: format!("{} {}", person.given_names, person.family_name),
            family_name: person.family_name,
            given_names: person.given_names,
            birth_date: person.birth_date,
            birthplace: String::new(),
            device_id: record.device_id,
            epoch: record.epoch,
            possession_key_pem: pem.to_string(),
            device_secret: B64(*secret),
            wrapped_key: B64Vec(wrapped),
            pin: self.pin.to_string(),
            subjects: std::collections::BTreeMap::new(),
        })
    }
}
