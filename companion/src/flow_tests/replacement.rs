//! Letting another phone take the place of this one: what an honest and a dishonest daemon get.

use paraphe_proto::ids::ActivationId;

use super::{activated, approve};
use crate::testing::{CODE, PIN, rng};
use crate::{Error, FinalState};

#[tokio::test]
async fn what_is_approved_names_the_activation_that_was_handed_out() {
    let (_dir, daemon, server, phone) = activated().await;
    let invited = phone.replace(&server).await.unwrap();
    assert_eq!(
        (invited.code.as_str(), invited.uri.as_str()),
        ("typed", "scanned")
    );
    let shown = phone.confirm_replacement(&server, invited.activation_id).await;
    let shown = shown.unwrap();
    assert_eq!(shown.action(), "paraphe.replace");
    assert_eq!(shown.match_digits(), Some(6));
    let state = approve(&phone, &server, &shown, PIN).await.unwrap();
    assert_eq!(state, FinalState::Approved);

    daemon.world().other_activation = Some(ActivationId::random(&mut rng()));
    let other = phone.confirm_replacement(&server, invited.activation_id).await;
    assert_eq!(other.unwrap_err().code(), "challenge.malformed");
}

#[tokio::test]
async fn a_lost_reply_is_asked_again_and_no_digits_are_sent_without_the_pin() {
    let (_dir, daemon, server, phone) = activated().await;
    let invited = phone.replace(&server).await.unwrap();
    daemon.world().lost = vec!["ConfirmReplacement"];
    let shown = phone.confirm_replacement(&server, invited.activation_id).await;
    let shown = shown.unwrap();
    let code = Some(CODE);
    let wrong = phone.approve(&server, &shown, code, "739204", &mut rng()).await;
    assert!(matches!(wrong, Err(Error::WrongPin { .. })));
    assert!(daemon.world().answers.is_empty());
}
