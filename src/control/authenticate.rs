//! From a bearer token to the one who shows it. The token's form tells its kind, so that forged text costs no read.
//!
//! What the store must say is read at every request: a token that ended has ended everywhere at once. While the store
//! is away the operator's digest as it was last told still proves an operator, who can look at the status.

use super::caller::{Caller, KeyCaller, MemberCaller};
use super::{Control, ControlProblem};
use crate::access::{Denial, ManagementCaller};
use crate::model::{ApiKey, KeyKind, PermissionName, SecretDigest, Timestamp, TokenKind};
use crate::store::USE_NOTED_SECONDS;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

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
        match TokenKind::of(token) {
            Some(TokenKind::Member) => self.authenticate_member(token, now).await,
            Some(TokenKind::Operator) => self.authenticate_operator(token, may_remember).await,
            Some(TokenKind::Session) => self.authenticate_session(token, now).await,
            Some(TokenKind::Invitation) => Err(Unproven::Nobody),
            None => self.authenticate_key(token, address, now).await,
        }
    }

    async fn authenticate_session(&self, token: &str, now: Timestamp) -> Result<Caller, Unproven> {
        let digest = SecretDigest::of(token.as_bytes());
        let session = self.store.session(&digest, now).await.map_err(ControlProblem::from)?;
        let session = session.ok_or(Unproven::Nobody)?;
        self.note_use(digest, Some(session.last_seen_at), now);
        Ok(session.person.map_or(Caller::Operator, |person| Caller::Member(person.into())))
    }

    /// A token opens one organization and has no power over the node, whoever holds it.
    async fn authenticate_member(&self, token: &str, now: Timestamp) -> Result<Caller, Unproven> {
        let digest = SecretDigest::of(token.as_bytes());
        let holder = self.store.token_holder(&digest, now).await.map_err(ControlProblem::from)?;
        let holder = holder.ok_or(Unproven::Nobody)?;
        self.note_use(digest, holder.last_used_at, now);
        Ok(Caller::Member(MemberCaller { operator: false, until: Some(holder.expires_at), ..holder.person.into() }))
    }

    /// Notes that a token is in use, once a minute and beside the request, which does not wait for it.
    fn note_use(&self, digest: SecretDigest, last: Option<Timestamp>, now: Timestamp) {
        if last.is_some_and(|last| last.plus_seconds(USE_NOTED_SECONDS) > now) {
            return;
        }
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            if let Err(error) = store.note_use(&digest, now).await {
                tracing::warn!("control: the use of a token could not be noted: {error}");
            }
        });
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
