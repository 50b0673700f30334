//! The statements about people, their memberships, invitations and tokens for scripts.

use super::SqliteStore;
use super::change::Changing;
use super::fault::fault;
use super::row;
use crate::model::{
    Act, AuditEntry, AuditTarget, Email, Identifier, MemberId, MemberRole, MemberTokenId, Revision, Timestamp,
};
use crate::store::{
    MAX_MEMBER_TOKENS, Member, MemberEdit, MemberPage, MemberToken, NewInvitation, NewMember, NewMemberToken,
    PasswordHash, PeopleStore, Person, StoreError, Subject,
};
use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::SqliteConnection;

/// The most members of one page.
const MAX_PAGE: u32 = 1000;

const BY_EMAIL: &str = "SELECT id, password_hash FROM people WHERE email_folded = ?1";
const PERSON: &str =
    "SELECT id, email, operator, password_hash IS NOT NULL, created_at, last_sign_in_at, revision FROM people
     WHERE id = ?1";
const ROLES: &str = "SELECT organization, role, name FROM memberships WHERE person = ?1 ORDER BY organization";
const MEMBER: &str = "SELECT p.id, p.email, m.name, m.role, p.operator, p.password_hash IS NOT NULL, m.added_at,
            p.last_sign_in_at, p.revision, m.place
     FROM memberships m JOIN people p ON p.id = m.person
     WHERE m.organization = ?1 AND m.person = ?2";
const MEMBERS: &str = "SELECT p.id, p.email, m.name, m.role, p.operator, p.password_hash IS NOT NULL, m.added_at,
            p.last_sign_in_at, p.revision, m.place
     FROM memberships m JOIN people p ON p.id = m.person
     WHERE m.organization = ?1 AND m.place > ?2
     ORDER BY m.place LIMIT ?3";
const ADD_PERSON: &str = "INSERT INTO people (id, email, email_folded, operator, created_at, revision)
     VALUES (?1, ?2, ?3, 0, ?4, 0)";
const ADD_MEMBERSHIP: &str = "INSERT INTO memberships (organization, person, name, role, added_at, place)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const OTHER_OWNERS: &str =
    "SELECT COUNT(*) FROM memberships WHERE organization = ?1 AND role = 'owner' AND person <> ?2";
const TOKENS: &str = "SELECT id, name, expires_at, created_at, last_used_at FROM member_tokens
     WHERE organization = ?1 AND person = ?2 AND (?3 IS NULL OR id = ?3) ORDER BY place";
const ADD_TOKEN: &str =
    "INSERT INTO member_tokens (id, digest, organization, person, name, created_at, expires_at, place)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

type PersonColumns = (String, String, bool, bool, i64, Option<i64>, i64);
type MemberColumns = (String, String, String, String, bool, bool, i64, Option<i64>, i64, i64);
type TokenColumns = (String, String, i64, i64, Option<i64>);

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(format!("{what} is not readable"))
}

fn parsed<T, E>(what: &str, parsed: Result<T, E>) -> Result<T, StoreError> {
    parsed.map_err(|_| corrupt(what))
}

pub(super) fn role(text: &str) -> Result<MemberRole, StoreError> {
    MemberRole::parse(text).ok_or_else(|| corrupt("a role"))
}

fn member(columns: MemberColumns) -> Result<Member, StoreError> {
    let (id, email, name, held, operator, has_password, added_at, last_sign_in_at, revision, place) = columns;
    Ok(Member {
        id: parsed("a member's id", MemberId::parse(&id))?,
        email: parsed("a member's address", Email::parse(&email))?,
        name,
        role: role(&held)?,
        operator,
        has_password,
        created_at: Timestamp::from_unix(added_at),
        last_sign_in_at: last_sign_in_at.map(Timestamp::from_unix),
        revision: row::revision(revision)?,
        place: row::count(place)?,
    })
}

fn token(columns: TokenColumns) -> Result<MemberToken, StoreError> {
    let (id, name, expires_at, created_at, last_used_at) = columns;
    Ok(MemberToken {
        id: parsed("a token's id", MemberTokenId::parse(&id))?,
        name,
        expires_at: Timestamp::from_unix(expires_at),
        created_at: Timestamp::from_unix(created_at),
        last_used_at: last_used_at.map(Timestamp::from_unix),
    })
}

