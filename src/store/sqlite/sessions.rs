//! The statements about sessions, and about who shows an invitation or a token.

use super::SqliteStore;
use super::change::Changing;
use super::fault::fault;
use super::node::entry as node_entry;
use super::people::{entry, person, role, stamp};
use crate::model::{Act, AuditEntry, Identifier, MemberId, MemberRole, MemberTokenId, SecretDigest, Timestamp};
use crate::store::{
    MAX_SESSIONS, NewPassword, NewSession, OpenedSession, PasswordHash, Person, SESSION_IDLE_SECONDS, Session,
    SessionProof, SessionStore, StoreError, Subject, TokenHolder, USE_NOTED_SECONDS,
};
use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::SqliteConnection;

const LIVE: &str = "SELECT person, last_seen_at, ends_at FROM sessions
     WHERE digest = ?1 AND ends_at > ?2 AND last_seen_at > ?3";
const OPEN: &str =
    "INSERT INTO sessions (digest, person, created_at, last_seen_at, ends_at) VALUES (?1, ?2, ?3, ?3, ?4)";
const MAKE_ROOM: &str = "DELETE FROM sessions WHERE person IS ?1 AND digest NOT IN
     (SELECT digest FROM sessions WHERE person IS ?1 ORDER BY last_seen_at DESC, rowid DESC LIMIT ?2)";
const TAKE_INVITATION: &str = "DELETE FROM invitations WHERE digest = ?1 AND expires_at > ?2 RETURNING person";
const END_TOKENS: &str = "DELETE FROM member_tokens WHERE person = ?1
     AND EXISTS (SELECT 1 FROM people WHERE id = ?1 AND password_hash IS NOT NULL)";
const TOKEN: &str = "SELECT t.id, t.person, t.organization, m.role, t.expires_at, t.last_used_at
     FROM member_tokens t JOIN memberships m ON m.organization = t.organization AND m.person = t.person
     WHERE t.digest = ?1 AND t.expires_at > ?2";
const NOTE_SESSION: &str = "UPDATE sessions SET last_seen_at = ?2 WHERE digest = ?1 AND last_seen_at <= ?3";
const NOTE_TOKEN: &str = "UPDATE member_tokens SET last_used_at = ?2
     WHERE digest = ?1 AND (last_used_at IS NULL OR last_used_at <= ?3)";

/// The row of a live session: whose, when last seen, when it ends.
async fn live(
    reader: &mut SqliteConnection,
    digest: &SecretDigest,
    now: Timestamp,
) -> Result<Option<(Option<String>, i64, i64)>, StoreError> {
    sqlx::query_as(LIVE)
        .bind(digest.to_text())
        .bind(now.as_unix())
        .bind(now.plus_seconds(-SESSION_IDLE_SECONDS).as_unix())
        .fetch_optional(reader)
        .await
        .map_err(fault)
}

/// Whoever proved themselves, looked at again; what was used up by it is gone.
async fn prove(change: &mut Changing<'_>, proof: &SessionProof, at: Timestamp) -> Result<Option<Person>, StoreError> {
    match proof {
        SessionProof::Bootstrap(digest) => {
            let same: Option<i64> = sqlx::query_scalar("SELECT 1 FROM bootstrap WHERE digest = ?1 AND ended = 0")
                .bind(digest.to_text())
                .fetch_optional(&mut **change)
                .await
                .map_err(fault)?;
            same.map_or(Err(StoreError::CredentialEnded), |_| Ok(None))
        }
        SessionProof::Invitation { digest, password } => take_up(change, digest, password, at).await.map(Some),
        SessionProof::Password { person: id, hash } => {
            let same: Option<i64> = sqlx::query_scalar("SELECT 1 FROM people WHERE id = ?1 AND password_hash = ?2")
                .bind(id.as_str())
                .bind(hash.as_str())
                .fetch_optional(&mut **change)
                .await
                .map_err(fault)?;
            same.ok_or(StoreError::CredentialEnded)?;
            person(change, id.as_str()).await
        }
    }
}

/// Uses an invitation up: a new password, and no session under the old one. Where there was an old one its tokens end
/// too: whoever knew it may have made some. Who had none has the tokens that were made for them.
async fn take_up(
    change: &mut Changing<'_>,
    invitation: &SecretDigest,
    password: &PasswordHash,
    at: Timestamp,
) -> Result<Person, StoreError> {
    let id: Option<String> = sqlx::query_scalar(TAKE_INVITATION)
        .bind(invitation.to_text())
        .bind(at.as_unix())
        .fetch_optional(&mut **change)
        .await
        .map_err(fault)?;
    let id = id.ok_or(StoreError::CredentialEnded)?;
    sqlx::query(END_TOKENS).bind(&id).execute(&mut **change).await.map_err(fault)?;
    sqlx::query("UPDATE people SET password_hash = ?2 WHERE id = ?1")
        .bind(&id)
        .bind(password.as_str())
        .execute(&mut **change)
        .await
        .map_err(fault)?;
    sqlx::query("DELETE FROM sessions WHERE person = ?1").bind(&id).execute(&mut **change).await.map_err(fault)?;
    let found = person(change, &id).await?.ok_or(StoreError::CredentialEnded)?;
    let revision = change.next(&Subject::Member(found.id.clone())).await?;
    stamp(change, &found.id, revision).await?;
    Ok(Person { revision, ..found })
}

