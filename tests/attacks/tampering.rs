//! Row: stolen database, written to: a flipped byte, another row or an older row in its place is refused or noticed. In every table.

use paraphe_companion::protocol::method;
use paraphe_proto::v1::{self, DeviceBody, DeviceEventsBody};
use rusqlite::{Connection, params};

use crate::hand::{Asked, OPEN, ask, guess};
use crate::world::{Person, World, code};

fn file(world: &World) -> Connection {
    Connection::open(world.daemon.path("paraphe.db")).unwrap()
}

pub fn rows(world: &World, table: &str) -> Vec<(String, i64, Vec<u8>)> {
    let file = file(world);
    let sql = format!("SELECT CAST(id AS TEXT), version, sealed FROM {table}");
    let mut query = file.prepare(&sql).unwrap();
    let rows = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    rows.map(Result::unwrap).collect()
}

fn put(world: &World, table: &str, (id, version, sealed): &(String, i64, Vec<u8>)) {
    let sql = format!("UPDATE {table} SET version = ?1, sealed = ?2 WHERE CAST(id AS TEXT) = ?3");
    assert_eq!(
        file(world).execute(&sql, params![version, sealed, id]).unwrap(),
        1
    );
}

/// Everything that reads a row of each table.
struct Scene {
    world: World,
    person: Person,
    asked: Asked,
    case_id: String,
    activation_id: String,
    subject: String,
}

impl Scene {
    async fn set() -> Self {
        let mut world = World::with(OPEN).await;
        let person = world.enrol().await;
        let other = world.backend("other", true).await;
        let subject = world.subject(&other, &person).await;
        let reported = world.ask(&other, &subject).await;
        let shown = crate::hand::shown(&world, &person, &reported.challenge_id).await;
        person.phone.report(&world.server, &shown).await.unwrap();
        let open = v1::OpenCaseRequest {
            channel: "counter".into(),
        };
        let case = world
            .enrolment()
            .open_case(world.as_clerk(open))
            .await
            .unwrap()
            .into_inner();
        let (_, issued) = world.issue().await;
        let asked = ask(&world, &person).await;
        let subject = world.subject(&world.market, &person).await;
        let (case_id, activation_id) = (case.case_id, issued.activation_id);
        let scene = Self {
            world,
            person,
            asked,
            case_id,
            activation_id,
            subject,
        };
        assert!(scene.wrong_code().await.is_err());
        scene
    }

    /// A wrong suspension code of the person, told by telephone.
    async fn wrong_code(&self) -> Result<(), tonic::Status> {
        let (world, clerk) = (&self.world, &self.world.clerk);
        let told = crate::suspension::suspend(world, clerk, &self.person.name, "00000-00000").await;
        told.map(drop)
    }

    /// The code of the call that reads this table; empty when it is answered.
    async fn read(&self, table: &str) -> String {
        let (world, market) = (&self.world, &self.world.market);
        let identity = v1::PivotIdentity {
            family_name: self.person.name.clone(),
            given_names: "ANNA".into(),
            birth_date: "1974-08-12".into(),
            birthplace: String::new(),
        };
        let check = |person| v1::CheckRequest {
            person: Some(person),
            action: "course.buy".into(),
            session_acr: String::new(),
        };
        use v1::check_request::Person as By;
        let done = match table {
            "subject" => {
                let request = world.as_account(market, check(By::Identity(identity)));
                world.step_up().check(request).await.map(drop)
            }
            "pairwise" => {
                let request = world.as_account(market, check(By::Subject(self.subject.clone())));
                world.step_up().check(request).await.map(drop)
            }
            "enrolment_case" => {
                let get = v1::GetCaseRequest {
                    case_id: self.case_id.clone(),
                };
                world.enrolment().get_case(world.as_clerk(get)).await.map(drop)
            }
            "activation" => {
                let get = v1::GetActivationRequest {
                    activation_id: self.activation_id.clone(),
                };
                world
                    .enrolment()
                    .get_activation(world.as_clerk(get))
                    .await
                    .map(drop)
            }
            "device" | "block" => {
                let prover = self.person.phone.prover().unwrap();
                let request = prover
                    .prove_fresh(&world.server, method::DEVICE, &DeviceBody {})
                    .await
                    .unwrap();
                world.server.client().device(request).await.map(drop)
            }
            "device_event" => {
                let prover = self.person.phone.prover().unwrap();
                let request = prover
                    .prove_fresh(&world.server, method::DEVICE_EVENTS, &DeviceEventsBody::default())
                    .await
                    .unwrap();
                let read = world.server.client().device_events(request).await;
                match read.map(|page| page.into_inner().missing) {
                    // The others are shown; this one is refused, and counted.
                    Ok(1..) => return "store.tampered".into(),
                    other => other.map(drop),
                }
            }
            "relying_party" | "challenge" => {
                let get = v1::GetRequest {
                    challenge_id: self.asked.reply.challenge_id.clone(),
                };
                world.step_up().get(world.as_account(market, get)).await.map(drop)
            }
            "operator" | "session" => {
                let request = world.as_admin("/paraphe.v1.Admin/ListOperators", v1::ListOperatorsRequest {});
                world.admin_client().list_operators(request).await.map(drop)
            }
            "terminal" => {
                let request = world.as_admin("/paraphe.v1.Admin/ListTerminals", v1::ListTerminalsRequest {});
                world.admin_client().list_terminals(request).await.map(drop)
            }
            "audit" => {
                let list = v1::ListAuditEntriesRequest::default();
                world
                    .admin_client()
                    .list_audit_entries(world.as_account(&world.auditor, list))
                    .await
                    .map(drop)
            }
            "suspension_limit" => match self.wrong_code().await {
                Err(refused) if code(&refused) == "suspension.refused" => Ok(()),
                told => told,
            },
            other => panic!("nothing here reads the table `{other}`"),
        };
        done.err().map(|status| code(&status)).unwrap_or_default()
    }
}