/// Somebody by id, with all roles. Both reads belong in one transaction where more than one connection writes.
pub(super) async fn person(reader: &mut SqliteConnection, id: &str) -> Result<Option<Person>, StoreError> {
    let found: Option<PersonColumns> =
        sqlx::query_as(PERSON).bind(id).fetch_optional(&mut *reader).await.map_err(fault)?;
    let Some((id, email, operator, has_password, created_at, last_sign_in_at, revision)) = found else {
        return Ok(None);
    };
    let rows: Vec<(String, String, String)> = sqlx::query_as(ROLES).bind(&id).fetch_all(reader).await.map_err(fault)?;
    let name = rows.iter().map(|(_, _, name)| name).find(|name| !name.is_empty()).cloned().unwrap_or_default();
    let roles: Result<Vec<_>, StoreError> = rows
        .into_iter()
        .map(|(organization, held, _)| {
            Ok((parsed("an organization's id", Identifier::parse(&organization))?, role(&held)?))
        })
        .collect();
    Ok(Some(Person {
        id: parsed("a person's id", MemberId::parse(&id))?,
        email: parsed("a person's address", Email::parse(&email))?,
        name,
        operator,
        has_password,
        created_at: Timestamp::from_unix(created_at),
        last_sign_in_at: last_sign_in_at.map(Timestamp::from_unix),
        revision: row::revision(revision)?,
        roles: roles?,
    }))
}

async fn one(reader: &mut SqliteConnection, organization: &Identifier, id: &MemberId) -> Result<Member, StoreError> {
    let found: Option<MemberColumns> = sqlx::query_as(MEMBER)
        .bind(organization.as_str())
        .bind(id.as_str())
        .fetch_optional(reader)
        .await
        .map_err(fault)?;
    found.map_or(Err(StoreError::MemberNotFound), member)
}

async fn by_email(
    reader: &mut SqliteConnection,
    email: &Email,
) -> Result<Option<(Person, Option<PasswordHash>)>, StoreError> {
    let found: Option<(String, Option<String>)> =
        sqlx::query_as(BY_EMAIL).bind(email.folded()).fetch_optional(&mut *reader).await.map_err(fault)?;
    let Some((id, hash)) = found else { return Ok(None) };
    let person = person(reader, &id).await?;
    Ok(person.map(|person| (person, hash.map(PasswordHash::new))))
}

async fn tokens(
    reader: &mut SqliteConnection,
    organization: &Identifier,
    id: &MemberId,
    only: Option<&MemberTokenId>,
) -> Result<Vec<MemberToken>, StoreError> {
    let rows: Vec<TokenColumns> = sqlx::query_as(TOKENS)
        .bind(organization.as_str())
        .bind(id.as_str())
        .bind(only.map(MemberTokenId::as_str))
        .fetch_all(reader)
        .await
        .map_err(fault)?;
    rows.into_iter().map(token).collect()
}

/// Runs a statement about one person, or one member.
async fn execute(change: &mut Changing<'_>, statement: &'static str, names: &[&str]) -> Result<(), StoreError> {
    let query = names.iter().fold(sqlx::query(statement), |query, name| query.bind(*name));
    query.execute(&mut **change).await.map_err(fault)?;
    Ok(())
}

/// Stamps a person with the change's revision.
pub(super) async fn stamp(change: &mut Changing<'_>, id: &MemberId, revision: Revision) -> Result<(), StoreError> {
    sqlx::query("UPDATE people SET revision = ?2 WHERE id = ?1")
        .bind(id.as_str())
        .bind(row::number(revision.0)?)
        .execute(&mut **change)
        .await
        .map_err(fault)?;
    Ok(())
}

async fn set_operator(change: &mut Changing<'_>, id: &MemberId, operator: bool) -> Result<(), StoreError> {
    sqlx::query("UPDATE people SET operator = ?2 WHERE id = ?1")
        .bind(id.as_str())
        .bind(operator)
        .execute(&mut **change)
        .await
        .map_err(fault)?;
    Ok(())
}

async fn set_invitation(
    change: &mut Changing<'_>,
    id: &MemberId,
    invitation: &NewInvitation,
) -> Result<(), StoreError> {
    sqlx::query("INSERT OR REPLACE INTO invitations (person, digest, expires_at) VALUES (?1, ?2, ?3)")
        .bind(id.as_str())
        .bind(invitation.digest.to_text())
        .bind(invitation.expires_at.as_unix())
        .execute(&mut **change)
        .await
        .map_err(fault)?;
    Ok(())
}

