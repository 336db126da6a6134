//! Answering: approve with code and PIN, refuse, report. The phone keeps the statements of each answer.
//!
//! Invariant: exit code 0 says that the challenge ended as it was answered; an answer that came too late does not.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use paraphe_companion::{FinalState, Receipt};
use paraphe_proto::ids::ChallengeId;
use paraphe_proto::pin::Pin;
use paraphe_proto::v1::Statements;
use serde::{Deserialize, Serialize};

use super::Ready;
use super::look::find;
use super::views::AnsweredView;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::views::StatementsView;
use crate::{edge, files, handset, prompt};

/// Options of `paraphe phone approve`.
#[derive(clap::Args)]
pub struct ApproveArgs {
    #[command(flatten)]
    answer: AnswerArgs,
    /// The code of the page, from a file or - for standard input; asked for otherwise
    #[arg(long, value_name = "FILE")]
    match_code_file: Option<PathBuf>,
    /// The PIN, from a file or - for standard input; asked for without echo otherwise
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
}

/// Options of `refuse` and `report`.
#[derive(clap::Args)]
pub struct AnswerArgs {
    /// chl_…
    challenge: ChallengeId,
    /// Also write the statements into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Options of `paraphe phone statements`.
#[derive(clap::Args)]
pub struct StatementsArgs {
    /// chl_…
    challenge: ChallengeId,
    /// Folder for the files; it is made where it is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// What the phone keeps of an answer: the challenge that was shown, and what was signed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    challenge: String,
    approval: String,
    refusal: String,
}

impl Kept {
    fn new(receipt: &Receipt, answer: FinalState) -> Self {
        let signed = receipt.answer.clone();
        let (approval, refusal) = match answer {
            FinalState::Approved => (signed, String::new()),
            _ => (String::new(), signed),
        };
        Kept {
            challenge: receipt.challenge.clone(),
            approval,
            refusal,
        }
    }

    /// `answers/chl_….json` in the phone's folder.
    fn file(directory: &Path, challenge: ChallengeId) -> PathBuf {
        directory.join("answers").join(format!("{challenge}.json"))
    }

    fn save(&self, directory: &Path, challenge: ChallengeId) -> Result<()> {
        files::create_private_directory(&directory.join("answers"))?;
        let json =
            serde_json::to_vec(self).map_err(|error| Error::other("phone.answer", error.to_string()))?;
        files::write_private(&Self::file(directory, challenge), &json)
    }

    fn load(directory: &Path, challenge: ChallengeId) -> Result<Self> {
        let path = Self::file(directory, challenge);
        if !path.exists() {
            return Err(Error::NotFound(format!(
                "This phone has not answered {challenge}."
            )));
        }
        serde_json::from_str(&files::read(&path)?)
            .map_err(|error| Error::other("phone.answer", format!("{}: {error}.", path.display())))
    }

