//! `paraphe phone replace` and `confirm`: an old phone lets a new one take its place. Protocol: section 5.

use std::path::PathBuf;

use paraphe_companion::{FinalState, Shown};
use paraphe_proto::ids::ActivationId;
use paraphe_proto::sas::Sas;
use paraphe_proto::v1::IssueActivationResponse;

use super::Ready;
use super::answer::{is_pin, keep, may_retype};
use super::views::ReplacingView;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::views::IssuedView;
use crate::{edge, handset, prompt};

/// Options of `paraphe phone confirm`.
#[derive(clap::Args)]
pub struct ConfirmArgs {
    /// act_…
    activation: ActivationId,
    /// The six digits, from a file or - for standard input; asked for without echo otherwise
    #[arg(long, value_name = "FILE")]
    code_file: Option<PathBuf>,
    /// The PIN, from a file or - for standard input; asked for without echo otherwise
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
}

/// Shows the secret for the new phone, once.
pub(super) async fn replace(context: &Context, ready: &Ready) -> Result<()> {
    let invited = ready.phone.replace(&ready.server).await?;
    let confirm = ready.commands.line(&format!("confirm {}", invited.activation_id));
    let next = format!(
        "  What this phone handed out before is void. Activate the new phone with this;\n  \
         then type the six digits that it shows, here:\n  {confirm}\n"
    );
    let issued = IssueActivationResponse {
        activation_id: invited.activation_id.to_string(),
        code: invited.code,
        uri: invited.uri,
        expires_at: invited.expires_at.as_secs(),
        ..Default::default()
    };
    context.output.show(&IssuedView::new(issued, next)?)
}

/// Asks for the six digits of the new phone and for the PIN of this one.
pub(super) async fn confirm(context: &Context, ready: &Ready, args: ConfirmArgs) -> Result<()> {
    let shown = ready
        .phone
        .confirm_replacement(&ready.server, args.activation)
        .await?;
    context.output.say(&handset::screen("Phone", &shown))?;
    let question = "Six digits on the new phone";
    let digits = prompt::checked_secret(args.code_file.as_deref(), question, "--code-file", is_six_digits)?;
    loop {
        let pin = prompt::checked_secret(args.pin_file.as_deref(), "PIN", "--pin-file", is_pin)?;
        match approve(ready, &shown, &digits, &pin).await {
            Ok(()) => {
                let device = ready.phone.device(&ready.server).await?;
                let view = ReplacingView::new(&shown, &device, &ready.commands);
                return context.output.show(&view);
            }
            Err(error) if may_retype(&error, args.pin_file.is_none()) => {
                context.output.note(&error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
}

async fn approve(ready: &Ready, shown: &Shown, digits: &str, pin: &str) -> Result<()> {
    let code = Some(digits);
    let receipt = ready
        .phone
        .approve(&ready.server, shown, code, pin, &mut edge::random())
        .await?;
    keep(ready, &receipt, FinalState::Approved)?;
    match receipt.state {
        FinalState::Approved => Ok(()),
        FinalState::Failed => Err(Error::Forbidden {
            code: "activation.digits_wrong",
            message: "These are not the six digits of the new phone, or it is too late for it. Compare and run the command again; \
                      the third mistake ends it."
                .to_owned(),
        }),
        state => Err(Error::Forbidden {
            code: "challenge.ended_otherwise",
            message: format!("The challenge has ended as `{state}`; the answer came too late."),
        }),
    }
}

/// Before the PIN is asked for: what cannot be the digits would cost one of three tries.
fn is_six_digits(typed: &str) -> Result<()> {
    let digits: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
    match Sas::parse(&digits) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::invalid(
            error.code(),
            "The new phone shows six digits.".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_cannot_be_six_digits_is_noticed_before_the_pin() {
        for digits in ["482913", "482 913"] {
            assert!(is_six_digits(digits).is_ok(), "{digits}");
        }
        for digits in ["", "48291", "4829133", "48291x"] {
            let refused = is_six_digits(digits).unwrap_err();
            assert_eq!(refused.code(), "activation.code_malformed", "{digits}");
        }
    }
}
