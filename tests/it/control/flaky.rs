//! A store that can be told to be slow or away.

use portcullis::model::{
    Act, ApiKey, AuditEntry, ChainHead, ClientId, Email, EnvironmentId, Identifier, MemberId, MemberTokenId,
    PermissionName, Revision, SecretDigest, Timestamp,
};
use portcullis::store::{
    AuditFilter, AuditPage, AuditStore, Beyond, Change, CountedAt, DocumentText, EnvironmentStore, EnvironmentWrite,
    Exceeding, Feed, Holders, HourUse, Judged, KeyCounts, KeyEdit, KeyFilter, KeyPage, KeyStore, KeyUse, Member,
    MemberEdit, MemberPage, MemberToken, NewInvitation, NewKey, NewMember, NewMemberToken, NewPassword, NewSession,
    NodeStore, Noted, OpenedSession, OperationUse, OrganizationChange, OrganizationStore, Page, PasswordHash,
    PeopleStore, Person, RevokedToken, Rotation, Session, SessionStore, SqliteStore, StoreError, StoredEnvironment,
    StoredOrganization, StoredSigningKey, TokenHolder, TrafficHour, UsageStore,
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::RwLock;

pub(super) struct FlakyStore {
    inner: SqliteStore,
    /// Everything fails.
    pub(super) away: AtomicBool,
    /// Lists of keys fail.
    pub(super) no_lists: AtomicBool,
    /// Changes fail.
    pub(super) read_only: AtomicBool,
    /// How long a change takes, in milliseconds.
    pub(super) delay: AtomicU64,
    /// Reads of the audit log wait while a test holds it for itself.
    pub(super) log: RwLock<()>,
    /// How many reads of the audit log were asked for.
    pub(super) log_reads: AtomicU64,
}

impl FlakyStore {
    pub(super) fn over(inner: SqliteStore) -> Self {
        Self {
            inner,
            away: false.into(),
            no_lists: false.into(),
            read_only: false.into(),
            delay: 0.into(),
            log: RwLock::default(),
            log_reads: 0.into(),
        }
    }

    async fn read(&self) -> Result<&SqliteStore, StoreError> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("secret place on disk".into())),
            false => Ok(&self.inner),
        }
    }

    async fn list(&self) -> Result<&SqliteStore, StoreError> {
        match self.no_lists.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("secret place on disk".into())),
            false => self.read().await,
        }
    }

    async fn walk(&self) -> Result<&SqliteStore, StoreError> {
        tokio::time::sleep(Duration::from_millis(self.delay.load(Ordering::SeqCst))).await;
        self.read().await
    }

    async fn log(&self) -> Result<&SqliteStore, StoreError> {
        self.log_reads.fetch_add(1, Ordering::SeqCst);
        let _open = self.log.read().await;
        self.read().await
    }

    async fn change(&self) -> Result<&SqliteStore, StoreError> {
        tokio::time::sleep(Duration::from_millis(self.delay.load(Ordering::SeqCst))).await;
        match self.read_only.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("secret place on disk".into())),
            false => self.read().await,
        }
    }
}

/// Passes each call on, as a read or as a change.
macro_rules! flaky {
    ($($trait:ident { $($kind:ident $name:ident($($arg:ident: $type:ty),*) -> $ok:ty;)* })*) => {
        $(
            #[async_trait::async_trait]
            impl $trait for FlakyStore {
                $(
                    async fn $name(&self, $($arg: $type),*) -> Result<$ok, StoreError> {
                        self.$kind().await?.$name($($arg),*).await
                    }
                )*
            }
        )*
    };
}