/// The tables with a sealed column, from the file itself. The archive, which is empty here, has its own test (`archive.rs`).
fn sealed_tables(world: &World) -> Vec<String> {
    let file = file(world);
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%sealed BLOB%' OR sql LIKE '%sealed BYTEA%'";
    let mut query = file.prepare(sql).unwrap();
    let names = query.query_map([], |row| row.get(0)).unwrap();
    let names = names.map(Result::unwrap);
    names.filter(|name: &String| name != "challenge_past").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_any_sealed_table_is_refused_as_tampered() {
    let mut scene = Scene::set().await;
    let tables = sealed_tables(&scene.world);
    assert_eq!(tables.len(), 14, "{tables:?}");
    for table in tables {
        assert_eq!(scene.read(&table).await, "", "{table} reads well before");
        assert_eq!(scene.world.daemon.stop(), 0);
        scene.world.start_again().await;
        let before = rows(&scene.world, &table);
        assert!(!before.is_empty(), "{table} has rows");
        for (id, version, mut sealed) in before.clone() {
            let middle = sealed.len() / 2;
            sealed[middle] ^= 1;
            put(&scene.world, &table, &(id, version, sealed));
        }
        assert_eq!(scene.read(&table).await, "store.tampered", "{table}");
        scene.world.daemon.kill();
        let (said, status) = scene.world.daemon.fail_to_start();
        assert!(
            said.contains("paraphed: store.tampered: ") && said.contains(&format!("`{table}`")),
            "{said}"
        );
        assert_eq!(status, 4, "{said}");
        before.iter().for_each(|row| put(&scene.world, &table, row));
        scene.world.start_again().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clear_columns_that_queries_use_cannot_be_changed_unnoticed() {
    let mut scene = Scene::set().await;
    for (table, change, undo) in [
        (
            "challenge",
            "UPDATE challenge SET expires_at = expires_at + 1000",
            "UPDATE challenge SET expires_at = expires_at - 1000",
        ),
        (
            "challenge",
            "UPDATE challenge SET version = version + 1",
            "UPDATE challenge SET version = version - 1",
        ),
        (
            "operator",
            "UPDATE operator SET name = name || 'x'",
            "UPDATE operator SET name = substr(name, 1, length(name) - 1)",
        ),
        (
            "activation",
            "UPDATE activation SET expires_at = expires_at + 9",
            "UPDATE activation SET expires_at = expires_at - 9",
        ),
        (
            "device",
            "UPDATE device SET due_at = due_at + 9",
            "UPDATE device SET due_at = due_at - 9",
        ),
        (
            "session",
            "UPDATE session SET expires_at = expires_at + 9",
            "UPDATE session SET expires_at = expires_at - 9",
        ),
    ] {
        assert_eq!(scene.world.daemon.stop(), 0);
        scene.world.start_again().await;
        file(&scene.world).execute_batch(change).unwrap();
        assert_eq!(scene.read(table).await, "store.tampered", "{change}");
        scene.world.daemon.kill();
        file(&scene.world).execute_batch(undo).unwrap();
        scene.world.start_again().await;
        assert_eq!(scene.read(table).await, "", "{undo}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_row_of_a_device_is_noticed_by_its_phone() {
    let mut scene = Scene::set().await;
    let id = scene.person.phone.device_id().to_string();
    assert_eq!(scene.world.daemon.stop(), 0);
    let older = rows(&scene.world, "device")
        .into_iter()
        .find(|row| row.0 == id)
        .unwrap();
    scene.world.start_again().await;
    let code_of_page = Some(scene.asked.reply.match_code.as_str());
    let (phone, server, mut rng) = (&scene.person.phone, &scene.world.server, rand_core::OsRng);
    let wrong = phone
        .approve(server, &scene.asked.shown, code_of_page, "918273", &mut rng)
        .await;
    assert_eq!(wrong.err().unwrap().code(), "pin.wrong");
    assert_eq!(scene.world.daemon.stop(), 0);
    put(&scene.world, "device", &older);
    scene.world.start_again().await;
    assert_eq!(scene.read("device").await, "device.rollback_noticed");
    let refused = guess(&scene.world, &scene.person, scene.asked.id(), "100001").await;
    assert_eq!(
        crate::hand::code_of(refused),
        "device.rollback_noticed",
        "the attempt is not given back"
    );
    let log = scene.world.daemon.log();
    assert!(log.contains("undeclared rollback"), "the operator is alarmed");
}
