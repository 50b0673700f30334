//! People, their memberships in organizations, their invitations and their tokens for scripts. Of everything that opens
//! something only a digest is kept.

use super::StoreError;
use crate::model::{Act, Email, Identifier, MemberId, MemberRole, MemberTokenId, Revision, SecretDigest, Timestamp};
use async_trait::async_trait;

/// The most live tokens of one member in one organization.
pub const MAX_MEMBER_TOKENS: u32 = 100;

/// A password as it is kept: the text form of an argon2id hash (a PHC string).
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// A hash in its text form.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(redacted)")
    }
}

/// Somebody, and all organizations they belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Their id.
    pub id: MemberId,
    /// Where they are reached; unique in the store, ignoring case.
    pub email: Email,
    /// What the first of their organizations that has a name for them calls them; may be empty.
    pub name: String,
    /// Whether they are an operator of the node.
    pub operator: bool,
    /// Whether they have a password, which an invitation sets.
    pub has_password: bool,
    /// When they were first added.
    pub created_at: Timestamp,
    /// When they last signed in.
    pub last_sign_in_at: Option<Timestamp>,
    /// The number of the last change of them or of any membership.
    pub revision: Revision,
    /// Organizations and the roles in them, by organization.
    pub roles: Vec<(Identifier, MemberRole)>,
}

/// Somebody as a member of one organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The person's id.
    pub id: MemberId,
    /// The person's address.
    pub email: Email,
    /// What the organization calls them; may be empty.
    pub name: String,
    /// What they may do here.
    pub role: MemberRole,
    /// Whether they are an operator of the node.
    pub operator: bool,
    /// Whether they have a password.
    pub has_password: bool,
    /// When they were added here.
    pub created_at: Timestamp,
    /// When they last signed in, anywhere.
    pub last_sign_in_at: Option<Timestamp>,
    /// The number of the last change of the person.
    pub revision: Revision,
    /// The place in the list of members.
    pub place: u64,
}

/// A stretch of the members of an organization, in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub struct MemberPage {
    /// The members.
    pub members: Vec<Member>,
    /// Whether there are more.
    pub more: bool,
}

/// What makes a password settable, once.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// The token's digest.
    pub digest: SecretDigest,
    /// The first second at which it counts no more.
    pub expires_at: Timestamp,
}

/// Somebody to be added to an organization.
#[derive(Clone, Debug)]
pub struct NewMember {
    /// Whose id it becomes if nobody has the address yet.
    pub id: MemberId,
    /// Where.
    pub organization: Identifier,
    /// The address.
    pub email: Email,
    /// What the organization calls them; may be empty.
    pub name: String,
    /// What they may do here.
    pub role: MemberRole,
    /// Whether they are an operator; `None` keeps what is so.
    pub operator: Option<bool>,
    /// The revision of the person who has the address already, as it was judged; `None` where nobody has it.
    pub known: Option<Revision>,
    /// An invitation, kept where they have no password. It replaces the one before.
    pub invitation: Option<NewInvitation>,
}

/// A change to a member; `None` keeps what is there.
#[derive(Clone, Debug, Default)]
pub struct MemberEdit {
    /// What the organization calls them.
    pub name: Option<String>,
    /// What they may do here.
    pub role: Option<MemberRole>,
    /// Whether they are an operator.
    pub operator: Option<bool>,
}

/// A member's token for scripts: never the token itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberToken {
    /// Its id.
    pub id: MemberTokenId,
    /// What it is for.
    pub name: String,
    /// The first second at which it counts no more.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewMemberToken {
    /// Its id.
    pub id: MemberTokenId,
    /// Its digest.
    pub digest: SecretDigest,
    /// What it is for.
    pub name: String,
    /// The first second at which it counts no more.
    pub expires_at: Timestamp,
}

/// People as members of organizations. Errors of all that name a member: `MemberNotFound`.
#[async_trait]
pub trait PeopleStore: Send + Sync {
    /// Members of an organization in the order in which they were added, after this place; at most `limit`.
    async fn members(
        &self,
        organization: &Identifier,
        after: Option<u64>,
        limit: u32,
    ) -> Result<MemberPage, StoreError>;

    /// One member.
    async fn member(&self, organization: &Identifier, id: &MemberId) -> Result<Member, StoreError>;

    /// Whoever has this address, and their password if they have one.
    async fn person_by_email(&self, email: &Email) -> Result<Option<(Person, Option<PasswordHash>)>, StoreError>;

    /// Adds a member. A person without a password loses an invitation that was made before, and so does one who becomes an
    /// owner or an operator: whoever made it may have no say here. Errors: `EmailTaken` (a member of this organization has the address), `RevisionMismatch` (the person is
    /// not as `known` says; a person who is not there is at 0).
    async fn add_member(&self, new: &NewMember, act: &Act) -> Result<Member, StoreError>;

    /// Changes a member. Whoever becomes an owner loses the tokens for this organization, and, without a password, the
    /// invitation: they were made by people who may make none for owners. Errors: `LastOwner`, `RevisionMismatch`.
    async fn edit_member(
        &self,
        organization: &Identifier,
        id: &MemberId,
        edit: &MemberEdit,
        expected: Option<Revision>,
        act: &Act,
    ) -> Result<Member, StoreError>;

    /// Takes a member out of an organization; tokens for it end. Who belongs nowhere any more and is no operator is
    /// forgotten, and sessions end. Errors: `LastOwner`, `RevisionMismatch`.
    async fn remove_member(
        &self,
        organization: &Identifier,
        id: &MemberId,
        expected: Option<Revision>,
        act: &Act,
    ) -> Result<(), StoreError>;

    /// Makes an invitation in place of the one before. Errors: `RevisionMismatch`.
    async fn invite_member(
        &self,
        organization: &Identifier,
        id: &MemberId,
        invitation: &NewInvitation,
        expected: Option<Revision>,
        act: &Act,
    ) -> Result<Member, StoreError>;

    /// A member's tokens for this organization, oldest first.
    async fn member_tokens(&self, organization: &Identifier, id: &MemberId) -> Result<Vec<MemberToken>, StoreError>;

    /// One of them. Errors: `MemberTokenNotFound`.
    async fn member_token(
        &self,
        organization: &Identifier,
        id: &MemberId,
        token: &MemberTokenId,
    ) -> Result<MemberToken, StoreError>;

    /// Makes a token. `expected` is the person's revision as it was judged.
    /// Errors: `RevisionMismatch`, `TooManyTokens` ([`MAX_MEMBER_TOKENS`]).
    async fn add_member_token(
        &self,
        organization: &Identifier,
        id: &MemberId,
        new: &NewMemberToken,
        expected: Option<Revision>,
        act: &Act,
    ) -> Result<MemberToken, StoreError>;

    /// Ends a token. Errors: `MemberTokenNotFound`.
    async fn remove_member_token(
        &self,
        organization: &Identifier,
        id: &MemberId,
        token: &MemberTokenId,
        act: &Act,
    ) -> Result<(), StoreError>;
}
