//! Rows: a stolen phone image, all traffic seen: every guess costs one online attempt. A stolen database: no key that opens anything;
//! the OPRF key of a locked phone is gone.

use paraphe_companion::KeyStore;
use paraphe_companion::protocol::finalize;
use paraphe_proto::ids::DeviceId;
use paraphe_proto::oprf::OprfKey;
use paraphe_proto::pin;
use paraphe_server::domain::device::Device;
use paraphe_server::keys::read_master_key;
use paraphe_server::store::seal::Sealer;
use rand_core::OsRng;

use crate::hand::{OPEN, ask, blind, code_of, guess, keystore, stolen_image, unlock};
use crate::world::{PIN, Person, World};

/// The stored device, opened with the master key as the daemon does.
pub fn stored(world: &World, id: DeviceId) -> Device {
    let master = read_master_key(&world.daemon.path("master.key")).unwrap();
    let file = rusqlite::Connection::open(world.daemon.path("paraphe.db")).unwrap();
    let row = file.query_row(
        "SELECT version, sealed FROM device WHERE id = ?1",
        [id.to_string()],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)),
    );
    let (version, sealed) = row.unwrap();
    let version = u64::try_from(version).unwrap();
    Sealer::new(&master)
        .open_record("device", &id.to_string(), version, &sealed)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_phone_image_tells_no_right_pin_from_a_wrong_one_without_the_daemon() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let asked = ask(&world, &anna).await;
    let (_, evaluation) = unlock(&world, &anna, &asked).await;
    let thief = stolen_image(&world, &anna);
    let (record, keys) = (thief.phone.record(), keystore(&world, &thief));
    let secret = keys
        .unseal(&record.key_label, &record.key.sealed_device_secret.0)
        .unwrap();
    let opens = |output: &paraphe_proto::oprf::OprfOutput| {
        pin::unwrap(
            &record.key.wrapped,
            output,
            &secret,
            &record.device_id,
            record.epoch,
        )
        .is_ok()
    };
    // The right PIN under every key a thief could have: none opens.
    for _ in 0..20 {
        let (state, element) = blind(PIN);
        let own = OprfKey::random(&mut OsRng).unwrap().evaluate(&element);
        assert!(!opens(&state.finalize(&own).unwrap()));
    }
    // Traffic that was seen answers another blinding.
    let replayed = finalize(blind(PIN).0, &evaluation).unwrap();
    assert!(!opens(&replayed));
    for left in [3, 2, 1] {
        let refused = guess(&world, &thief, asked.id(), &format!("10000{left}")).await;
        if left > 1 {
            refused.unwrap();
            assert_eq!(
                world.attempts_left(&anna.phone).await,
                left,
                "each costs the owner's phone an attempt"
            );
        } else {
            assert_eq!(code_of(refused), "device.wait");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stolen_database_holds_no_key_of_a_phone_in_the_clear() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let asked = ask(&world, &anna).await;
    crate::hand::approve(&world, &anna, &asked).await.unwrap();
    let id = anna.phone.device_id();
    assert_eq!(world.daemon.stop(), 0);
    let device = stored(&world, id);
    let oprf = *device.oprf_key.as_ref().unwrap().expose();
    let file = std::fs::read(world.daemon.path("paraphe.db")).unwrap();
    let holds = |needle: &[u8]| file.windows(needle.len()).any(|window| window == needle);
    assert!(holds(id.to_string().as_bytes()), "the search finds what is there");
    let hex = paraphe_proto::encoding::hex(&oprf);
    let base64 = paraphe_proto::encoding::base64url(&oprf);
    for (what, needle) in [
        ("OPRF key", oprf.as_slice()),
        ("OPRF key in hexadecimal", hex.as_bytes()),
        ("OPRF key in base64url", base64.as_bytes()),
        ("possession key", &device.possession_key.0[1..33]),
        ("approval key", &device.approval_key.0[1..33]),
        ("activation statement", device.activation.as_bytes()),
        ("name", person_name(&anna).as_bytes()),
        ("title", "TIG welding".as_bytes()),
    ] {
        assert!(!holds(needle), "the database holds the {what}");
    }
}

fn person_name(person: &Person) -> String {
    person.name.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oprf_key_of_a_locked_phone_is_destroyed() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let id = anna.phone.device_id();
    for wait in [0, 0, 61, 901, 61] {
        let asked = ask(&world, &anna).await;
        guess(&world, &anna, asked.id(), "100001").await.unwrap();
        world.pass(wait.max(61));
    }
    for _ in 0..100 {
        if anna.phone.device(&world.server).await.unwrap().state.as_str() == "locked" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(world.daemon.stop(), 0);
    assert!(stored(&world, id).oprf_key.is_none());
}
