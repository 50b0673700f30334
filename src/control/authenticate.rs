//! From a bearer token to the one who shows it. The token's form tells its kind, so that forged text costs no read.
//!
//! What the store must say is read at every request: a token that ended has ended everywhere at once. While the store
//! is away the operator's digest as it was last told still proves an operator, who can look at the status.

use super::caller::{Caller, KeyCaller};
use super::{Control, ControlProblem, bootstrap};
use crate::access::{Denial, ManagementCaller};
use crate::model::{ApiKey, KeyKind, PermissionName, SecretDigest, Timestamp};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

/// Who could not be told, and why.
#[derive(Debug)]
pub enum Unproven {
    /// No token that counts. One answer for everything that is wrong with it.
    Nobody,
    /// It cannot be told at the moment.
    Problem(ControlProblem),
    /// A genuine access token that opens nothing here, and why.
    Refused(Denial),
}

impl From<ControlProblem> for Unproven {
    fn from(problem: ControlProblem) -> Self {
        Self::Problem(problem)
    }
}

impl Control {
    /// Whose token this is. `may_remember` lets an operator in while the store is away.
    pub async fn authenticate(
        &self,
        token: &str,
        address: Option<IpAddr>,
        now: Timestamp,
        may_remember: bool,
    ) -> Result<Caller, Unproven> {
        if token.starts_with(bootstrap::PREFIX) {
            return self.authenticate_operator(token, may_remember).await;
        }
        self.authenticate_key(token, address, now).await
    }

    /// A management key, by an access token for this control plane. Its allowlist binds here too: where nobody can say
    /// from where a request comes, a key with an allowlist may not be used.
    async fn authenticate_key(&self, token: &str, address: Option<IpAddr>, now: Timestamp) -> Result<Caller, Unproven> {
        let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let judged = self.tables.load().management_caller(token, self.control_url.as_str(), address, now);
        let ManagementCaller { client_id, environment, management } = judged.map_err(|denial| match denial {
            Denial::TokenInvalid => Unproven::Nobody,
            told => Unproven::Refused(told),
        })?;
        let declared = self.tables.load().declared_key(&environment, &client_id).cloned();
        let key = match declared {
            Some(key) => key,
            None => self.store.key(&environment, &client_id).await.map_err(ControlProblem::from)?,
        };
        Ok(Caller::Key(KeyCaller {
            client_id,
            environment: (*environment).clone(),
            management,
            grantable: grantable(key),
        }))
    }

    async fn authenticate_operator(&self, token: &str, may_remember: bool) -> Result<Caller, Unproven> {
        let digest = self.operator_digest(may_remember).await?;
        let genuine = digest.is_some_and(|digest| digest.matches(token.as_bytes()));
        if genuine { Ok(Caller::Operator) } else { Err(Unproven::Nobody) }
    }

    async fn operator_digest(&self, may_remember: bool) -> Result<Option<SecretDigest>, ControlProblem> {
        match self.store.bootstrap_digest().await {
            Ok(digest) => {
                *self.last_operator.lock() = digest;
                Ok(digest)
            }
            Err(error) => {
                let remembered = *self.last_operator.lock();
                let problem = ControlProblem::from(error);
                if may_remember && remembered.is_some() { Ok(remembered) } else { Err(problem) }
            }
        }
    }
}

/// What keys of a management key may hold: what it holds itself, and what it may give beyond that.
fn grantable(key: ApiKey) -> HashSet<PermissionName> {
    let own = match key.kind {
        KeyKind::FineGrained { permissions } => permissions,
        KeyKind::Legacy { .. } => vec![],
    };
    own.into_iter().chain(key.may_grant).filter(|name| !name.is_reserved()).collect()
}
