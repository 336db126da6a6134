//! The daemon dies at each named point of a handing over and of a wrong suspension code: states and counts are what was told (protocol.md
//! sections 5 and 5.2).

use paraphe_companion::{DeviceState, FinalState};
use paraphe_proto::v1::Role;

use crate::change_pin::buy;
use crate::own_phone::{HANDED_OVER, confirm, invited, taken};
use crate::suspension::{enrolled, state, suspend};
use crate::suspension_limit::within_a_day;
use crate::world::{PIN, World, code};

const MOMENTS: [&str; 2] = ["computed", "committed"];

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_new_phone_is_handed_out_the_next_secret_is_the_one_that_counts() {
    let mut world = World::with(HANDED_OVER).await;
    for moment in MOMENTS {
        let (old, _) = enrolled(&mut world).await;
        let first = invited(&world, &old).await;
        world.kill_at(&format!("replace:{moment}"));
        assert!(old.phone.replace(&world.server).await.is_err());
        world.died().await;
        // The reply is lost, and with it its secret. The first one is void only if the daemon came through.
        let open = "SELECT COUNT(*) FROM activation WHERE state = 'issued' AND subject_id = \
                    (SELECT subject_id FROM device WHERE id = ?1)";
        let file = rusqlite::Connection::open(world.daemon.path("paraphe.db")).unwrap();
        let id = old.phone.device_id().to_string();
        let count: i64 = file.query_row(open, [id], |row| row.get(0)).unwrap();
        assert_eq!(count, 1, "{moment}: never two");
        let again = invited(&world, &old).await;
        let name = format!("new-{moment}");
        let folder = world.daemon.path(&format!("phone-void-{moment}"));
        let keys = paraphe_companion::SoftwareKeyStore::open(folder.join("keys"), "test/1").unwrap();
        let void = paraphe_companion::Activation::begin(
            &folder,
            std::sync::Arc::new(keys),
            paraphe_companion::Invitation::from_uri(&first.uri).unwrap(),
            &world.server,
            &mut rand_core::OsRng,
        )
        .await;
        assert!(void.is_err(), "{moment}: the first secret makes no phone");
        let (new, digits) = taken(&world, &old, &again, &name).await;
        let confirmed = confirm(&world, &old, again.activation_id, (&digits, PIN)).await;
        assert_eq!(confirmed.unwrap(), FinalState::Approved, "{moment}");
        assert_eq!(state(&world, &new).await, DeviceState::Quarantined, "{moment}");
        assert_eq!(world.attempts_left(&old.phone).await, 5, "{moment}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_around_the_old_phones_yes_one_new_phone_waits_and_nothing_is_asked_twice() {
    let mut world = World::with(HANDED_OVER).await;
    for step in ["confirm_replacement", "unlock", "answer"] {
        for moment in MOMENTS {
            let point = format!("{step}:{moment}");
            let (old, _) = enrolled(&mut world).await;
            let invited = invited(&world, &old).await;
            let (new, digits) = taken(&world, &old, &invited, &format!("new-{step}-{moment}")).await;
            world.kill_at(&point);
            let id = invited.activation_id;
            assert!(
                confirm(&world, &old, id, (&digits, PIN)).await.is_err(),
                "{point}"
            );
            world.died().await;
            let told = point == "answer:committed";
            let expected = if told {
                DeviceState::Quarantined
            } else {
                DeviceState::AwaitingConfirmation
            };
            assert_eq!(state(&world, &new).await, expected, "{point}");
            let waiting = old.phone.fetch(&world.server).await.unwrap().len();
            let asked = usize::from(!told && point != "confirm_replacement:computed");
            assert_eq!(waiting, asked, "{point}: asked once or not at all");
            let again = confirm(&world, &old, id, (&digits, PIN)).await;
            match told {
                true => assert_eq!(again.err().unwrap().code(), "replacement.pending", "{point}"),
                false => assert_eq!(again.unwrap(), FinalState::Approved, "{point}"),
            }
            assert_eq!(state(&world, &new).await, DeviceState::Quarantined, "{point}");
            assert_eq!(state(&world, &old).await, DeviceState::Active, "{point}");
            assert_eq!(world.attempts_left(&old.phone).await, 5, "{point}");
            assert_eq!(buy(&world, &old, PIN).await.unwrap(), FinalState::Approved);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_around_a_wrong_suspension_code_it_is_counted_once_or_was_never_told() {
    let mut world = World::with(HANDED_OVER).await;
    within_a_day(&mut world);
    let agent = world.operator("agent", &[Role::Support]).await;
    for (moment, left) in [("computed", 5), ("committed", 4)] {
        let (person, paper) = enrolled(&mut world).await;
        world.kill_at(&format!("suspend_device:{moment}"));
        let lost = suspend(&world, &agent, &person.name, "00000-00000").await;
        assert_eq!(code(&lost.unwrap_err()), "", "{moment}: nothing was told");
        world.died().await;
        for n in 0..left {
            let refused = suspend(&world, &agent, &person.name, &format!("00000-0000{n}")).await;
            assert_eq!(code(&refused.unwrap_err()), "suspension.refused", "{moment}, {n}");
        }
        let none = suspend(&world, &agent, &person.name, &paper).await;
        assert_eq!(code(&none.unwrap_err()), "suspension.too_many", "{moment}");
        assert_eq!(state(&world, &person).await, DeviceState::Active, "{moment}");
        // A right code that was lost on the way: the phone stands still if and only if it came through, and asking again stops it.
        let (other, others) = enrolled(&mut world).await;
        world.kill_at(&format!("suspend_device:{moment}"));
        assert!(suspend(&world, &agent, &other.name, &others).await.is_err());
        world.died().await;
        let expected = if moment == "committed" {
            DeviceState::Suspended
        } else {
            DeviceState::Active
        };
        assert_eq!(state(&world, &other).await, expected, "{moment}");
        suspend(&world, &agent, &other.name, &others).await.unwrap();
        assert_eq!(state(&world, &other).await, DeviceState::Suspended, "{moment}");
    }
}
