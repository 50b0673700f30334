//! `proxy`: see `portcullis_fuzz::edge::proxies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_fuzz::edge::proxies::check(bytes));