/// Whoever held an invitation of somebody without power holds none of somebody with it.
async fn end_invitation(change: &mut Changing<'_>, id: &MemberId) -> Result<(), StoreError> {
    execute(change, "DELETE FROM invitations WHERE person = ?1", &[id.as_str()]).await
}

/// Refuses to take away the last owner.
async fn keep_an_owner(
    change: &mut Changing<'_>,
    organization: &Identifier,
    member: &Member,
) -> Result<(), StoreError> {
    if member.role != MemberRole::Owner {
        return Ok(());
    }
    let others: i64 = sqlx::query_scalar(OTHER_OWNERS)
        .bind(organization.as_str())
        .bind(member.id.as_str())
        .fetch_one(&mut **change)
        .await
        .map_err(fault)?;
    if others == 0 { Err(StoreError::LastOwner) } else { Ok(()) }
}

/// The person who is to be added, made where nobody has the address.
async fn person_to_add(change: &mut Changing<'_>, new: &NewMember, act: &Act) -> Result<Person, StoreError> {
    let found = by_email(&mut *change, &new.email).await?;
    if let Some((person, _)) = found {
        if person.roles.iter().any(|(organization, _)| *organization == new.organization) {
            return Err(StoreError::EmailTaken);
        }
        row::check_revision(person.revision, Some(new.known.unwrap_or(Revision(0))))?;
        return Ok(person);
    }
    row::check_revision(Revision(0), new.known)?;
    sqlx::query(ADD_PERSON)
        .bind(new.id.as_str())
        .bind(new.email.as_str())
        .bind(new.email.folded())
        .bind(act.at.as_unix())
        .execute(&mut **change)
        .await
        .map_err(fault)?;
    person(&mut *change, new.id.as_str()).await?.ok_or(StoreError::MemberNotFound)
}

async fn add_membership(
    change: &mut Changing<'_>,
    new: &NewMember,
    id: &MemberId,
    at: Timestamp,
    revision: Revision,
) -> Result<(), StoreError> {
    sqlx::query(ADD_MEMBERSHIP)
        .bind(new.organization.as_str())
        .bind(id.as_str())
        .bind(&new.name)
        .bind(new.role.as_str())
        .bind(at.as_unix())
        .bind(row::number(revision.0)?)
        .execute(&mut **change)
        .await
        .map_err(fault)?;
    Ok(())
}

/// Writes an edit and what follows from it.
async fn write_edit(
    change: &mut Changing<'_>,
    organization: &Identifier,
    before: &Member,
    edit: &MemberEdit,
) -> Result<(), StoreError> {
    let role = edit.role.unwrap_or(before.role);
    sqlx::query("UPDATE memberships SET name = ?3, role = ?4 WHERE organization = ?1 AND person = ?2")
        .bind(organization.as_str())
        .bind(before.id.as_str())
        .bind(edit.name.as_ref().unwrap_or(&before.name))
        .bind(role.as_str())
        .execute(&mut **change)
        .await
        .map_err(fault)?;
    let operator = edit.operator.unwrap_or(before.operator);
    set_operator(change, &before.id, operator).await?;
    let becomes_owner = role == MemberRole::Owner && before.role != MemberRole::Owner;
    if becomes_owner {
        let statement = "DELETE FROM member_tokens WHERE organization = ?1 AND person = ?2";
        execute(change, statement, &[organization.as_str(), before.id.as_str()]).await?;
    }
    if becomes_owner || (operator && !before.operator) {
        end_invitation(change, &before.id).await?;
    }
    Ok(())
}

fn view(member: &Member) -> Value {
    json!({
        "email": member.email.as_str(),
        "name": member.name,
        "role": member.role.as_str(),
        "operator": member.operator,
    })
}

/// An entry about a person.
pub(super) fn entry(
    organization: Option<&Identifier>,
    action: &'static str,
    id: &MemberId,
    email: &Email,
) -> AuditEntry {
    AuditEntry {
        organization: organization.cloned(),
        environment: None,
        action,
        target: Some(AuditTarget { kind: "member", id: id.to_string(), name: email.to_string() }),
        before: None,
        after: None,
        code: None,
        count: 1,
    }
}

fn token_entry(
    organization: &Identifier,
    action: &'static str,
    member: &Member,
    id: &MemberTokenId,
    name: &str,
) -> AuditEntry {
    let target = AuditTarget { kind: "member_token", id: id.to_string(), name: name.to_owned() };
    AuditEntry { target: Some(target), ..entry(Some(organization), action, &member.id, &member.email) }
}

