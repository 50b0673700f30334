//! The authorization server as values: requests in, grants, errors and documents out (RFC 6749, 6750, 7517, 8414).
//!
//! Pure: keys, addresses and `now` are arguments. What it leaves to others: reading the request off the wire
//! (`edge`), signing (`token`).

mod error;
mod grant;
mod metadata;
mod request;

pub use error::OAuthError;
pub use grant::{Grant, GrantContext, grant};
pub use metadata::metadata;
pub use request::{TokenRequest, WireTokenRequest};
