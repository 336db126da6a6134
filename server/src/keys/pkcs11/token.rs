//! One token: its module loaded and initialised, its slot found by label, sessions logged in. Called by `pkcs11` alone.
//!
//! Invariant: a PIN that the token has refused is never tried again by this process.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11 as Module};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use super::error::TokenError;
use crate::config::Pkcs11;

/// A token that has been found once. It may go away and come back.
pub struct Token {
    module: Module,
    label: String,
    pin: AuthPin,
    pin_refused: AtomicBool,
}

/// What a session may do.
#[derive(Clone, Copy)]
pub enum Access {
    /// Sign.
    Use,
    /// Make keys, too.
    Change,
}

impl Token {
    /// Loads the module and reads the PIN. Whether the token is there shows with the first session.
    ///
    /// # Errors
    /// [`TokenError`] naming the configuration key.
    pub fn connect(config: &Pkcs11) -> Result<Self, TokenError> {
        Ok(Self {
            pin: read_pin(&config.pin_file)?,
            module: load(&config.module)?,
            label: config.token_label.clone(),
            pin_refused: AtomicBool::new(false),
        })
    }

    /// A session in which the private keys can be used.
    ///
    /// # Errors
    /// [`TokenError`] when the token is away, does not take the PIN or fails.
    pub fn session(&self, access: Access) -> Result<Session, TokenError> {
        let slot = slot_of(&self.module, &self.label)?;
        let session = match access {
            Access::Use => self.module.open_ro_session(slot)?,
            Access::Change => self.module.open_rw_session(slot)?,
        };
        self.log_in(&session, slot)?;
        Ok(session)
    }

    /// PKCS#11 logs in an application, not a session: while another session is open, this one is logged in already.
    fn log_in(&self, session: &Session, slot: Slot) -> Result<(), TokenError> {
        let state = session.get_session_info()?.session_state();
        if matches!(state, SessionState::RoUser | SessionState::RwUser) {
            return Ok(());
        }
        if self.pin_refused.load(Ordering::SeqCst) {
            return Err(TokenError::Pin("it was refused before".to_owned()));
        }
        if self.module.get_token_info(slot)?.user_pin_final_try() {
            return Err(TokenError::FinalTry(self.label.clone()));
        }
        match session.login(UserType::User, Some(&self.pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(Error::Pkcs11(refused, _)) if is_about_the_pin(refused) => {
                self.pin_refused.store(true, Ordering::SeqCst);
                Err(TokenError::Pin(format!("{refused:?}")))
            }
            Err(other) => Err(other.into()),
        }
    }
}

/// Whether the token is there, without trying its PIN.
///
/// # Errors
/// [`TokenError::Module`], [`TokenError::Label`], [`TokenError::Failed`].
pub fn look(config: &Pkcs11) -> Result<(), TokenError> {
    slot_of(&load(&config.module)?, &config.token_label).map(|_| ())
}

fn is_about_the_pin(refused: RvError) -> bool {
    matches!(
        refused,
        RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinExpired
            | RvError::PinLocked
            | RvError::UserPinNotInitialized
    )
}

fn load(path: &Path) -> Result<Module, TokenError> {
    let unusable = |error: Error| TokenError::Module {
        path: path.to_owned(),
        detail: error.to_string(),
    };
    let module = Module::new(path).map_err(unusable)?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(module),
        Err(error) => Err(unusable(error)),
    }
}

/// The slot whose token has this label. Slot numbers change when tokens come and go, labels do not.
fn slot_of(module: &Module, label: &str) -> Result<Slot, TokenError> {
    let mut shown = Vec::new();
    let mut found = Vec::new();
    for slot in module.get_slots_with_token()? {
        let Ok(info) = module.get_token_info(slot) else {
            continue;
        };
        if info.token_initialized() && info.label() == label {
            found.push(slot);
        }
        if info.token_initialized() {
            shown.push(format!("{:?}", info.label()));
        }
    }
    match found.as_slice() {
        [slot] => Ok(*slot),
        several => Err(TokenError::Label {
            label: label.to_owned(),
            count: several.len(),
            shown: match shown.is_empty() {
                true => "none at all".to_owned(),
                false => shown.join(", "),
            },
        }),
    }
}

fn read_pin(path: &Path) -> Result<AuthPin, TokenError> {
    let refused = |detail: String| TokenError::PinFile {
        path: path.to_owned(),
        detail,
    };
    let text = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| refused(format!("cannot be read ({error}): let the daemon's user read it")))?;
    super::super::file::warn_if_open(path);
    let pin = text.trim_end_matches(['\r', '\n']);
    if pin.is_empty() || pin.contains(['\r', '\n']) {
        return Err(refused(
            "does not hold a PIN: one line with the user PIN is allowed".to_owned(),
        ));
    }
    Ok(AuthPin::from(pin))
}
