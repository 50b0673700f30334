//! From a bearer token to the one who shows it. The token's form tells its kind, so that forged text costs no read.
//!
//! What the store must say is read at every request: a token that ended has ended everywhere at once. While the store
//! is away the operator's digest as it was last told still proves an operator, who can look at the status.

use super::caller::Caller;
use super::{Control, ControlProblem, bootstrap};
use crate::model::{SecretDigest, Timestamp};
use std::net::IpAddr;

/// Who could not be told, and why.
#[derive(Debug)]
pub enum Unproven {
    /// No token that counts. One answer for everything that is wrong with it.
    Nobody,
    /// It cannot be told at the moment.
    Problem(ControlProblem),
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
        _address: Option<IpAddr>,
        _now: Timestamp,
        may_remember: bool,
    ) -> Result<Caller, Unproven> {
        if token.starts_with(bootstrap::PREFIX) {
            return self.authenticate_operator(token, may_remember).await;
        }
        Err(Unproven::Nobody)
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
