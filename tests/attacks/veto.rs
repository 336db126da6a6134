//! Several newer phones wait at once: a veto ends the one that is named and no other (protocol.md sections 5 and 5.3).

use paraphe_companion::DeviceState;
use paraphe_companion::protocol::method;
use paraphe_proto::ids::DeviceId;
use paraphe_proto::v1::VetoBody;
use tonic_types::StatusExt;

use crate::hand::code_of;
use crate::own_phone::{HANDED_OVER, handed_over, last_told, until};
use crate::own_phone_restore::go_on;
use crate::several::another;
use crate::suspension::{enrolled, state};
use crate::world::{Person, World, code};

/// Up to four phones of a person, each of which waits for an hour.
fn four() -> String {
    let slow = HANDED_OVER.replace(
        "[channels.counter]\nquarantine_s = 0",
        "[channels.counter]\nquarantine_s = 3600",
    );
    format!("{slow}[devices]\nper_person = 4\n")
}

async fn first(world: &mut World) -> Person {
    let (first, _) = enrolled(world).await;
    world.pass(3_601);
    until(world, &first, DeviceState::Active).await;
    world.sign_in_again().await;
    first
}

async fn vetoed(world: &World, by: &Person, which: Option<DeviceId>) -> Result<DeviceState, String> {
    let vetoed = by.phone.veto(&world.server, which).await;
    vetoed.map_err(|error| error.code().to_owned())
}

fn refused(code: &str) -> Result<DeviceState, String> {
    Err(code.to_owned())
}

/// What the daemon says to a veto of this text, by hand.
async fn by_hand(world: &World, by: &Person, device_id: &str) -> tonic::Status {
    let body = VetoBody {
        device_id: device_id.to_owned(),
    };
    let prover = by.phone.prover().unwrap();
    let request = prover
        .prove_fresh(&world.server, method::VETO, &body)
        .await
        .unwrap();
    world.server.client().veto(request).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_newer_phones_the_one_that_is_named_ends_and_nobody_elses() {
    let mut world = World::with(&four()).await;
    let (stranger, _) = enrolled(&mut world).await;
    let first = first(&mut world).await;
    let second = another(&world, &first.name, "second", (false, "")).await;
    let third = another(&world, &first.name, "third", (false, "")).await;
    let (strangers_new, _) = enrolled(&mut world).await;
    let id = |person: &Person| person.phone.device_id();
    let seen = first.phone.device(&world.server).await.unwrap();
    let mut newcomers: Vec<DeviceId> = seen.newcomers.iter().map(|new| new.device_id).collect();
    newcomers.sort_unstable();
    let mut expected = vec![id(&second), id(&third)];
    expected.sort_unstable();
    assert_eq!(newcomers, expected);
    assert!(seen.newcomers.iter().all(|new| new.replaces.is_none()));
    assert_eq!(
        seen.added_at,
        seen.newcomers.iter().map(|new| new.counts_at).min()
    );

    // Yesterday's app names none.
    let several = by_hand(&world, &first, "").await;
    assert_eq!(code(&several), "veto.ambiguous");
    let wrong = several.get_details_bad_request().unwrap().field_violations;
    assert_eq!(wrong[0].field, "device_id");
    let listed = expected
        .iter()
        .all(|id| wrong[0].description.contains(&id.to_string()));
    assert!(listed, "{}", wrong[0].description);
    for name in [
        id(&stranger),
        id(&strangers_new),
        id(&first),
        DeviceId::from_bytes([7; 16]),
    ] {
        let unknown = by_hand(&world, &first, &name.to_string()).await;
        assert_eq!(code(&unknown), "veto.unknown", "{name}");
        assert!(
            !unknown.message().contains(&name.to_string()),
            "{}",
            unknown.message()
        );
    }
    let nonsense = by_hand(&world, &first, "dev_nonsense").await;
    assert_eq!(code(&nonsense), "field.invalid");
    let field = &nonsense.get_details_bad_request().unwrap().field_violations[0];
    assert_eq!(field.field, "device_id");
    // A phone that is itself in quarantine, or suspended, sees none and vetoes none.
    let itself = second.phone.device(&world.server).await.unwrap();
    assert!(itself.newcomers.is_empty());
    assert_eq!(
        vetoed(&world, &second, Some(id(&third))).await,
        refused("device.not_active")
    );
    first.phone.suspend(&world.server).await.unwrap();
    let suspended = first.phone.device(&world.server).await.unwrap();
    assert!(suspended.newcomers.is_empty());
    assert_eq!(
        vetoed(&world, &first, Some(id(&third))).await,
        refused("device.suspended")
    );
    go_on(&world, &first).await;
    for person in [&second, &third, &strangers_new] {
        assert_eq!(state(&world, person).await, DeviceState::Quarantined);
    }

    assert_eq!(
        vetoed(&world, &first, Some(id(&third))).await,
        Ok(DeviceState::Revoked)
    );
    assert_eq!(state(&world, &second).await, DeviceState::Quarantined);
    assert_eq!(state(&world, &third).await, DeviceState::Revoked);
    let told = last_told(&world, &first).await;
    assert_eq!((told.0, told.1), (id(&third).to_string(), "vetoed".into()));
    // The reply was lost: asked again, it is answered alike and ends nothing else.
    assert_eq!(
        vetoed(&world, &first, Some(id(&third))).await,
        Ok(DeviceState::Revoked)
    );
    assert_eq!(state(&world, &second).await, DeviceState::Quarantined);
    // One is left, so it needs no name.
    assert_eq!(vetoed(&world, &first, None).await, Ok(DeviceState::Revoked));
    assert_eq!(state(&world, &second).await, DeviceState::Revoked);
    assert_eq!(
        vetoed(&world, &first, None).await,
        refused("device.no_replacement")
    );
    let strangers = Some(id(&strangers_new));
    assert_eq!(
        vetoed(&world, &first, strangers).await,
        refused("device.no_replacement")
    );
    assert_eq!(state(&world, &strangers_new).await, DeviceState::Quarantined);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phone_that_the_owner_handed_over_to_outlives_the_veto_of_another() {
    let mut world = World::with(&four()).await;
    let first = first(&mut world).await;
    let own = handed_over(&world, &first).await;
    let strange = another(&world, &first.name, "strange", (false, "")).await;
    let seen = first.phone.device(&world.server).await.unwrap();
    let (own_id, strange_id) = (own.phone.device_id(), strange.phone.device_id());
    let shown: Vec<_> = seen
        .newcomers
        .iter()
        .map(|new| (new.device_id, new.replaces))
        .collect();
    assert_eq!(
        shown,
        [(own_id, Some(first.phone.device_id())), (strange_id, None)],
        "the one that takes its place comes first"
    );
    assert_eq!(
        code_of(first.phone.veto(&world.server, None).await),
        "veto.ambiguous"
    );
    assert_eq!(
        vetoed(&world, &first, Some(strange_id)).await,
        Ok(DeviceState::Revoked)
    );
    world.pass(3_601);
    until(&world, &own, DeviceState::Active).await;
    assert_eq!(state(&world, &first).await, DeviceState::Replaced);
    assert_eq!(state(&world, &strange).await, DeviceState::Revoked);
}
