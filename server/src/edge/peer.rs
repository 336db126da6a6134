//! Who is at the other end of a connection, as far as TCP and TLS tell. Handlers read it from the request's extensions.

use std::net::{IpAddr, SocketAddr};

use rustls_pki_types::CertificateDer;

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its address and port.
    pub address: SocketAddr,
    /// SHA-256 of the client certificate (DER) whose key it has proven in the handshake; RFC 8705 section 2.2. Any
    /// certificate is let in: it means something only where a relying party has registered it.
    pub certificate_sha256: Option<[u8; 32]>,
}

impl PeerInfo {
    pub(super) fn new(address: SocketAddr, certificates: Option<&[CertificateDer<'_>]>) -> Self {
        let end_entity = certificates.and_then(|chain| chain.first());
        Self {
            address,
            certificate_sha256: end_entity.map(|certificate| sha256(certificate)),
        }
    }

    /// The network that one party is taken to hold: an IPv4 address or an IPv6 /64.
    pub(super) fn network(&self) -> [u8; 16] {
        match self.address.ip().to_canonical() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => (u128::from(v6) & !u128::from(u64::MAX)).to_be_bytes(),
        }
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> [u8; 16] {
        PeerInfo::new(address.parse().unwrap(), None).network()
    }

    #[test]
    fn an_ipv6_network_is_one_party_and_an_ipv4_address_is_one() {
        assert_eq!(network("[2001:db8::1]:1"), network("[2001:db8::ffff:1]:2"));
        assert_ne!(network("[2001:db8::1]:1"), network("[2001:db8:0:1::1]:1"));
        assert_ne!(network("192.0.2.1:1"), network("192.0.2.2:1"));
        assert_eq!(network("192.0.2.1:1"), network("[::ffff:192.0.2.1]:9"));
    }

    #[test]
    fn the_certificate_is_known_by_its_digest() {
        let address = "192.0.2.1:1".parse().unwrap();
        let chain = [
            CertificateDer::from(b"abc".as_slice()),
            CertificateDer::from(b"ca".as_slice()),
        ];
        let peer = PeerInfo::new(address, Some(&chain));
        let digest = peer.certificate_sha256.unwrap();
        assert_eq!(digest[..4], [0xba, 0x78, 0x16, 0xbf], "FIPS 180-2 appendix B.1");
    }
}