/// Puts a password in place of the known one; who did it.
async fn replace_password(change: &mut Changing<'_>, new: &NewPassword, at: Timestamp) -> Result<Person, StoreError> {
    let (whose, _, _) = live(change, &new.session, at).await?.ok_or(StoreError::CredentialEnded)?;
    if whose.as_deref() != Some(new.person.as_str()) {
        return Err(StoreError::CredentialEnded);
    }
    let done = sqlx::query("UPDATE people SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2")
        .bind(new.person.as_str())
        .bind(new.known.as_str())
        .bind(new.password.as_str())
        .execute(&mut **change)
        .await
        .map_err(fault)?;
    if done.rows_affected() == 0 {
        return Err(StoreError::CredentialEnded);
    }
    sqlx::query("DELETE FROM sessions WHERE person = ?1 AND digest <> ?2")
        .bind(new.person.as_str())
        .bind(new.session.to_text())
        .execute(&mut **change)
        .await
        .map_err(fault)?;
    let revision = change.next(&Subject::Member(new.person.clone())).await?;
    stamp(change, &new.person, revision).await?;
    person(change, new.person.as_str()).await?.ok_or(StoreError::CredentialEnded)
}

/// Writes the session, and takes off what is too much.
async fn open(
    change: &mut Changing<'_>,
    new: &NewSession,
    id: Option<&MemberId>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let id = id.map(MemberId::as_str);
    sqlx::query(OPEN)
        .bind(new.digest.to_text())
        .bind(id)
        .bind(at.as_unix())
        .bind(new.ends_at.as_unix())
        .execute(&mut **change)
        .await
        .map_err(fault)?;
    sqlx::query(MAKE_ROOM).bind(id).bind(MAX_SESSIONS).execute(&mut **change).await.map_err(fault)?;
    sqlx::query("UPDATE people SET last_sign_in_at = ?2 WHERE id = ?1")
        .bind(id)
        .bind(at.as_unix())
        .execute(&mut **change)
        .await
        .map_err(fault)?;
    Ok(())
}

/// Ends the bootstrap token where it has not ended yet, and every session by it; whether it did.
async fn end_bootstrap(change: &mut Changing<'_>, spent: &SecretDigest) -> Result<bool, StoreError> {
    let done = sqlx::query("UPDATE bootstrap SET digest = ?1, ended = 1 WHERE ended = 0")
        .bind(spent.to_text())
        .execute(&mut **change)
        .await
        .map_err(fault)?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    end_operator_sessions(change).await?;
    change.also(&node_entry("bootstrap.end", None)).await?;
    Ok(true)
}

/// Ends every session that the bootstrap token opened.
pub(super) async fn end_operator_sessions(change: &mut Changing<'_>) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM sessions WHERE person IS NULL").execute(&mut **change).await.map_err(fault)?;
    Ok(())
}

/// Where a session is told of: in the log of each organization of its person, and in the node's for operators and for
/// who belongs nowhere. There is always one.
fn entries(action: &'static str, whose: Option<&Person>, after: Option<&Value>) -> (AuditEntry, Vec<AuditEntry>) {
    let Some(person) = whose else {
        return (AuditEntry { after: after.cloned(), ..node_entry(action, None) }, vec![]);
    };
    let one = |organization: Option<&Identifier>| AuditEntry {
        after: after.cloned(),
        ..entry(organization, action, &person.id, &person.email)
    };
    let mut all: Vec<AuditEntry> = person.roles.iter().map(|(organization, _)| one(Some(organization))).collect();
    match all.pop() {
        Some(last) if !person.operator => (last, all),
        Some(last) => {
            all.push(last);
            (one(None), all)
        }
        None => (one(None), all),
    }
}

async fn finish(
    change: Changing<'_>,
    action: &'static str,
    whose: Option<&Person>,
    after: Option<Value>,
) -> Result<(), StoreError> {
    let mut change = change;
    let (last, others) = entries(action, whose, after.as_ref());
    for entry in &others {
        change.also(entry).await?;
    }
    change.finish(&last).await
}

fn means(proof: &SessionProof) -> &'static str {
    match proof {
        SessionProof::Bootstrap(_) => "bootstrap_token",
        SessionProof::Invitation { .. } => "invitation",
        SessionProof::Password { .. } => "password",
    }
}

