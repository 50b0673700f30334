//! `head`: see `portcullis_fuzz::edge::heads`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_fuzz::edge::heads::check(bytes));
