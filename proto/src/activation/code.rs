//! 28 characters for 16 bytes: Crockford's base 32 over the secret and a CRC of 12 bits. Called by [`super`]; section 5 of
//! protocol.md.
//!
//! A CRC, because a code of this kind notices every single wrong character and every swap of two neighbours for certain; a
//! truncated hash would miss one in 4,096. It protects against typing errors, not against people.

use zeroize::Zeroizing;

use super::ActivationError;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE_LENGTH: usize = 28;
/// CRC-12, x^12 + x^11 + x^3 + x^2 + x + 1: notices every error within 12 neighbouring bits.
const POLYNOMIAL: u16 = 0x80f;
const CRC_MASK: u16 = 0xfff;

/// The code without hyphens.
pub(super) fn encode(secret: &[u8; 16]) -> Zeroizing<String> {
    let mut code = Zeroizing::new(String::with_capacity(CODE_LENGTH));
    let (mut buffer, mut bits) = (Zeroizing::new(0u32), 0);
    for (value, width) in secret
        .iter()
        .map(|byte| (u32::from(*byte), 8))
        .chain([(u32::from(crc12(secret)), 12)])
    {
        *buffer = (*buffer << width | value) & 0xf_ffff;
        bits += width;
        while bits >= 5 {
            bits -= 5;
            let index = (*buffer >> bits & 31) as usize;
            code.extend(ALPHABET.get(index).map(|symbol| char::from(*symbol)));
        }
    }
    code
}

/// The secret of a typed code.
pub(super) fn decode(text: &str) -> Result<Zeroizing<[u8; 16]>, ActivationError> {
    let (mut high, mut low) = (Zeroizing::new(0u128), Zeroizing::new(0u16));
    let mut length = 0;
    for character in text.chars().filter(|character| !matches!(character, '-' | ' ')) {
        let symbol = u16::from(symbol(character).ok_or(ActivationError::CodeMalformed)?);
        // 140 bits: the upper 128 are the secret, the lower 12 the check.
        *high = *high << 5 | u128::from(*low >> 7);
        *low = (*low << 5 | symbol) & CRC_MASK;
        length += 1;
    }
    if length != CODE_LENGTH {
        return Err(ActivationError::CodeMalformed);
    }
    let secret = Zeroizing::new(high.to_be_bytes());
    if crc12(secret.as_slice()) == *low {
        Ok(secret)
    } else {
        Err(ActivationError::CodeMistyped)
    }
}

/// Value of one character, as forgiving as Crockford asks.
fn symbol(character: char) -> Option<u8> {
    let upper = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let value = ALPHABET.iter().position(|symbol| char::from(*symbol) == upper)?;
    u8::try_from(value).ok()
}

fn crc12(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 4, |crc, _| {
            let carry = crc & 0x800 != 0;
            (crc << 1 ^ if carry { POLYNOMIAL } else { 0 }) & CRC_MASK
        })
    })
}
