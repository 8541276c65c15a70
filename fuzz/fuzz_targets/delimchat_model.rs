#![no_main]

libfuzzer_sys::fuzz_target!(|fuzz: &[u8]| testkit::fuzz::delimchat::against_model(fuzz));
