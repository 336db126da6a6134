//! DEFLATE (RFC 1951) primed with the words of our own statements, so that a short text need not spell them out.
//!
//! Called by [`super::pack`]. Invariant: inflating makes at most as many bytes as it was allowed. A dictionary that was released never
//! changes: rows of years depend on it; another one takes another format of the packed challenge.

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output, create_comp_flags_from_zip_params,
};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use zeroize::Zeroizing;

/// What every text is taken to begin with: names of fields and phrases that recur, the commonest last.
const DICTIONARY: &[u8] = include_bytes!("dictionary-1.txt");
/// Effort, from 1 to 10.
const LEVEL: i32 = 8;

/// Compresses; `None` where the compressor fails, which it has no reason to.
pub(super) fn deflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut compressor = CompressorOxide::new(create_comp_flags_from_zip_params(LEVEL, -15, 0));
    let (primed, _) = compress_to_output(&mut compressor, DICTIONARY, TDEFLFlush::Sync, |_| true);
    let mut out = Vec::with_capacity(2048);
    let (done, _) = compress_to_output(&mut compressor, bytes, TDEFLFlush::Finish, |part| {
        out.extend_from_slice(part);
        true
    });
    (primed == TDEFLStatus::Okay && done == TDEFLStatus::Done).then_some(out)
}

/// What [`deflate`] compressed; `None` for anything else, and for more than `most_bytes`.
pub(super) fn inflate(deflated: &[u8], most_bytes: usize) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(DICTIONARY.to_vec());
    out.resize(DICTIONARY.len().saturating_add(most_bytes), 0);
    let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut inflater = DecompressorOxide::new();
    let (status, _, length) = decompress(&mut inflater, deflated, &mut out, DICTIONARY.len(), flags);
    if status != TINFLStatus::Done {
        return None;
    }
    out.drain(..DICTIONARY.len());
    out.truncate(length);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_of_released_rows_never_changes() {
        let digest = paraphe_proto::encoding::hex(&crate::domain::digest::sha256(DICTIONARY));
        assert_eq!(
            digest,
            "d9c4a4bb68610a1a83d6d0a213925b06d6476cb4106baba56a66b3219bed673d"
        );
    }

    #[test]
    fn a_text_of_any_length_comes_back_within_the_bound_and_no_further() {
        for length in [0, 1, 100, 4_000, 70_000] {
            let text = b"the same again, ".repeat(length / 16 + 1);
            let deflated = deflate(&text).unwrap();
            assert_eq!(*inflate(&deflated, text.len()).unwrap(), text);
            assert!(inflate(&deflated, text.len() - 1).is_none());
            assert!(inflate(deflated.get(1..).unwrap(), text.len()).is_none_or(|other| *other != text));
        }
    }
}
