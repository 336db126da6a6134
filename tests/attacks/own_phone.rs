//! An old phone lets a new one take its place by its PIN, without a clerk, and who would misuse that (protocol.md section 5).

use std::sync::Arc;

use paraphe_companion::protocol::{self, method};
use paraphe_companion::{
    Activation, DeviceState, Error, FinalState, Invitation, Invited, Phone, Shown, SoftwareKeyStore,
};
use paraphe_proto::ids::ActivationId;
use paraphe_proto::statements::Evaluation;
use paraphe_proto::v1::ConfirmReplacementBody;
use rand_core::OsRng;

use crate::change_pin::buy;
use crate::hand::{Parts, ask, blind, code_of, guess, stolen_image};
use crate::suspension::{enrolled, state, suspend_by_code};
use crate::theft::stored;
use crate::world::{PIN, Person, WRONG_PIN, World, activate, purchase};

/// Counter phones count at once, those that an old phone hands over to after an hour.
pub const HANDED_OVER: &str = "[profile]\ndemonstration = true\n[step_up]\nmin_lifetime_s = 1\nrequests_per_10_min = 1000\n\
    [operators]\nrequests_per_10_min = 1000\n[channels.counter]\nquarantine_s = 0\n[channels.own_phone]\nquarantine_s = 3600\n";

pub async fn invited(world: &World, old: &Person) -> Invited {
    let invited = old.phone.replace(&world.server).await.unwrap();
    world.daemon.secrets.note("a replacement's code", &invited.code);
    invited
}

/// The new phone, and the six digits that it shows.
pub async fn taken(world: &World, old: &Person, invited: &Invited, name: &str) -> (Person, String) {
    let (phone, digits) = activate(&world.daemon, &world.server, &invited.uri, name).await;
    let name = old.name.clone();
    (Person { phone, name }, digits)
}

async fn asked(world: &World, old: &Person, id: ActivationId) -> Shown {
    let shown = old.phone.confirm_replacement(&world.server, id).await;
    shown.unwrap()
}

pub async fn confirm(
    world: &World,
    old: &Person,
    id: ActivationId,
    (digits, pin): (&str, &str),
) -> Result<FinalState, Error> {
    let shown = old.phone.confirm_replacement(&world.server, id).await?;
    let code = Some(digits);
    let answered = old
        .phone
        .approve(&world.server, &shown, code, pin, &mut OsRng)
        .await?;
    Ok(answered.state)
}

/// An old phone, and the new one in its quarantine.
pub async fn handed_over(world: &World, old: &Person) -> Person {
    let invited = invited(world, old).await;
    let (new, digits) = taken(world, old, &invited, "new").await;
    let confirmed = confirm(world, old, invited.activation_id, (&digits, PIN)).await;
    assert_eq!(confirmed.unwrap(), FinalState::Approved);
    assert_eq!(state(world, &new).await, DeviceState::Quarantined);
    new
}