flaky! {
    AuditStore {
        log audit_page(chain: Option<&Identifier>, filter: &AuditFilter, before: Option<u64>, limit: u32) -> AuditPage;
        log audit_rows(chain: Option<&Identifier>, after: u64, limit: u32) -> Vec<(u64, String)>;
        read audit_head(chain: Option<&Identifier>) -> ChainHead;
        change note(noted: &[Noted]) -> ();
    }
    EnvironmentStore {
        read environments(after: Option<&EnvironmentId>, limit: u32) -> Vec<StoredEnvironment>;
        read environment(id: &EnvironmentId) -> Option<StoredEnvironment>;
        read document(digest: &str) -> Option<DocumentText>;
        change write_environment(write: &EnvironmentWrite, judged: Judged, act: &Act) -> StoredEnvironment;
        change remove_environment(
            id: &EnvironmentId, at: Option<Revision>, entry: &AuditEntry, act: &Act
        ) -> Revision;
    }
    Feed {
        read revision() -> Revision;
        read changes(since: Revision, limit: u32) -> Vec<Change>;
        read look_back(act: &Act) -> ();
    }
    KeyStore {
        change create_key(key: &NewKey, act: &Act) -> ApiKey;
        read key(environment: &EnvironmentId, id: &ClientId) -> ApiKey;
        read key_by_id(id: &ClientId) -> Option<ApiKey>;
        list list_keys(environment: &EnvironmentId, filter: &KeyFilter, page: &Page) -> KeyPage;
        read count_keys(environment: &EnvironmentId, without: &[ClientId], at: &CountedAt) -> KeyCounts;
        read all_keys(after: Option<&ClientId>, limit: u32) -> Vec<ApiKey>;
        read keys_holding(e: &EnvironmentId, names: &[PermissionName], now: Timestamp, first: u32) -> Vec<Holders>;
        walk keys_beyond(
            e: &EnvironmentId, names: &[PermissionName], roles: &[&str], now: Timestamp, first: u32
        ) -> Beyond;
        change edit_key(e: &EnvironmentId, id: &ClientId, edit: &KeyEdit, at: Option<Revision>, act: &Act) -> ApiKey;
        change rotate_key(e: &EnvironmentId, id: &ClientId, new: &Rotation, at: Option<Revision>, act: &Act) -> ApiKey;
        change revoke_key(e: &EnvironmentId, id: &ClientId, at: Option<Revision>, act: &Act) -> ApiKey;
    }
    NodeStore {
        read signing_keys() -> Vec<StoredSigningKey>;
        change add_signing_key(key: &StoredSigningKey, others_end_at: Option<Timestamp>, act: &Act) -> ();
        change remove_ended_signing_keys(act: &Act) -> Vec<String>;
        read bootstrap_digest() -> Option<SecretDigest>;
        change set_bootstrap_digest(digest: Option<&SecretDigest>, act: &Act) -> ();
        change revoke_token(token: &RevokedToken, act: &Act) -> ();
        read revoked_token(token_id: &str) -> Option<RevokedToken>;
        read revoked_tokens(now: Timestamp) -> Vec<RevokedToken>;
        change forget_ended(now: Timestamp) -> ();
    }
    OrganizationStore {
        read organizations() -> Vec<StoredOrganization>;
        read organization(id: &Identifier) -> StoredOrganization;
        change change_organization(
            id: &Identifier, change: &OrganizationChange, at: Option<Revision>, act: &Act
        ) -> StoredOrganization;
        read count_exceeding(id: &Identifier, longest: &[Option<Duration>], now: Timestamp) -> Vec<Exceeding>;
    }
    UsageStore {
        change record_usage(uses: &[KeyUse]) -> ();
        change record_traffic(counts: &[(EnvironmentId, TrafficHour)]) -> ();
        read hours_used(ids: &[ClientId], since: Timestamp, hours: u32) -> Vec<HourUse>;
        read traffic(environment: &EnvironmentId, since: Timestamp, hours: u32) -> Vec<TrafficHour>;
        read operations_used(id: &ClientId) -> Vec<OperationUse>;
    }
    PeopleStore {
        read members(organization: &Identifier, after: Option<u64>, limit: u32) -> MemberPage;
        read member(organization: &Identifier, id: &MemberId) -> Member;
        read person_by_email(email: &Email) -> Option<(Person, Option<PasswordHash>)>;
        change add_member(new: &NewMember, act: &Act) -> Member;
        change edit_member(o: &Identifier, id: &MemberId, edit: &MemberEdit, at: Option<Revision>, act: &Act) -> Member;
        change remove_member(o: &Identifier, id: &MemberId, at: Option<Revision>, act: &Act) -> ();
        change invite_member(o: &Identifier, id: &MemberId, new: &NewInvitation, at: Option<Revision>, act: &Act) -> Member;
        read member_tokens(organization: &Identifier, id: &MemberId) -> Vec<MemberToken>;
        read member_token(organization: &Identifier, id: &MemberId, token: &MemberTokenId) -> MemberToken;
        change add_member_token(o: &Identifier, id: &MemberId, new: &NewMemberToken, at: Option<Revision>, act: &Act) -> MemberToken;
        change remove_member_token(o: &Identifier, id: &MemberId, token: &MemberTokenId, act: &Act) -> ();
    }
    SessionStore {
        read invited(invitation: &SecretDigest, now: Timestamp) -> Option<Person>;
        change open_session(new: &NewSession, act: &Act) -> OpenedSession;
        read session(digest: &SecretDigest, now: Timestamp) -> Option<Session>;
        change end_session(digest: &SecretDigest, act: &Act) -> ();
        change change_password(new: &NewPassword, act: &Act) -> ();
        read token_holder(digest: &SecretDigest, now: Timestamp) -> Option<TokenHolder>;
        change note_use(digest: &SecretDigest, now: Timestamp) -> ();
    }
}
