//! Parse arguments, run, exit code.
fn main() {}
