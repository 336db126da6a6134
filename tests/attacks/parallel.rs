//! Row: 100 parallel answers to one challenge. Exactly one final state, no deadlock; approvals, refusals and a cancellation mixed.

use std::collections::BTreeSet;
use std::sync::Arc;

use paraphe_companion::protocol::{send_approval, send_refusal};
use paraphe_proto::statements::RefusalDecision;
use paraphe_proto::v1;
use tokio::task::JoinSet;

use crate::hand::{OPEN, approval, ask, unlock};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_answers_that_disagree_reach_exactly_one_final_state() {
    let mut world = World::with(OPEN).await;
    let anna = Arc::new(world.enrol().await);
    for _ in 0..4 {
        let asked = ask(&world, &anna).await;
        let unlocked = unlock(&world, &anna, &asked).await;
        let good = approval(&asked, &unlocked, &asked.reply.match_code);
        let wrong_code = approval(&asked, &unlocked, "");
        let mut answers = JoinSet::new();
        for number in 0..100 {
            let (anna, server, id) = (Arc::clone(&anna), world.server.clone(), asked.id());
            let (good, wrong_code, sha) = (good.clone(), wrong_code.clone(), asked.shown.sha256());
            answers.spawn(async move {
                let prover = anna.phone.prover().unwrap();
                let decision = [RefusalDecision::Deny, RefusalDecision::Deny][number % 2];
                match number % 3 {
                    0 => send_approval(&server, &prover, id, &good).await,
                    1 => send_approval(&server, &prover, id, &wrong_code).await,
                    _ => {
                        let refusal = prover.refuse(sha, decision).unwrap();
                        send_refusal(&server, &prover, id, &refusal).await
                    }
                }
            });
        }
        let mut states = BTreeSet::new();
        for reply in answers.join_all().await {
            match reply {
                Ok(outcome) => {
                    states.insert((outcome.state, outcome.decided_at));
                }
                Err(refused) => assert!(
                    ["challenge.answered", "challenge.failed", "evaluation.stale"].contains(&refused.code()),
                    "{refused:?}"
                ),
            }
        }
        assert_eq!(states.len(), 1, "{states:?}");
        let list = v1::ListAuditEntriesRequest {
            after: 0,
            page_size: 500,
        };
        let trail = world
            .admin_client()
            .list_audit_entries(world.as_account(&world.auditor, list))
            .await;
        let finals = trail.unwrap().into_inner().entries.into_iter().filter(|entry| {
            entry.target == asked.reply.challenge_id
                && ["approved", "denied", "failed"].contains(&entry.verb.as_str())
        });
        assert_eq!(finals.count(), 1);
        assert_eq!(world.attempts_left(&anna.phone).await, 5);
    }
}
