//! SHA-256 and HKDF-SHA-256 (RFC 5869) by ring, with outputs of fixed size. Used by the other modules of this crate.

use ring::{digest, hkdf};

/// SHA-256 (FIPS 180-4).
pub(crate) fn sha256(bytes: &[u8]) -> [u8; digest::SHA256_OUTPUT_LEN] {
    let mut hash = [0; digest::SHA256_OUTPUT_LEN];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-SHA-256: extract with `salt`, expand with `info` into `out`.
///
/// # Panics
/// Never: HKDF refuses only outputs above 8,160 bytes, and `N` is checked when the program is compiled.
pub(crate) fn hkdf_sha256<const N: usize>(salt: &[u8], input: &[u8], info: &str, out: &mut [u8; N]) {
    const {
        assert!(
            N <= 255 * digest::SHA256_OUTPUT_LEN,
            "longer than HKDF-SHA-256 can give"
        )
    };
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(input);
    let filled = prk
        .expand(&[info.as_bytes()], Length(N))
        .and_then(|okm| okm.fill(out));
    assert!(filled.is_ok(), "HKDF output of {N} bytes");
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use super::*;
    use crate::encoding::hex;

    /// RFC 5869, appendix A.3.
    #[test]
    fn hkdf_gives_the_published_output() {
        let mut out = [0; 42];
        hkdf_sha256(&[], &[0x0b; 22], "", &mut out);
        let expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d\
                        9d201395faa4b61a96c8";
        assert_eq!(hex(&out), expected);
    }

    /// FIPS 180-4, the one-block example.
    #[test]
    fn sha256_gives_the_published_output() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&sha256(b"abc")), expected);
    }
}
