//! Every RPC × every role, from the descriptor set that the daemon serves.

use paraphe_proto::access::METHODS;
use paraphe_proto::v1::{self, Role};
use prost::Message;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use crate::world::{Account, World};

/// Any message on the wire: an empty body decodes as every message.
#[derive(Clone, PartialEq, Message)]
struct Empty {}

async fn call(world: &World, path: &'static str, request: Request<Empty>) -> Code {
    let mut grpc = tonic::client::Grpc::new(world.channel.clone());
    grpc.ready().await.unwrap();
    let codec: ProstCodec<Empty, Empty> = ProstCodec::default();
    match grpc
        .server_streaming(request, PathAndQuery::from_static(path), codec)
        .await
    {
        Ok(response) => match tokio::time::timeout(
            std::time::Duration::from_millis(200),
            response.into_inner().message(),
        )
        .await
        {
            Ok(Err(status)) => status.code(),
            Ok(Ok(_)) | Err(_) => Code::Ok,
        },
        Err(status) => status.code(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_names_its_roles_and_refuses_all_others() {
    let world = World::new().await;
    let staff = [
        Role::Clerk,
        Role::Supervisor,
        Role::Support,
        Role::Auditor,
        Role::Administrator,
    ];
    let mut callers: Vec<(Role, Option<Account>)> = vec![(Role::Anyone, None)];
    callers.push((Role::Backend, Some(world.market.clone())));
    for (n, role) in staff.into_iter().enumerate() {
        callers.push((role, Some(world.service(&format!("walker-{n}"), &[role]).await)));
    }
    let set = prost_types::FileDescriptorSet::decode(v1::FILE_DESCRIPTOR_SET).unwrap();
    let services = set
        .file
        .iter()
        .filter(|file| file.package() == "paraphe.v1")
        .flat_map(|file| &file.service);
    let mut walked = 0;
    for service in services {
        for rpc in &service.method {
            let path = format!("/paraphe.v1.{}/{}", service.name(), rpc.name());
            let method = METHODS.iter().find(|method| method.path == path);
            let method = method.unwrap_or_else(|| panic!("{path} declares no roles"));
            assert!(!method.roles.is_empty(), "{path} declares no roles");
            for (role, account) in &callers {
                let request = match account {
                    Some(account) => world.as_account(account, Empty {}),
                    None => Request::new(Empty {}),
                };
                let code = call(&world, method.path, request).await;
                let open = method.roles.contains(&Role::Anyone);
                let allowed = open || method.roles.contains(role);
                let refused = matches!(code, Code::Unauthenticated | Code::PermissionDenied);
                let by_body = open && path.contains("Session/");
                assert!(by_body || refused != allowed, "{path} as {role:?}: {code:?}");
                walked += 1;
            }
        }
    }
    assert_eq!(walked, METHODS.len() * callers.len());
}

#[test]
fn every_rpc_and_every_field_is_documented() {
    let set = prost_types::FileDescriptorSet::decode(v1::FILE_DESCRIPTOR_SET).unwrap();
    for file in set.file.iter().filter(|file| file.package() == "paraphe.v1") {
        let info = file.source_code_info.as_ref().unwrap();
        let documented = |path: &[i32]| {
            info.location
                .iter()
                .any(|at| at.path == path && !at.leading_comments().trim().is_empty())
        };
        for (m, message) in file.message_type.iter().enumerate() {
            for (f, field) in message.field.iter().enumerate() {
                let path = [4, i32::try_from(m).unwrap(), 2, i32::try_from(f).unwrap()];
                assert!(
                    documented(&path),
                    "{}.{} has no comment",
                    message.name(),
                    field.name()
                );
            }
        }
        for (s, service) in file.service.iter().enumerate() {
            for (r, rpc) in service.method.iter().enumerate() {
                let path = [6, i32::try_from(s).unwrap(), 2, i32::try_from(r).unwrap()];
                assert!(
                    documented(&path),
                    "{}.{} has no comment",
                    service.name(),
                    rpc.name()
                );
            }
        }
    }
}
