//! `openapi`: see `portcullis_fuzz::documents`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_fuzz::documents::check(bytes));
