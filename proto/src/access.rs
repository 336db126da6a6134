//! Which role may call which RPC, generated from the `paraphe.v1.allow` options of the `.proto` files.
//!
//! The daemon's only table of permissions: a path that is not in it, or a caller without one of its roles, is refused.
//! The build fails where an RPC names no role. Section 1 of protocol.md.

use crate::v1::Role;

/// One RPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// The path of the HTTP/2 request, e.g. `/paraphe.v1.StepUp/Check`.
    pub path: &'static str,
    /// The roles that may call it, never empty.
    pub roles: &'static [Role],
    /// Whether the reply is a stream.
    pub server_streaming: bool,
}

include!(concat!(env!("OUT_DIR"), "/access.rs"));

/// The RPC of a path; `None` when there is none.
pub fn method(path: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.path == path)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::v1::FILE_DESCRIPTOR_SET;

    #[test]
    fn table_lists_exactly_the_rpcs_of_the_descriptor_set() {
        let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
        let mut described = Vec::new();
        for file in set.file.iter().filter(|file| file.package() == "paraphe.v1") {
            for service in &file.service {
                for rpc in &service.method {
                    let path = format!("/paraphe.v1.{}/{}", service.name(), rpc.name());
                    described.push((path, rpc.server_streaming()));
                }
            }
        }
        let mut listed: Vec<_> = METHODS
            .iter()
            .map(|method| (method.path.to_owned(), method.server_streaming))
            .collect();
        described.sort();
        listed.sort();
        assert!(!listed.is_empty());
        assert_eq!(listed, described);
    }

    #[test]
    fn every_rpc_names_roles_once() {
        for method in METHODS {
            assert!(!method.roles.is_empty(), "{}", method.path);
            for role in method.roles {
                assert_ne!(*role, Role::Unspecified, "{}", method.path);
                let times = method.roles.iter().filter(|other| *other == role).count();
                assert_eq!(times, 1, "{} names {role:?} twice", method.path);
            }
        }
    }

    #[test]
    fn roles_are_those_of_the_proto_files() {
        let roles = |path| method(path).map(|method| method.roles);
        assert_eq!(roles("/paraphe.v1.StepUp/Request"), Some(&[Role::Backend][..]));
        assert_eq!(roles("/paraphe.v1.Companion/Nonce"), Some(&[Role::Anyone][..]));
        assert_eq!(roles("/paraphe.v1.Companion/Answer"), Some(&[Role::Phone][..]));
        assert_eq!(
            roles("/paraphe.v1.Enrolment/Countersign"),
            Some(&[Role::Clerk, Role::Supervisor][..])
        );
        assert_eq!(roles("/paraphe.v1.StepUp/request"), None);
        assert_eq!(roles("/grpc.health.v1.Health/Check"), None);
    }

    #[test]
    fn descriptor_set_keeps_the_options() {
        // Field 50501, packed (wire type 2), as a varint.
        let tag = [0xaa, 0xd4, 0x18];
        let options = FILE_DESCRIPTOR_SET
            .windows(3)
            .filter(|window| *window == tag)
            .count();
        assert!(
            options >= METHODS.len(),
            "{options} options for {} RPCs",
            METHODS.len()
        );
    }
}
