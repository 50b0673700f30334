//! Enforcement: the only room that knows pingora.
//!
//! | file | what |
//! |---|---|
//! | `front.rs` | our own `ServerApp` inside pingora's service: reads a head under a deadline, judges it, hands it on |
//! | `door.rs` | from a socket to a connection whose requests may be read: counted, and whose it is known |
//! | `connections.rs` | how many there may be, in all and of one address |
//! | `descriptors.rs` | how many files the process may have open |
//! | `proxy_header.rs` | the PROXY protocol; pure |
//! | `arrival.rs` | what is known of the connection that a request came on |
//! | `head.rs` | is the head sound HTTP/1? pure |
//! | `multiplex.rs` | one HTTP/2 connection, whose streams become requests like any other |
//! | `streams.rs` | is the head of an HTTP/2 stream sound? pure |
//! | `gate.rs` | what a request shows at each step of the order of checks (`tables/order.rs`) |
//! | `forward.rs` | pingora's hooks: what a permit lets through, and how |
//! | `identity.rs` | the headers the upstream sees, set where a caller cannot remove or forge them |
//! | `methods.rs` | CONNECT and TRACE, and how far OPTIONS goes |
//! | `endpoints.rs` | token, introspection and revocation: what authenticates its clients |
//! | `revocation.rs` | where a revoked token goes: a sink that `app` injects |
//! | `reserved.rs` | documents: signing keys, metadata |
//! | `body.rs` | how much body, and how slowly |
//! | `lease.rs` | long requests, checked again |
//! | `overload.rs` | how many requests at the same time |
//! | `panics.rs` | a panic ends one request |
//! | `account.rs` | what is told of a request once it is over |
//! | `answer.rs` | refusals and documents as HTTP answers |
//! | `upstreams.rs` | names to addresses, in the background; which address is next; health checks |
//! | `service.rs` | listeners, drain, the pingora server |
//!
//! What it leaves to others: what may pass (`access`), what is known (`tables`). It never waits for the store.

mod account;
mod alarm;
mod answer;
mod arrival;
mod bearer;
mod behind;
mod body;
mod connections;
mod context;
mod descriptors;
mod door;
mod endpoints;
mod forward;
mod front;
mod gate;
mod head;
mod identity;
mod lease;
mod methods;
mod multiplex;
mod overload;
mod panics;
mod proxy_header;
mod reserved;
mod revocation;
mod service;
mod signals;
mod slow_heads;
mod streams;
mod upstreams;
mod watched;

pub use lease::RECHECK;
pub use revocation::{RevocationRefused, RevocationSink, TokenRevocation};
pub use service::{EdgeParts, ServeError, bind, serve};
pub use signals::{EndSignals, NodeSignals, OtherSignals};
pub use upstreams::{Standing, Upstreams};