pub async fn until(world: &World, person: &Person, expected: DeviceState) {
    for _ in 0..100 {
        if state(world, person).await == expected {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("it is {} after 10 s", state(world, person).await);
}

/// The newest event of the person's phones: which phone, what, who, why.
pub async fn last_told(world: &World, reader: &Person) -> (String, String, String, String) {
    let page = reader.phone.device_events(&world.server, None, 1).await.unwrap();
    let event = page.events.into_iter().next().unwrap();
    (event.device_id, event.event, event.who, event.why)
}

async fn begin(world: &World, invited: &Invited, name: &str) -> Result<Activation, Error> {
    let folder = world.daemon.path(&format!("phone-{name}"));
    let keys = Arc::new(SoftwareKeyStore::open(folder.join("keys"), "test/1").unwrap());
    let invitation = Invitation::from_uri(&invited.uri).unwrap();
    Activation::begin(&folder, keys, invitation, &world.server, &mut OsRng).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_phone_hands_over_with_its_pin_and_counts_until_the_quarantine_is_over() {
    let mut world = World::with(HANDED_OVER).await;
    let (old, _) = enrolled(&mut world).await;
    let other = world.backend("other", true).await;
    let subject = world.subject(&other, &old).await;
    world.ask(&other, &subject).await;
    let reported = world.shown(&old.phone).await;
    old.phone.report(&world.server, &reported).await.unwrap();

    let invited = invited(&world, &old).await;
    let early = old
        .phone
        .confirm_replacement(&world.server, invited.activation_id);
    assert_eq!(code_of(early.await), "activation.state");
    let (new, digits) = taken(&world, &old, &invited, "new").await;
    let shown = asked(&world, &old, invited.activation_id).await;
    let again = asked(&world, &old, invited.activation_id).await;
    assert_eq!(shown.challenge_id(), again.challenge_id());
    let named = shown.replacement().unwrap();
    assert_eq!(named.device_id, new.phone.device_id());
    assert!(!shown.compact().contains(&digits));
    let code = Some(digits.as_str());
    let approved = old
        .phone
        .approve(&world.server, &shown, code, PIN, &mut OsRng)
        .await;
    assert_eq!(approved.unwrap().state, FinalState::Approved);
    assert_eq!(state(&world, &new).await, DeviceState::Quarantined);
    let device = old.phone.device(&world.server).await.unwrap();
    assert!(device.replaced_at.is_some());
    assert_eq!(buy(&world, &old, PIN).await.unwrap(), FinalState::Approved);

    world.pass(3_601);
    until(&world, &new, DeviceState::Active).await;
    assert_eq!(state(&world, &old).await, DeviceState::Replaced);
    assert_eq!(buy(&world, &new, PIN).await.unwrap(), FinalState::Approved);
    let ids = (old.phone.device_id(), new.phone.device_id());
    let (before, after) = (stored(&world, ids.0), stored(&world, ids.1));
    assert_eq!((after.acr, after.valid_until), (before.acr, before.valid_until));
    assert_eq!(after.vouched_by, Some(ids.0));
    // What the person had blocked stays so: nobody was proofed.
    let device = new.phone.device(&world.server).await.unwrap();
    assert_eq!(device.blocked.len(), 1);
    let entries = world.audit().await;
    let confirmed = entries.iter().find(|entry| entry.verb == "confirm_replacement");
    assert_eq!(confirmed.unwrap().actor, ids.0.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_possession_key_without_the_pin_replaces_nothing() {
    let mut world = World::with(HANDED_OVER).await;
    let (old, _) = enrolled(&mut world).await;
    let clone = stolen_image(&world, &old);
    let invited = invited(&world, &clone).await;
    let (thief, digits) = taken(&world, &old, &invited, "thief").await;
    let wrong = confirm(&world, &clone, invited.activation_id, (&digits, WRONG_PIN)).await;
    assert!(matches!(wrong, Err(Error::WrongPin { attempts_left: 4, .. })));
    // By hand: an approval by the possession key, which is all that the clone can sign with.
    let shown = asked(&world, &clone, invited.activation_id).await;
    let prover = clone.phone.prover().unwrap();
    let compact =
        protocol::request_evaluation(&world.server, &prover, shown.challenge_id(), &blind(WRONG_PIN).1).await;
    let evaluation: Evaluation = serde_json::from_value(Parts::of(&compact.unwrap()).claims).unwrap();
    let issuer = crate::daemon::ISSUER.to_owned();
    let forged = protocol::approval_statement(issuer, &*prover.key, shown.sha256(), &digits, &evaluation);
    let forged = forged.unwrap();
    let sent = protocol::send_approval(&world.server, &prover, shown.challenge_id(), &forged).await;
    assert_eq!(code_of(sent), "statement.refused");
    assert_eq!(state(&world, &thief).await, DeviceState::AwaitingConfirmation);
    // The owner, who never asked for it, says so.
    old.phone.report(&world.server, &shown).await.unwrap();
    assert_eq!(state(&world, &thief).await, DeviceState::Revoked);
    let late = confirm(&world, &old, invited.activation_id, (&digits, PIN)).await;
    assert_eq!(code_of(late), "activation.revoked");
    assert_eq!(state(&world, &old).await, DeviceState::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_stops_a_thief_who_has_image_and_pin_by_a_veto_or_by_the_code_on_paper() {
    let mut world = World::with(HANDED_OVER).await;
    let (old, paper) = enrolled(&mut world).await;
    let clone = stolen_image(&world, &old);
    let thief = handed_over(&world, &clone).await;
    assert_eq!(
        old.phone.veto(&world.server, None).await.unwrap(),
        DeviceState::Revoked
    );
    assert_eq!(state(&world, &thief).await, DeviceState::Revoked);

    let invited = invited(&world, &clone).await;
    let (thief, digits) = taken(&world, &clone, &invited, "thief-again").await;
    let confirmed = confirm(&world, &clone, invited.activation_id, (&digits, PIN)).await;
    assert_eq!(confirmed.unwrap(), FinalState::Approved);
    let suspended = suspend_by_code(&world, &old.name, &paper).await;
    assert_eq!(suspended, "suspended");
    assert_eq!(state(&world, &old).await, DeviceState::Suspended);
    assert_eq!(state(&world, &thief).await, DeviceState::Revoked);
    // With the PIN the thief makes the old phone go on, and gains nothing from it.
    clone.phone.resume(&world.server).await.unwrap();
    let shown = world.shown(&clone.phone).await;
    let resumed = clone
        .phone
        .approve(&world.server, &shown, None, PIN, &mut OsRng)
        .await;
    resumed.unwrap();
    assert_eq!(state(&world, &old).await, DeviceState::Active);
    world.pass(3_601);
    assert_eq!(state(&world, &thief).await, DeviceState::Revoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_phone_that_is_not_active_any_more_takes_the_new_one_with_it() {
    let mut world = World::with(HANDED_OVER).await;
    for by in ["suspended", "revoked"] {
        let (old, _) = enrolled(&mut world).await;
        let invited = invited(&world, &old).await;
        let (new, digits) = taken(&world, &old, &invited, by).await;
        let confirmed = confirm(&world, &old, invited.activation_id, (&digits, PIN)).await;
        assert_eq!(confirmed.unwrap(), FinalState::Approved);
        match by {
            "suspended" => old.phone.suspend(&world.server).await.unwrap(),
            _ => old.phone.revoke(&world.server).await.unwrap(),
        };
        world.pass(3_601);
        until(&world, &new, DeviceState::Revoked).await;
        assert_eq!(state(&world, &old).await.as_str(), by);
        world.sign_in_again().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_is_not_active_hands_out_nothing_and_what_it_handed_out_is_worthless() {
    let mut world = World::with(HANDED_OVER).await;
    let (old, _) = enrolled(&mut world).await;
    let first = invited(&world, &old).await;
    let (waiting, digits) = taken(&world, &old, &first, "waiting").await;
    old.phone.suspend(&world.server).await.unwrap();
    assert_eq!(
        code_of(old.phone.replace(&world.server).await),
        "device.suspended"
    );
    let asked = confirm(&world, &old, first.activation_id, (&digits, PIN)).await;
    assert_eq!(code_of(asked), "device.suspended");
    assert_eq!(state(&world, &waiting).await, DeviceState::Revoked);

    let (old, _) = enrolled(&mut world).await;
    let second = invited(&world, &old).await;
    let mut begun = begin(&world, &second, "begun").await.unwrap();
    old.phone.revoke(&world.server).await.unwrap();
    assert_eq!(code_of(old.phone.replace(&world.server).await), "device.revoked");
    let cost = paraphe_companion::Argon2Cost::LOWEST;
    let finished = begun.finish(&world.server, PIN, cost, &mut OsRng).await;
    assert_eq!(code_of(finished), "activation.revoked");

    let (old, _) = enrolled(&mut world).await;
    let third = invited(&world, &old).await;
    old.phone.suspend(&world.server).await.unwrap();
    assert_eq!(code_of(begin(&world, &third, "late").await), "activation.revoked");

    let (old, _) = enrolled(&mut world).await;
    let new = handed_over(&world, &old).await;
    assert_eq!(
        code_of(new.phone.replace(&world.server).await),
        "device.not_active"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_secret_voids_the_one_before_and_one_new_phone_waits_at_a_time() {
    let mut world = World::with(HANDED_OVER).await;
    let (old, _) = enrolled(&mut world).await;
    let first = invited(&world, &old).await;
    let (lost, _) = taken(&world, &old, &first, "lost").await;
    let about_first = asked(&world, &old, first.activation_id).await;
    let second = invited(&world, &old).await;
    assert!(first.uri != second.uri && first.activation_id != second.activation_id);
    assert_eq!(state(&world, &lost).await, DeviceState::Revoked);
    assert_eq!(
        code_of(begin(&world, &first, "twice").await),
        "activation.revoked"
    );
    let answered = old
        .phone
        .approve(&world.server, &about_first, Some("000000"), PIN, &mut OsRng)
        .await;
    assert_eq!(code_of(answered), "challenge.superseded");
    let (new, digits) = taken(&world, &old, &second, "second").await;
    let confirmed = confirm(&world, &old, second.activation_id, (&digits, PIN)).await;
    assert_eq!(confirmed.unwrap(), FinalState::Approved);
    assert_eq!(
        code_of(old.phone.replace(&world.server).await),
        "replacement.pending"
    );
    let twice = confirm(&world, &old, second.activation_id, (&digits, PIN)).await;
    assert_eq!(code_of(twice), "replacement.pending");
    assert_eq!(state(&world, &new).await, DeviceState::Quarantined);
}

/// Section 4, rule 2: nobody takes a question away under which a PIN is tried, and no failure becomes free by it.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_secret_takes_no_question_away_under_which_a_pin_is_tried() {
    let mut world = World::with(HANDED_OVER).await;
    let (old, _) = enrolled(&mut world).await;
    let first = invited(&world, &old).await;
    taken(&world, &old, &first, "lost").await;
    let about_first = asked(&world, &old, first.activation_id).await;
    guess(&world, &old, about_first.challenge_id(), WRONG_PIN)
        .await
        .unwrap();
    invited(&world, &old).await;
    let pending = old.phone.fetch(&world.server).await.unwrap().into_iter();
    let mut pending = pending.map(|one| one.challenge.unwrap().challenge_id());
    assert!(pending.any(|id| id == about_first.challenge_id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_cannot_void_what_a_clerk_has_handed_out_nor_hand_out_without_end() {
    let few = HANDED_OVER.replace(
        "[operators]\nrequests_per_10_min = 1000\n",
        "[operators]\nrequests_per_10_min = 3\n",
    );
    let mut world = World::with(&few).await;
    let (old, _) = enrolled(&mut world).await;
    let case_id = world
        .verified("counter", &crate::world::passport_until(&old.name, "350415"))
        .await;
    let by_clerk = crate::replacement::replacing(&world, &case_id).await.unwrap();
    world.sign(&by_clerk).await.unwrap();
    for _ in 0..3 {
        invited(&world, &old).await;
    }
    let refused = old.phone.replace(&world.server).await;
    assert_eq!(code_of(refused), "request.too_many");
    let (new, digits) = activate(&world.daemon, &world.server, &by_clerk.uri, "clerk's").await;
    world.confirm(&by_clerk.activation_id, &digits).await.unwrap();
    let state = new.device(&world.server).await.unwrap().state;
    assert_eq!(state, DeviceState::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_wrong_digits_end_the_new_phone_and_cost_the_old_one_nothing() {
    let mut world = World::with(HANDED_OVER).await;
    let (old, _) = enrolled(&mut world).await;
    let invited = invited(&world, &old).await;
    let (new, digits) = taken(&world, &old, &invited, "new").await;
    let wrong = match digits.as_str() {
        "000000" => "000001",
        _ => "000000",
    };
    for tried in 1..=3 {
        assert_eq!(
            state(&world, &new).await,
            DeviceState::AwaitingConfirmation,
            "{tried}"
        );
        let failed = confirm(&world, &old, invited.activation_id, (wrong, PIN)).await;
        assert_eq!(failed.unwrap(), FinalState::Failed);
    }
    assert_eq!(state(&world, &new).await, DeviceState::Revoked);
    let late = confirm(&world, &old, invited.activation_id, (&digits, PIN)).await;
    let late = late.err().unwrap();
    assert_eq!(late.code(), "activation.revoked");
    assert!(late.to_string().contains("three times"), "{late}");
    assert_eq!(
        last_told(&world, &old).await,
        (
            new.phone.device_id().to_string(),
            "revoked".into(),
            "daemon".into(),
            "wrong_digits".into()
        )
    );
    assert_eq!(world.attempts_left(&old.phone).await, 5);
    assert_eq!(state(&world, &old).await, DeviceState::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_phone_that_handed_it_out_confirms_a_new_one() {
    let mut world = World::with(HANDED_OVER).await;
    let (old, other) = (world.enrol().await, world.enrol().await);
    let invited = invited(&world, &old).await;
    let (new, digits) = taken(&world, &old, &invited, "new").await;
    let stranger = confirm(&world, &other, invited.activation_id, (&digits, PIN)).await;
    assert_eq!(code_of(stranger), "activation.not_found");
    let shown = asked(&world, &old, invited.activation_id).await;
    let prover = other.phone.prover().unwrap();
    let element = blind(PIN).1;
    let unlocked = protocol::request_evaluation(&world.server, &prover, shown.challenge_id(), &element);
    assert_eq!(code_of(unlocked.await), "challenge.not_found");
    // The new phone itself cannot say yes to itself, nor can an id be anything.
    let itself = new.phone.prover().unwrap();
    let own = protocol::ask_replacement(&world.server, &itself, invited.activation_id).await;
    assert_eq!(code_of(own), "device.not_active");
    let body = ConfirmReplacementBody {
        activation_id: "act_nonsense".to_owned(),
    };
    let prover = old.phone.prover().unwrap();
    let request = prover
        .prove_fresh(&world.server, method::CONFIRM_REPLACEMENT, &body)
        .await;
    let refused = world.server.client().confirm_replacement(request.unwrap()).await;
    assert_eq!(crate::world::code(&refused.unwrap_err()), "field.invalid");
    assert_eq!(state(&world, &new).await, DeviceState::AwaitingConfirmation);
    old.phone.refuse(&world.server, &shown).await.unwrap();
    assert_eq!(state(&world, &new).await, DeviceState::Revoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_level_rises_from_phone_to_phone_and_a_higher_one_is_not_handed_over() {
    let low = HANDED_OVER.replace("[channels.counter]\n", "[channels.counter]\nacr = \"eidas1\"\n");
    let mut world = World::with(&low).await;
    let (old, _) = enrolled(&mut world).await;
    let mut last = old;
    for name in ["second", "third"] {
        let invited = invited(&world, &last).await;
        let (new, digits) = taken(&world, &last, &invited, name).await;
        let confirmed = confirm(&world, &last, invited.activation_id, (&digits, PIN)).await;
        assert_eq!(confirmed.unwrap(), FinalState::Approved);
        world.pass(3_601);
        until(&world, &new, DeviceState::Active).await;
        let acr = stored(&world, new.phone.device_id()).acr;
        assert_eq!(acr.as_str(), "eidas1", "{name}");
        last = new;
    }
    let subject = world.subject(&world.market, &last).await;
    let refused = world.try_ask(&world.market, purchase(&subject)).await;
    assert_eq!(crate::world::code(&refused.unwrap_err()), "enrolment.required");

    let capped = format!("{HANDED_OVER}acr = \"eidas1\"\n");
    let mut world = World::with(&capped).await;
    let (old, _) = enrolled(&mut world).await;
    assert_eq!(
        code_of(old.phone.replace(&world.server).await),
        "replacement.level"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_phones_are_not_replaced_so_nor_any_phone_where_the_channel_is_closed() {
    let mut world = World::with(HANDED_OVER).await;
    let staff: &Phone = &world.clerk.phone;
    assert_eq!(code_of(staff.replace(&world.server).await), "replacement.staff");
    let (old, _) = enrolled(&mut world).await;
    let invited = invited(&world, &old).await;
    let (new, digits) = taken(&world, &old, &invited, "new").await;
    // The daemon starts again under a configuration that closes the channel.
    assert_eq!(world.daemon.stop(), 0);
    let path = world.daemon.path("paraphed.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let closed = text.replace("[channels.own_phone]\nquarantine_s = 3600\n", "");
    assert_ne!(text, closed);
    std::fs::write(&path, closed).unwrap();
    world.start_again().await;
    assert_eq!(
        code_of(old.phone.replace(&world.server).await),
        "replacement.closed"
    );
    let asked = confirm(&world, &old, invited.activation_id, (&digits, PIN)).await;
    assert_eq!(code_of(asked), "replacement.closed");
    assert_eq!(state(&world, &new).await, DeviceState::AwaitingConfirmation);
    assert!(ask(&world, &old).await.shown.replacement().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_restore_voids_what_an_old_phone_handed_out_and_the_old_one_goes_on() {
    let mut world = World::with(HANDED_OVER).await;
    let (old, _) = enrolled(&mut world).await;
    let invited = invited(&world, &old).await;
    let (new, digits) = taken(&world, &old, &invited, "new").await;
    crate::restore::back_up(&world);
    crate::restore::put_back(&mut world, "backup");
    crate::restore::restored(&world, &[]);
    world.start_again().await;
    assert_eq!(state(&world, &new).await, DeviceState::Revoked);
    let late = confirm(&world, &old, invited.activation_id, (&digits, PIN)).await;
    assert_eq!(code_of(late), "activation.revoked");
    assert_eq!(world.attempts_left(&old.phone).await, 1);
    let new = handed_over(&world, &old).await;
    assert_eq!(
        world.attempts_left(&old.phone).await,
        5,
        "the right PIN gives them back"
    );
    world.pass(3_601);
    until(&world, &new, DeviceState::Active).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_into_the_quarantine_of_a_new_phone_that_took_over_leaves_the_person_with_it() {
    let mut world = World::with(HANDED_OVER).await;
    let (old, _) = enrolled(&mut world).await;
    let new = handed_over(&world, &old).await;
    crate::restore::back_up(&world);
    world.pass(3_601);
    until(&world, &new, DeviceState::Active).await;
    assert_eq!(state(&world, &old).await, DeviceState::Replaced);
    crate::restore::put_back(&mut world, "backup");
    crate::restore::restored(&world, &[]);
    world.start_again().await;
    until(&world, &new, DeviceState::Active).await;
    assert_eq!(state(&world, &old).await, DeviceState::Replaced);
}