#[async_trait]
impl SessionStore for SqliteStore {
    async fn invited(&self, invitation: &SecretDigest, now: Timestamp) -> Result<Option<Person>, StoreError> {
        let mut snapshot = self.readers.begin().await.map_err(fault)?;
        let id: Option<String> =
            sqlx::query_scalar("SELECT person FROM invitations WHERE digest = ?1 AND expires_at > ?2")
                .bind(invitation.to_text())
                .bind(now.as_unix())
                .fetch_optional(&mut *snapshot)
                .await
                .map_err(fault)?;
        match id {
            Some(id) => person(&mut snapshot, &id).await,
            None => Ok(None),
        }
    }

    async fn open_session(&self, new: &NewSession, act: &Act) -> Result<OpenedSession, StoreError> {
        let mut change = self.change(act).await?;
        let proven = prove(&mut change, &new.proof, act.at).await?;
        open(&mut change, new, proven.as_ref().map(|person| &person.id), act.at).await?;
        let person = proven.map(|person| Person { last_sign_in_at: Some(act.at), ..person });
        let is_owner =
            person.as_ref().is_some_and(|person| person.roles.iter().any(|(_, role)| *role == MemberRole::Owner));
        let bootstrap_ended = is_owner && end_bootstrap(&mut change, &new.spent).await?;
        let after = json!({"by": means(&new.proof), "ends_at": new.ends_at});
        finish(change, "session.create", person.as_ref(), Some(after)).await?;
        Ok(OpenedSession { person, bootstrap_ended })
    }

    async fn session(&self, digest: &SecretDigest, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let mut snapshot = self.readers.begin().await.map_err(fault)?;
        let Some((whose, last_seen_at, ends_at)) = live(&mut snapshot, digest, now).await? else { return Ok(None) };
        let person = match whose {
            Some(id) => Some(person(&mut snapshot, &id).await?.ok_or(StoreError::MemberNotFound)?),
            None => None,
        };
        let (last_seen_at, ends_at) = (Timestamp::from_unix(last_seen_at), Timestamp::from_unix(ends_at));
        Ok(Some(Session { person, last_seen_at, ends_at }))
    }

    async fn end_session(&self, digest: &SecretDigest, act: &Act) -> Result<(), StoreError> {
        let mut change = self.change(act).await?;
        let (whose, _, _) = live(&mut change, digest, act.at).await?.ok_or(StoreError::CredentialEnded)?;
        let person = match whose {
            Some(id) => person(&mut change, &id).await?,
            None => None,
        };
        sqlx::query("DELETE FROM sessions WHERE digest = ?1")
            .bind(digest.to_text())
            .execute(&mut *change)
            .await
            .map_err(fault)?;
        finish(change, "session.end", person.as_ref(), None).await
    }

    async fn change_password(&self, new: &NewPassword, act: &Act) -> Result<(), StoreError> {
        let mut change = self.change(act).await?;
        let person = replace_password(&mut change, new, act.at).await?;
        finish(change, "password.change", Some(&person), None).await
    }

    async fn token_holder(&self, digest: &SecretDigest, now: Timestamp) -> Result<Option<TokenHolder>, StoreError> {
        let mut snapshot = self.readers.begin().await.map_err(fault)?;
        let found: Option<(String, String, String, String, i64, Option<i64>)> = sqlx::query_as(TOKEN)
            .bind(digest.to_text())
            .bind(now.as_unix())
            .fetch_optional(&mut *snapshot)
            .await
            .map_err(fault)?;
        let Some((token, id, organization, held, expires_at, last_used_at)) = found else { return Ok(None) };
        let corrupt = || StoreError::Corrupt("a member's token is not readable".to_owned());
        let found = person(&mut snapshot, &id).await?.ok_or_else(corrupt)?;
        let organization = Identifier::parse(&organization).map_err(|_| corrupt())?;
        Ok(Some(TokenHolder {
            token: MemberTokenId::parse(&token).map_err(|_| corrupt())?,
            person: Person { roles: vec![(organization, role(&held)?)], ..found },
            expires_at: Timestamp::from_unix(expires_at),
            last_used_at: last_used_at.map(Timestamp::from_unix),
        }))
    }

    async fn note_use(&self, digest: &SecretDigest, now: Timestamp) -> Result<(), StoreError> {
        let noted = now.plus_seconds(-USE_NOTED_SECONDS);
        let mut change = self.write().await?;
        for statement in [NOTE_SESSION, NOTE_TOKEN] {
            sqlx::query(statement)
                .bind(digest.to_text())
                .bind(now.as_unix())
                .bind(noted.as_unix())
                .execute(&mut *change)
                .await
                .map_err(fault)?;
        }
        change.commit().await.map_err(fault)
    }
}
