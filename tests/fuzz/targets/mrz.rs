#![no_main]

use paraphe_server::domain::mrz;
use time::macros::date;

// What is read has a real expiry date and no characters but those of a zone. A document number may hold fillers in place of
// special characters (Doc 9303-5, 4.2.2), but neither begins nor ends with one.
libfuzzer_sys::fuzz_target!(|zone: &str| {
    if let Ok(document) = mrz::parse(zone, date!(2026 - 11 - 27)) {
        assert_eq!(document.expiry_date.len(), 10);
        assert!(
            document
                .number
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '<')
        );
        assert!(!document.number.starts_with('<') && !document.number.ends_with('<'));
        assert!(!document.family_name.is_empty());
        assert!(
            document
                .family_name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c == ' ')
        );
    }
});
