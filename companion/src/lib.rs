//! The phone's core: everything of a Paraphe app but its screen and its secure chip.
//!
//! An app shows what these calls return and asks the person; it never sees a key, a nonce or a signature. The whole of it:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use paraphe_companion::{Activation, Address, Argon2Cost, Error, Event, Invitation, KeyStore, Phone, Server};
//! # use rand_core::{CryptoRng, RngCore};
//! # fn ask(_question: &str) -> String { String::new() }
//! # async fn app(dir: &str, chip: Arc<dyn KeyStore>, address: Address, rng: &mut (impl CryptoRng + RngCore)) -> Result<(), Error> {
//! let server = Server::connect(&address).await?;
//!
//! // Once, at the counter: scan, choose a PIN, show six digits for the clerk to type.
//! let invitation = Invitation::from_uri(&ask("scan the code"))?;
//! let mut activation = Activation::begin(dir, chip.clone(), invitation, &server, rng).await?;
//! let activated = activation.finish(&server, &ask("choose a PIN"), Argon2Cost::DEFAULT, rng).await?;
//! println!("{}", activated.sas);
//!
//! // Ever after: wait, show, answer.
//! let Some(phone) = Phone::open(dir, chip)? else { return Ok(()) };
//! let mut watch = phone.watch(&server).await?;
//! while let Some(event) = watch.next().await? {
//!     let Event::Pending(pending) = event else { continue };
//!     let shown = pending.challenge?;
//!     println!("{} asks: {}", shown.relying_party().name, shown.document().title);
//!     for row in &shown.document().rows {
//!         println!("{}: {}", row.label, row.value);
//!     }
//!     let receipt = match ask("yes, no, or not me?").as_str() {
//!         "yes" => {
//!             let code = shown.match_digits().map(|_| ask("the code of the page"));
//!             phone.approve(&server, &shown, code.as_deref(), &ask("PIN"), rng).await?
//!         }
//!         "no" => phone.refuse(&server, &shown).await?,
//!         _ => phone.report(&server, &shown).await?,
//!     };
//!     println!("{}", receipt.state);
//! }
//! let latest = phone.history(&server, None, 0).await?.entries;
//! # let _ = latest;
//! # Ok(())
//! # }
//! ```
//!
//! | module | protocol.md |
//! | --- | --- |
//! | `invitation`, `activate`, `prepare` | activation (section 5) |
//! | `watch`, `challenge`, `own` | what may be shown (section 6) |
//! | `approve`, `attempt`, `unlock`, `refuse` | answering (sections 4 and 6) |
//! | `life`, `replace` | stopping, giving up, another phone (section 5) |
//! | `change_pin`, `epoch` | changing the PIN (section 4) |
//! | `device`, `history` | what the daemon knows of the phone (section 6) |
//! | `trust` | the issuer's keys (section 3) |
//! | `keystore`, [`state`], `state_file` | what the phone keeps (section 2) |
//! | `request`, `connect` | how it speaks (section 3) |
//! | [`protocol`] | the pieces, for attack tests |
//!
//! Nothing here reads a clock or draws randomness by itself, and nothing is global: `rng`, the connection, the keystore and
//! the folder are arguments.
#![warn(missing_docs)]

mod activate;
mod approve;
mod attempt;
mod challenge;
mod change_pin;
mod connect;
mod device;
mod epoch;
mod error;
mod files;
#[cfg(test)]
mod flow_tests;
mod history;
mod invitation;
mod keystore;
mod life;
mod outcome;
mod own;
mod phone;
mod prepare;
pub mod protocol;
mod refuse;
mod replace;
mod request;
mod software_keystore;
pub mod state;
mod state_file;
#[cfg(test)]
mod testing;
mod trust;
mod unlock;
mod watch;

pub use activate::{Activated, Activation};
pub use challenge::Shown;
pub use change_pin::{PinChange, require_another};
pub use connect::{Address, Server};
pub use device::{Attestation, Blocked, Device, DeviceState, Newcomer};
pub use epoch::Settled;
pub use error::{Advice, Error};
pub use history::{DeviceEventsPage, HistoryPage};
pub use invitation::Invitation;
pub use keystore::{KeyStore, KeyStoreError, PossessionKey};
pub use outcome::{FinalState, Receipt};
pub use phone::Phone;
pub use replace::Invited;
pub use software_keystore::SoftwareKeyStore;
pub use state_file::{StateError, StateFile};
pub use trust::IssuerKeys;
pub use watch::{Event, Pending, Watch, backoff_s};

pub use paraphe_proto::pin::Argon2Cost;
