#![no_main]

use paraphe_proto::activation::{ActivationSecret, ActivationUri};

// A code or a QR code that is read is written so that it is read as the same secret.
libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(secret) = ActivationSecret::from_code(text) {
        let again = ActivationSecret::from_code(&secret.code()).expect("our own code");
        assert_eq!(again.activation_id(), secret.activation_id());
    }
    if let Ok(uri) = ActivationUri::parse(text) {
        let again = ActivationUri::parse(&uri.to_text())
            .ok()
            .expect("our own QR code");
        assert_eq!(again.secret.activation_id(), uri.secret.activation_id());
        assert_eq!((again.issuer, again.root_key), (uri.issuer, uri.root_key));
    }
});
