//! Portcullis puts scoped, expiring, revocable API keys in front of an API that already exists.
//!
//! The package is this library and a thin `main`. Its modules are rooms, written as if they were crates; a test
//! (`tests/it/tidy.rs`) holds who may import whom. `ARCHITECTURE.md` has the long form.
//!
//! # Rooms
//!
//! - Pure values and judgement, without clock, runtime or I/O: `model` (what everyone speaks in), `catalogue` (which
//!   operation is a request), [`access`] (the decision), `token` (sign and prove), `oauth` (token requests and grants).
//! - State: `store` (the truth, on disk) and `tables` (what the request path reads, lock-free).
//! - Borders: `edge` (callers' traffic, on pingora), `control` (the control API), `tls` (what listeners show before they
//!   speak), `telemetry`, `config`, `cli`.
//! - `app` puts them together; `clock` reads the time for it; `sample` is the API behind `portcullis demo`.
//!
//! # Invariants
//!
//! 1. The request path never waits for the store: it reads tables and nothing else.
//! 2. Only [`access`] makes a [`Permit`](access::Permit), and nothing reaches an upstream without one. A
//!    [`Denial`](access::Denial) is a value, not an error.
//! 3. pingora appears in `edge` and `app` only, SQL in `store` only.
//! 4. Time is read in [`clock`] and passed in as `now`; environment variables are read in [`config`].
//! 5. No global mutable or lazily made state: tables, metrics and settings are injected.
//! 6. Secrets have no `Display` and no `Serialize`, and exist in clear once: in the answer that creates them.
//! 7. One `Denial` variant is one HTTP answer, one metric label, one log value and one documented code.
//! 8. Fail closed: without loaded tables there is no listener, and what nobody granted is denied.
//! 9. Every change in the store has a number that only grows; tables say which one they show.
//!
//! # Where to start reading
//!
//! `src/tables/order.rs` for the order of checks, [`access::decide`] for the last and most important of them,
//! [`tables`] for how a change becomes visible, [`app`] for how it all starts.
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
pub mod control;
pub mod edge;
pub mod model;
pub mod oauth;
pub mod sample;
pub mod store;
pub mod tables;
pub mod telemetry;
pub mod tls;
pub mod token;
