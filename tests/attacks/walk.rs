//! Every RPC × every role, phones among them, from the descriptor set: what is not allowed is refused before the handler, what is
//! allowed is not.

use std::sync::Arc;
use std::time::Duration;

use paraphe_companion::protocol::Prover;
use paraphe_companion::{Activation, Invitation, SoftwareKeyStore};
use paraphe_proto::access::{METHODS, Method};
use paraphe_proto::ids::ChallengeId;
use paraphe_proto::jwt::dpop;
use paraphe_proto::statements::Freshness;
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::{self, Role, SignedRequest};
use prost::Message;
use rand_core::OsRng;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use crate::daemon::ISSUER;
use crate::hand::{OPEN, blind};
use crate::world::{Account, World, jti};

/// Any reply on the wire.
#[derive(Clone, PartialEq, Message)]
struct Any {}

/// Who calls.
enum Caller {
    Nobody,
    Account(Account),
    Phone,
}

struct Walk {
    world: World,
    phone: Prover,
    activating: Prover,
    activation_id: String,
}

impl Walk {
    async fn begin() -> Self {
        let mut world = World::with(OPEN).await;
        let person = world.enrol().await;
        let (name, issued) = world.issue().await;
        let folder = world.daemon.path(&format!("phone-{name}"));
        let keys = Arc::new(SoftwareKeyStore::open(folder.join("keys"), "test/1").unwrap());
        let invitation = Invitation::from_uri(&issued.uri).unwrap();
        let begun = Activation::begin(&folder, keys, invitation, &world.server, &mut OsRng)
            .await
            .unwrap();
        Self {
            phone: person.phone.prover().unwrap(),
            activating: begun.prover().unwrap(),
            activation_id: issued.activation_id,
            world,
        }
    }

    /// What a phone sends: the method's body with a proof that counts.
    async fn proven(&self, path: &str) -> SignedRequest {
        let challenge = ChallengeId::from_bytes([7; 16]);
        let (challenge_id, activation_id) = (challenge.to_string(), self.activation_id.clone());
        let blinded_element = blind("739145").1.as_bytes().to_vec();
        let by_nonce = |body: Vec<u8>| (&self.phone, body, None);
        let bound = |body: Vec<u8>| (&self.phone, body, Some(challenge));
        let (prover, body, named) = match path.rsplit_once('/').unwrap().1 {
            "EvaluateActivation" => {
                let body = v1::EvaluateActivationBody {
                    activation_id,
                    blinded_element,
                };
                (&self.activating, body.encode_to_vec(), None)
            }
            "FinishActivation" => {
                let body = v1::FinishActivationBody {
                    activation_id,
                    activation: "a.b.c".into(),
                };
                (&self.activating, body.encode_to_vec(), None)
            }
            "Unlock" => bound(
                v1::UnlockBody {
                    challenge_id,
                    blinded_element,
                }
                .encode_to_vec(),
            ),
            "Answer" => bound(
                v1::AnswerBody {
                    challenge_id,
                    approval: "a.b.c".into(),
                    enrolment: String::new(),
                }
                .encode_to_vec(),
            ),
            "Refuse" => bound(
                v1::RefuseBody {
                    challenge_id,
                    refusal: "a.b.c".into(),
                }
                .encode_to_vec(),
            ),
            _ => by_nonce(Vec::new()),
        };
        let freshness = match named {
            Some(challenge) => Freshness::Challenge(challenge),
            None => Freshness::Nonce(
                paraphe_companion::protocol::nonce(&self.world.server)
                    .await
                    .unwrap(),
            ),
        };
        prover.prove_bytes(path, body, freshness).unwrap()
    }

    async fn call(&self, method: &'static Method, caller: &Caller, terminal: bool) -> Code {
        let mut request = match caller {
            Caller::Phone => Request::new(self.proven(method.path).await),
            Caller::Account(account) => self.world.as_account(account, SignedRequest::default()),
            Caller::Nobody => Request::new(SignedRequest::default()),
        };
        if terminal {
            let (key, now) = (
                &*self.world.admin.terminal,
                Timestamp::from_secs(self.world.now()),
            );
            let proof = dpop::sign(key, method.path, ISSUER, None, now, &jti()).unwrap();
            request.metadata_mut().insert("dpop", proof.parse().unwrap());
        }
        if method.path.ends_with("Session/Begin") {
            // An operator's name in field 1, where SignedRequest has its body.
            request.get_mut().body = b"admin-1".to_vec();
            request.get_mut().proof.clear();
        }
        let mut grpc = tonic::client::Grpc::new(self.world.channel.clone());
        grpc.ready().await.unwrap();
        let codec: ProstCodec<SignedRequest, Any> = ProstCodec::default();
        let reply = grpc
            .server_streaming(request, PathAndQuery::from_static(method.path), codec)
            .await;
        let mut stream = match reply {
            Ok(reply) => reply.into_inner(),
            Err(status) => return status.code(),
        };
        match tokio::time::timeout(Duration::from_millis(200), stream.message()).await {
            Ok(Err(status)) => status.code(),
            Ok(Ok(_)) | Err(_) => Code::Ok,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_is_open_to_its_roles_and_closed_to_all_others() {
    let walk = Walk::begin().await;
    let mut callers = vec![
        (Role::Anyone, Caller::Nobody),
        (Role::Phone, Caller::Phone),
        (Role::Backend, Caller::Account(walk.world.market.clone())),
    ];
    for role in [
        Role::Clerk,
        Role::Supervisor,
        Role::Support,
        Role::Auditor,
        Role::Administrator,
    ] {
        let name = format!("walker-{}", role as i32);
        callers.push((role, Caller::Account(walk.world.service(&name, &[role]).await)));
    }
    let set = prost_types_of_the_descriptor_set();
    assert_eq!(
        set.len(),
        METHODS.len(),
        "every RPC of the descriptor set declares its roles"
    );
    for path in &set {
        let method = METHODS.iter().find(|method| method.path == path);
        let method = method.unwrap_or_else(|| panic!("{path} declares no roles"));
        assert!(!method.roles.is_empty(), "{path} declares no roles");
        let open = method.roles.contains(&Role::Anyone);
        for (role, caller) in &callers {
            let terminal = open && path.contains("/paraphe.v1.Session/");
            let code = walk.call(method, caller, terminal).await;
            let allowed = open || method.roles.contains(role);
            let refused = matches!(code, Code::Unauthenticated | Code::PermissionDenied);
            assert_eq!(refused, !allowed, "{path} as {role:?}: {code:?}");
            let nameless = matches!(role, Role::Anyone | Role::Phone) || method.roles.contains(&Role::Phone);
            if !allowed {
                let expected = if nameless {
                    Code::Unauthenticated
                } else {
                    Code::PermissionDenied
                };
                assert_eq!(code, expected, "{path} as {role:?}");
            }
            if terminal {
                let without = walk.call(method, caller, false).await;
                assert_eq!(
                    without,
                    Code::Unauthenticated,
                    "{path} as {role:?} without a terminal"
                );
            }
        }
    }
}

fn prost_types_of_the_descriptor_set() -> Vec<String> {
    let set = prost_types::FileDescriptorSet::decode(v1::FILE_DESCRIPTOR_SET).unwrap();
    let ours = set.file.iter().filter(|file| file.package() == "paraphe.v1");
    let services = ours.flat_map(|file| &file.service);
    let named = services.flat_map(|service| {
        service
            .method
            .iter()
            .map(move |rpc| format!("/paraphe.v1.{}/{}", service.name(), rpc.name()))
    });
    named.collect()
}
