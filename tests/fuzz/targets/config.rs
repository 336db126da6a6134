#![no_main]

use std::path::Path;

use paraphe_server::config::Config;

// A configuration that is taken is never laxer than the protocol; one that is not says why.
libfuzzer_sys::fuzz_target!(
    |text: &str| match Config::parse(text, Path::new("/etc/paraphe")) {
        Ok(config) => {
            assert!(config.pin.max_failures <= 5 && config.pin.rolling_failures <= 20);
            assert!(config.pin.min_length >= 5);
            assert!(config.pin.wait_after_3_s >= 60 && config.pin.wait_after_4_s >= 900);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
);
