//! Messages, clients and servers generated from `proto/paraphe/v1/*.proto`, where every field is documented.
//!
//! Clients exist with the feature `client`, servers with `server`.

#![allow(missing_docs, clippy::all, clippy::pedantic)]

tonic::include_proto!("paraphe.v1");

/// The encoded `FileDescriptorSet` with imports, comments and options, for gRPC server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/paraphe_v1.bin"));
