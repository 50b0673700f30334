//! `cidr`: see `portcullis_fuzz::networks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_fuzz::networks::check(bytes));