    fn write(self, out: &Path) -> Result<StatementsView> {
        let statements = Statements {
            challenge: self.challenge,
            approval: self.approval,
            refusal: self.refusal,
            ..Statements::default()
        };
        StatementsView::write(&statements, out)
    }
}

/// Shows the challenge, asks for the code and the PIN, approves.
pub(super) async fn approve(context: &Context, ready: &Ready, args: ApproveArgs) -> Result<()> {
    let shown = find(ready, args.answer.challenge).await?;
    context.output.say(&handset::screen("Phone", &shown))?;
    let place = handset::DigitsOn::of(&shown).name();
    let ask_code = |digits| {
        prompt::checked_secret(
            args.match_code_file.as_deref(),
            &format!("Code of the {place}, {digits} digits"),
            "--match-code-file",
            |code| is_code(code, digits, place),
        )
    };
    let code = shown.match_digits().map(ask_code).transpose()?;
    let code = code.as_ref().map(|code| code.as_str());
    loop {
        let pin = prompt::checked_secret(args.pin_file.as_deref(), "PIN", "--pin-file", is_pin)?;
        let answer = ready
            .phone
            .approve(&ready.server, &shown, code, &pin, &mut edge::random())
            .await;
        match answer.map_err(Error::from) {
            Ok(receipt) => return finish(context, ready, &args.answer, receipt, FinalState::Approved),
            Err(error) if may_retype(&error, args.pin_file.is_none()) => {
                context.output.note(&error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
}

/// Before the PIN is asked for: a code that cannot be the one on the page, or wherever it stands, would cost the whole challenge.
///
/// # Errors
/// [`Error::Invalid`] `match_code.malformed`.
fn is_code(typed: &str, digits: u8, place: &str) -> Result<()> {
    let code: Vec<char> = typed
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    if code.len() == usize::from(digits) && code.iter().all(char::is_ascii_digit) {
        return Ok(());
    }
    Err(Error::invalid(
        "match_code.malformed",
        format!("The {place} shows a code of {digits} digits."),
    ))
}

/// Before the daemon is asked: what can be no PIN costs no attempt.
///
/// # Errors
/// [`Error::Invalid`], as [`Pin::enter`] says.
pub(super) fn is_pin(typed: &str) -> Result<()> {
    match Pin::enter(typed) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::invalid(
            error.code(),
            format!("It cannot be right: {error}."),
        )),
    }
}

/// Whether a person may type the PIN again: at once, and without locking the phone by another mistake.
pub(super) fn may_retype(error: &Error, typed: bool) -> bool {
    let harmless = matches!(error, Error::WrongPin { attempts_left, wait_s: 0 } if *attempts_left > 1);
    harmless && typed && std::io::stdin().is_terminal()
}

pub(super) async fn refuse(context: &Context, ready: &Ready, args: AnswerArgs) -> Result<()> {
    let shown = find(ready, args.challenge).await?;
    let receipt = ready.phone.refuse(&ready.server, &shown).await?;
    finish(context, ready, &args, receipt, FinalState::Denied)
}

pub(super) async fn report(context: &Context, ready: &Ready, args: AnswerArgs) -> Result<()> {
    let shown = find(ready, args.challenge).await?;
    let receipt = ready.phone.report(&ready.server, &shown).await?;
    finish(context, ready, &args, receipt, FinalState::Reported)
}

/// Keeps what was shown and signed.
pub(super) fn keep(ready: &Ready, receipt: &Receipt, answer: FinalState) -> Result<Kept> {
    let kept = Kept::new(receipt, answer);
    kept.save(&ready.directory, receipt.challenge_id)?;
    Ok(kept)
}

/// Keeps the statements and shows how the challenge ended.
///
/// # Errors
/// [`Error::Forbidden`] `challenge.ended_otherwise` when that is not what was answered.
fn finish(
    context: &Context,
    ready: &Ready,
    args: &AnswerArgs,
    receipt: Receipt,
    answer: FinalState,
) -> Result<()> {
    let kept = keep(ready, &receipt, answer)?;
    if let Some(out) = &args.out {
        kept.write(out)?;
    }
    let state = receipt.state;
    context.output.show(&AnsweredView { receipt })?;
    ended_as(state, answer)
}

fn ended_as(state: FinalState, answer: FinalState) -> Result<()> {
    if state == answer {
        return Ok(());
    }
    let message = match (answer, state) {
        (FinalState::Approved, FinalState::Failed) => {
            "The challenge has ended as `failed`: the code was another one. Start again where it was shown."
                .to_owned()
        }
        _ => format!("The challenge has ended as `{state}`; the answer came too late."),
    };
    Err(Error::Forbidden {
        code: "challenge.ended_otherwise",
        message,
    })
}

/// `paraphe phone statements`.
pub(super) fn statements(context: &Context, directory: &Path, args: &StatementsArgs) -> Result<()> {
    let kept = Kept::load(directory, args.challenge)?;
    context.output.show(&kept.write(&args.out)?)
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use paraphe_proto::time::Timestamp;

    use super::*;

    #[test]
    fn an_answer_that_did_not_count_is_no_success() {
        assert!(ended_as(FinalState::Denied, FinalState::Denied).is_ok());
        let late = ended_as(FinalState::Expired, FinalState::Approved).unwrap_err();
        assert_eq!((late.exit(), late.code()), (5, "challenge.ended_otherwise"));
        let wrong = ended_as(FinalState::Failed, FinalState::Approved).unwrap_err();
        assert!(wrong.to_string().contains("the code was another one"), "{wrong}");
    }

    #[test]
    fn what_can_be_no_code_or_no_pin_is_noticed_while_it_is_typed() {
        for code in ["699029", "699 029", " 6 9 9 0 2 9"] {
            assert!(is_code(code, 6, "page").is_ok(), "{code}");
        }
        for code in ["69902", "6990299", "69902x", "٤٨٢٩١٣"] {
            let refused = is_code(code, 6, "terminal").unwrap_err();
            assert_eq!(refused.code(), "match_code.malformed", "{code}");
            assert_eq!(refused.to_string(), "The terminal shows a code of 6 digits.");
        }
        assert!(is_pin("271828").is_ok());
        assert_eq!(is_pin("27182x").unwrap_err().code(), "pin.not_digits");
    }

    #[test]
    fn a_script_never_types_a_wrong_pin_twice() {
        let wrong = Error::WrongPin {
            attempts_left: 4,
            wait_s: 0,
        };
        assert!(!may_retype(&wrong, false));
    }

    #[test]
    fn what_was_signed_is_kept_and_written_again() {
        let (folder, id) = (tempfile::tempdir().unwrap(), ChallengeId::from_bytes([7; 16]));
        let receipt = Receipt {
            challenge_id: id,
            state: FinalState::Denied,
            decided_at: Timestamp::from_secs(1),
            attempts_left: 5,
            challenge: "c.c.c".into(),
            answer: "r.r.r".into(),
        };
        assert_eq!(Kept::load(folder.path(), id).err().unwrap().exit(), 4);
        Kept::new(&receipt, FinalState::Denied)
            .save(folder.path(), id)
            .unwrap();
        let out = folder.path().join("out");
        Kept::load(folder.path(), id).unwrap().write(&out).unwrap();
        assert_eq!(std::fs::read_to_string(out.join("refusal.jws")).unwrap(), "r.r.r");
        assert_eq!(
            std::fs::read_to_string(out.join("challenge.jws")).unwrap(),
            "c.c.c"
        );
        assert!(!out.join("approval.jws").exists());
    }
}
