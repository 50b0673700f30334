//! The authorization server as values: requests in, grants, answers, errors and documents out (RFC 6749, 6750, 7009,
//! 7517, 7662, 8414, 8707).
//!
//! Pure: keys, addresses and `now` are arguments. What it leaves to others: reading the request off the wire
//! (`edge`), signing and proving tokens (`token`), keeping what was revoked (`tables`).

mod client;
mod error;
mod grant;
mod metadata;
mod question;
mod request;
mod throttle;

pub use client::{ClientContext, ProvenClient, authenticate};
pub use error::OAuthError;
pub use grant::{Grant, GrantContext, grant};
pub use metadata::metadata;
pub use question::{AskedToken, introspection, revocation};
pub use request::{ClientCredentials, TokenQuestion, TokenRequest, WireRequest};
pub use throttle::{ClientThrottle, Failures, Limit, SignInThrottle, Site};
