//! Rows: a backend in another backend's name, its challenges, its subjects: alike for existing and missing. One backend can neither
//! freeze, flood nor learn about a person.

use std::collections::BTreeSet;

use paraphe_proto::v1::{self, Decision, State};
use tonic::Code;

use crate::hand::{Asked, OPEN, Parts, approve, ask, shown};
use crate::world::{Account, Person, World, code, purchase};

const MISSING: &str = "chl_aaaaaaaaaaaaaaaaaaaaaaaaaa";

async fn check(
    world: &World,
    backend: &Account,
    person: v1::check_request::Person,
) -> Result<v1::CheckResponse, tonic::Status> {
    let message = v1::CheckRequest {
        person: Some(person),
        action: "course.buy".into(),
        session_acr: String::new(),
    };
    Ok(world
        .step_up()
        .check(world.as_account(backend, message))
        .await?
        .into_inner())
}

fn identity(person: &Person) -> v1::check_request::Person {
    v1::check_request::Person::Identity(v1::PivotIdentity {
        family_name: person.name.clone(),
        given_names: "ANNA".into(),
        birth_date: "1974-08-12".into(),
        birthplace: String::new(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn challenges_and_subjects_of_another_backend_look_like_none() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let bank = world.backend("bank", true).await;
    let asked = ask(&world, &anna).await;
    let subject = world.subject(&world.market, &anna).await;
    let mut said = BTreeSet::new();
    for id in [asked.reply.challenge_id.as_str(), MISSING] {
        let get = v1::GetRequest {
            challenge_id: id.to_owned(),
        };
        let cancel = v1::CancelRequest {
            challenge_id: id.to_owned(),
        };
        for status in [
            world
                .step_up()
                .get(world.as_account(&bank, get))
                .await
                .err()
                .unwrap(),
            world
                .step_up()
                .cancel(world.as_account(&bank, cancel))
                .await
                .err()
                .unwrap(),
        ] {
            said.insert((
                status.code() as i32,
                status.message().to_owned(),
                status.details().to_vec(),
            ));
        }
    }
    assert_eq!(said.len(), 1, "{said:?}");
    let mut said = BTreeSet::new();
    let unknown = paraphe_proto::ids::PairwiseSubject::from_bytes([7; 32]).to_string();
    for name in [subject.as_str(), unknown.as_str()] {
        let by = v1::check_request::Person::Subject(name.to_owned());
        let status = check(&world, &bank, by).await.err().unwrap();
        said.insert((
            status.code() as i32,
            status.message().to_owned(),
            status.details().to_vec(),
        ));
    }
    assert_eq!(said.len(), 1, "{said:?}");
    let mut said = BTreeSet::new();
    for name in [subject.as_str(), unknown.as_str(), "sub_x"] {
        let status = world.try_ask(&bank, purchase(name)).await.err().unwrap();
        assert_eq!(status.code(), Code::NotFound);
        said.insert(status.message().to_owned());
    }
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(
        world
            .verdict(&world.market, &asked.reply.challenge_id)
            .await
            .state(),
        State::Pending
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_backends_cannot_tell_that_they_ask_the_same_person() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let bank = world.backend("bank", true).await;
    let (here, there) = (
        world.subject(&world.market, &anna).await,
        world.subject(&bank, &anna).await,
    );
    assert_ne!(here, there);
    assert_eq!(
        here,
        world.subject(&world.market, &anna).await,
        "and stable at each"
    );
    let (first, other) = (
        world.ask(&world.market, &here).await,
        world.ask(&bank, &there).await,
    );
    let claims = async |id: &str| Parts::of(shown(&world, &anna, id).await.compact()).claims;
    let (first, other) = (
        claims(&first.challenge_id).await,
        claims(&other.challenge_id).await,
    );
    for name in ["device_handle", "nonce", "challenge_id"] {
        assert_ne!(first[name], other[name], "{name}");
    }
    let device = anna.phone.device_id().to_string();
    assert!(
        !first.to_string().contains(&device),
        "the challenge names no device"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_backend_spends_only_its_own_quota_and_supersedes_only_its_own() {
    let mut world = World::new().await;
    let anna = world.enrol().await;
    let bank = world.backend("bank", true).await;
    let there = world.subject(&bank, &anna).await;
    let waiting = world.ask(&bank, &there).await;
    let here = world.subject(&world.market, &anna).await;
    let market = world.market.clone();
    for _ in 0..5 {
        world.ask(&market, &here).await;
    }
    let refused = world.try_ask(&market, purchase(&here)).await.err().unwrap();
    assert_eq!(
        (refused.code(), code(&refused).as_str()),
        (Code::ResourceExhausted, "request.too_many")
    );
    assert_eq!(
        world.verdict(&bank, &waiting.challenge_id).await.state(),
        State::Pending,
        "not superseded"
    );
    world.ask(&bank, &there).await;
    world.pass(601);
    world.ask(&market, &here).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_against_one_backend_never_freeze_a_person() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let market = world.market.clone();
    let bank = world.backend("bank", true).await;
    let asked: Asked = ask(&world, &anna).await;
    let login = v1::RequestRequest {
        action: "account.login".into(),
        parameters: [(
            "place".to_owned(),
            crate::world::purchase("").parameters["title"].clone(),
        )]
        .into(),
        ..purchase(&world.subject(&market, &anna).await)
    };
    let second = world.try_ask(&market, login).await.unwrap();
    anna.phone.report(&world.server, &asked.shown).await.unwrap();
    let ended = world.verdict(&market, &second.challenge_id).await;
    assert_eq!(ended.state(), State::Failed, "what it still asked has ended");
    let device = anna.phone.device(&world.server).await.unwrap();
    assert_eq!((device.blocked.len(), device.frozen_since), (1, None));
    assert_eq!(device.blocked[0].relying_party_id.as_str(), "market");
    let refused = check(&world, &market, identity(&anna)).await.unwrap();
    assert_eq!(refused.decision(), Decision::Refused);
    let open = check(&world, &bank, identity(&anna)).await.unwrap();
    assert_eq!(
        open.decision(),
        Decision::StepUpRequired,
        "the bank notices nothing"
    );
    let raised = anna
        .phone
        .lift(&world.server, Some(&"market".parse().unwrap()))
        .await
        .unwrap();
    let lift = shown(&world, &anna, &raised.to_string()).await;
    let wrong = anna
        .phone
        .approve(&world.server, &lift, None, "918273", &mut rand_core::OsRng)
        .await;
    assert_eq!(wrong.err().unwrap().code(), "pin.wrong");
    let still = check(&world, &market, identity(&anna)).await.unwrap();
    assert_eq!(still.decision(), Decision::Refused, "a wrong PIN lifts nothing");
    anna.phone
        .approve(
            &world.server,
            &lift,
            None,
            crate::world::PIN,
            &mut rand_core::OsRng,
        )
        .await
        .unwrap();
    let open = check(&world, &market, identity(&anna)).await.unwrap();
    assert_eq!(open.decision(), Decision::StepUpRequired);
    let again = ask(&world, &anna).await;
    approve(&world, &anna, &again).await.unwrap();
    let third = ask(&world, &anna).await;
    anna.phone.report(&world.server, &third.shown).await.unwrap();
    let device = anna.phone.device(&world.server).await.unwrap();
    assert_eq!(
        (device.blocked.len(), device.frozen_since),
        (1, None),
        "one backend, however often"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_asks_only_for_what_it_was_registered_for() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let narrow = Account {
        id: "narrow".into(),
        key: world.market.key.clone(),
    };
    let message = v1::RegisterRelyingPartyRequest {
        relying_party_id: "narrow".into(),
        display_name: "Narrow".into(),
        public_jwk: narrow.jwk(),
        may_identify: false,
        actions: vec!["course.cancel".into()],
        ..Default::default()
    };
    let request = world.as_admin("/paraphe.v1.Admin/RegisterRelyingParty", message);
    world
        .admin_client()
        .register_relying_party(request)
        .await
        .unwrap();
    let mut said = BTreeSet::new();
    for action in ["course.buy", "course.unknown", "paraphe.login"] {
        let message = v1::RequestRequest {
            action: action.into(),
            ..purchase("sub_x")
        };
        let status = world.try_ask(&narrow, message).await.err().unwrap();
        said.insert((code(&status), status.message().to_owned()));
    }
    assert!(
        said.len() == 1 || said.iter().all(|(code, _)| code == "subject.not_found"),
        "{said:?}"
    );
    let message = v1::CheckRequest {
        person: Some(identity(&anna)),
        action: "course.cancel".into(),
        session_acr: String::new(),
    };
    let refused = world
        .step_up()
        .check(world.as_account(&narrow, message))
        .await
        .err()
        .unwrap();
    assert_eq!(
        (refused.code(), code(&refused).as_str()),
        (Code::PermissionDenied, "identity.not_allowed")
    );
    let stranger = Person {
        name: "NOBODY".into(),
        phone: anna.phone,
    };
    let message = v1::CheckRequest {
        person: Some(identity(&stranger)),
        action: "course.cancel".into(),
        session_acr: String::new(),
    };
    let alike = world
        .step_up()
        .check(world.as_account(&narrow, message))
        .await
        .err()
        .unwrap();
    assert_eq!(
        (alike.code(), alike.message()),
        (refused.code(), refused.message()),
        "nothing is learned"
    );
}
