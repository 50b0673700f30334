//! Portcullis.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "tests fail by panicking"
    )
)]

pub mod access;
pub mod app;
pub mod catalogue;
pub mod cli;
pub mod clock;
pub mod config;
pub mod edge;
pub mod control;
pub mod model;
pub mod oauth;
pub mod sample;
pub mod store;
pub mod tables;
pub mod telemetry;
pub mod token;
