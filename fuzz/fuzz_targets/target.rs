//! `target`: see `portcullis_fuzz::routes::targets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_fuzz::routes::targets::check(bytes));
