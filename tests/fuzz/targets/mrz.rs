#![no_main]

use paraphe_server::domain::mrz;
use time::macros::date;

// What is read has a real expiry date and no characters but those of a zone.
libfuzzer_sys::fuzz_target!(|zone: &str| {
    if let Ok(document) = mrz::parse(zone, date!(2026 - 11 - 27)) {
        assert_eq!(document.expiry_date.len(), 10);
        assert!(
            document
                .number
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        );
        assert!(!document.family_name.is_empty());
        assert!(
            document
                .family_name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c == ' ')
        );
    }
});
