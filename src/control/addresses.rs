//! The addresses of an environment, for whoever integrates with it.

use crate::tables::{EnvironmentTable, Snapshot};

/// Where callers of the API behind an environment send what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Where requests go; issuer and audience of the tokens too.
    pub base_url: String,
    /// Where tokens come from (RFC 6749 section 4.4).
    pub token_url: String,
    /// The public signing keys; `None` where tokens are signed with a secret.
    pub jwks_url: Option<String>,
}

impl Addresses {
    /// Those of this environment.
    pub fn of(snapshot: &Snapshot, environment: &EnvironmentTable) -> Self {
        let base_url = environment.base_url.as_str();
        let endpoint = format!("{base_url}{}", environment.oauth_prefix);
        Self {
            base_url: base_url.to_owned(),
            token_url: format!("{endpoint}/token"),
            jwks_url: snapshot.signing().has_public_keys().then(|| format!("{endpoint}/jwks")),
        }
    }

    /// A line for a shell that fetches a token: it wants the client id in the place of `CLIENT_ID`, and asks for the
    /// secret.
    pub fn curl(&self) -> String {
        format!("curl -u CLIENT_ID -d grant_type=client_credentials {}", self.token_url)
    }
}
