//! Parse arguments, run, exit code.

use std::process::ExitCode;

/// Stays flat under proxy load.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // pingora would install ring on first use and ignore that it lost; ours comes first and counts.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("error: another TLS provider was installed before ours");
        return ExitCode::FAILURE;
    }
    portcullis::cli::run(std::env::args_os())
}
