#![no_main]

libfuzzer_sys::fuzz_target!(|fuzz: &[u8]| testkit::fuzz::bingo::against_model(fuzz));
