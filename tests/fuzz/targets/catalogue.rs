#![no_main]

use paraphe_server::domain::catalogue::{Catalogue, LifetimeBounds};

// A lifetime that is taken lies within the bounds.
libfuzzer_sys::fuzz_target!(|text: &str| {
    let bounds = LifetimeBounds {
        min_s: 30,
        max_s: 600,
    };
    match Catalogue::parse(text, bounds) {
        Ok(catalogue) => {
            for action in catalogue.actions() {
                let lifetime = action.lifetime();
                assert!(30 <= lifetime.min_s && lifetime.min_s <= lifetime.default_s);
                assert!(lifetime.default_s <= lifetime.max_s && lifetime.max_s <= 600);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
