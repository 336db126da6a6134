#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| paraphe_fuzz::messages::run(data));