/// The node's own log tells who becomes an operator, and who is one no more.
async fn tell_of_operator(
    change: &mut Changing<'_>,
    action: &'static str,
    before: bool,
    after: &Member,
) -> Result<(), StoreError> {
    if before == after.operator {
        return Ok(());
    }
    let told = AuditEntry {
        before: Some(json!({ "operator": before })),
        after: Some(json!({ "operator": after.operator })),
        ..entry(None, action, &after.id, &after.email)
    };
    change.also(&told).await
}

#[async_trait]
impl PeopleStore for SqliteStore {
    async fn members(
        &self,
        organization: &Identifier,
        after: Option<u64>,
        limit: u32,
    ) -> Result<MemberPage, StoreError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let mut rows: Vec<MemberColumns> = sqlx::query_as(MEMBERS)
            .bind(organization.as_str())
            .bind(i64::try_from(after.unwrap_or(0)).unwrap_or(i64::MAX))
            .bind(limit.saturating_add(1))
            .fetch_all(&self.readers)
            .await
            .map_err(fault)?;
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > wanted;
        rows.truncate(wanted);
        Ok(MemberPage { members: rows.into_iter().map(member).collect::<Result<_, _>>()?, more })
    }

    async fn member(&self, organization: &Identifier, id: &MemberId) -> Result<Member, StoreError> {
        let mut reader = self.reader().await?;
        one(&mut reader, organization, id).await
    }

    async fn person_by_email(&self, email: &Email) -> Result<Option<(Person, Option<PasswordHash>)>, StoreError> {
        let mut snapshot = self.readers.begin().await.map_err(fault)?;
        by_email(&mut snapshot, email).await
    }

    async fn add_member(&self, new: &NewMember, act: &Act) -> Result<Member, StoreError> {
        let mut change = self.change(act).await?;
        let person = person_to_add(&mut change, new, act).await?;
        let revision = change.next(&Subject::Member(person.id.clone())).await?;
        add_membership(&mut change, new, &person.id, act.at, revision).await?;
        let operator = new.operator.unwrap_or(person.operator);
        set_operator(&mut change, &person.id, operator).await?;
        if new.role == MemberRole::Owner || (operator && !person.operator) || !person.has_password {
            end_invitation(&mut change, &person.id).await?;
        }
        if let Some(invitation) = new.invitation.as_ref().filter(|_| !person.has_password) {
            set_invitation(&mut change, &person.id, invitation).await?;
        }
        stamp(&mut change, &person.id, revision).await?;
        let added = one(&mut change, &new.organization, &person.id).await?;
        tell_of_operator(&mut change, "member.add", person.operator, &added).await?;
        let entry = entry(Some(&new.organization), "member.add", &added.id, &added.email);
        change.finish(&AuditEntry { after: Some(view(&added)), ..entry }).await?;
        Ok(added)
    }

    async fn edit_member(
        &self,
        organization: &Identifier,
        id: &MemberId,
        edit: &MemberEdit,
        expected: Option<Revision>,
        act: &Act,
    ) -> Result<Member, StoreError> {
        let mut change = self.change(act).await?;
        let before = one(&mut change, organization, id).await?;
        row::check_revision(before.revision, expected)?;
        if edit.role.is_some_and(|role| role != MemberRole::Owner) {
            keep_an_owner(&mut change, organization, &before).await?;
        }
        let revision = change.next(&Subject::Member(id.clone())).await?;
        write_edit(&mut change, organization, &before, edit).await?;
        stamp(&mut change, id, revision).await?;
        let after = one(&mut change, organization, id).await?;
        tell_of_operator(&mut change, "member.edit", before.operator, &after).await?;
        let entry = entry(Some(organization), "member.edit", id, &after.email);
        change.finish(&AuditEntry { before: Some(view(&before)), after: Some(view(&after)), ..entry }).await?;
        Ok(after)
    }

    async fn remove_member(
        &self,
        organization: &Identifier,
        id: &MemberId,
        expected: Option<Revision>,
        act: &Act,
    ) -> Result<(), StoreError> {
        let mut change = self.change(act).await?;
        let before = one(&mut change, organization, id).await?;
        row::check_revision(before.revision, expected)?;
        keep_an_owner(&mut change, organization, &before).await?;
        let revision = change.next(&Subject::Member(id.clone())).await?;
        let statement = "DELETE FROM memberships WHERE organization = ?1 AND person = ?2";
        execute(&mut change, statement, &[organization.as_str(), id.as_str()]).await?;
        stamp(&mut change, id, revision).await?;
        let statement = "DELETE FROM people WHERE id = ?1 AND operator = 0
                         AND NOT EXISTS (SELECT 1 FROM memberships WHERE person = ?1)";
        execute(&mut change, statement, &[id.as_str()]).await?;
        let entry = entry(Some(organization), "member.remove", id, &before.email);
        change.finish(&AuditEntry { before: Some(view(&before)), ..entry }).await
    }

    async fn invite_member(
        &self,
        organization: &Identifier,
        id: &MemberId,
        invitation: &NewInvitation,
        expected: Option<Revision>,
        act: &Act,
    ) -> Result<Member, StoreError> {
        let mut change = self.change(act).await?;
        let before = one(&mut change, organization, id).await?;
        row::check_revision(before.revision, expected)?;
        let revision = change.next(&Subject::Member(id.clone())).await?;
        set_invitation(&mut change, id, invitation).await?;
        stamp(&mut change, id, revision).await?;
        let invited = Member { revision, ..before };
        let entry = entry(Some(organization), "member.invite", id, &invited.email);
        let after = json!({ "expires_at": invitation.expires_at });
        change.finish(&AuditEntry { after: Some(after), ..entry }).await?;
        Ok(invited)
    }

    async fn member_tokens(&self, organization: &Identifier, id: &MemberId) -> Result<Vec<MemberToken>, StoreError> {
        let mut snapshot = self.readers.begin().await.map_err(fault)?;
        one(&mut snapshot, organization, id).await?;
        tokens(&mut snapshot, organization, id, None).await
    }

    async fn member_token(
        &self,
        organization: &Identifier,
        id: &MemberId,
        token: &MemberTokenId,
    ) -> Result<MemberToken, StoreError> {
        let mut reader = self.reader().await?;
        let found = tokens(&mut reader, organization, id, Some(token)).await?;
        found.into_iter().next().ok_or(StoreError::MemberTokenNotFound)
    }

    async fn add_member_token(
        &self,
        organization: &Identifier,
        id: &MemberId,
        new: &NewMemberToken,
        expected: Option<Revision>,
        act: &Act,
    ) -> Result<MemberToken, StoreError> {
        let mut change = self.change(act).await?;
        let member = one(&mut change, organization, id).await?;
        row::check_revision(member.revision, expected)?;
        let all = tokens(&mut change, organization, id, None).await?;
        let live = all.iter().filter(|token| token.expires_at > act.at).count();
        if u32::try_from(live).unwrap_or(u32::MAX) >= MAX_MEMBER_TOKENS {
            return Err(StoreError::TooManyTokens);
        }
        let revision = change.next(&Subject::Member(id.clone())).await?;
        sqlx::query(ADD_TOKEN)
            .bind(new.id.as_str())
            .bind(new.digest.to_text())
            .bind(organization.as_str())
            .bind(id.as_str())
            .bind(&new.name)
            .bind(act.at.as_unix())
            .bind(new.expires_at.as_unix())
            .bind(row::number(revision.0)?)
            .execute(&mut *change)
            .await
            .map_err(fault)?;
        let after = json!({"member": id, "expires_at": new.expires_at});
        let entry = token_entry(organization, "token.create", &member, &new.id, &new.name);
        change.finish(&AuditEntry { after: Some(after), ..entry }).await?;
        let (id, name) = (new.id.clone(), new.name.clone());
        Ok(MemberToken { id, name, expires_at: new.expires_at, created_at: act.at, last_used_at: None })
    }

    async fn remove_member_token(
        &self,
        organization: &Identifier,
        id: &MemberId,
        token: &MemberTokenId,
        act: &Act,
    ) -> Result<(), StoreError> {
        let mut change = self.change(act).await?;
        let member = one(&mut change, organization, id).await?;
        let found = tokens(&mut change, organization, id, Some(token)).await?;
        let gone = found.into_iter().next().ok_or(StoreError::MemberTokenNotFound)?;
        change.next(&Subject::Member(id.clone())).await?;
        execute(&mut change, "DELETE FROM member_tokens WHERE id = ?1", &[token.as_str()]).await?;
        let before = json!({"member": id, "expires_at": gone.expires_at});
        let entry = token_entry(organization, "token.remove", &member, token, &gone.name);
        change.finish(&AuditEntry { before: Some(before), ..entry }).await
    }
}
