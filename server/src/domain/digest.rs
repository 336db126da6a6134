//! SHA-256, the one digest of the protocol.

/// SHA-256 (FIPS 180-4) of the bytes.
pub fn sha256(data: impl AsRef<[u8]>) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, data.as_ref()).as_ref());
    out
}
