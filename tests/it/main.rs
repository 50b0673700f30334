//! One integration binary: a harness with verbs, real sockets, and a file a subject.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod bad_input;
mod cli;
mod cli_examples;
mod clients;
mod config;
mod control;
mod copies;
mod demo;
mod drain;
mod drift;
mod edge;
mod faults;
mod hammer;
mod harness;
mod made;
mod matching;
mod mutations;
mod openapi;
mod process;
mod prometheus;
mod readme;
mod reloads;
mod restart;
mod rules;
mod schemathesis;

mod start;
mod store;
mod tidy;
mod tls_certificates;
mod tools;
mod upgrade;
mod watch;
mod wire_table;
mod workbench;
