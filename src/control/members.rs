//! The members of an organization: adding, showing, changing, removing and inviting them, and their tokens for scripts.
//!
//! Owners answer to owners alone (and to the node's operators); operators to operators. Nobody gets at somebody's
//! other organizations through their own: who is a stranger here is added by a member of both, or by an operator.

use super::caller::{Asking, Caller, MemberCaller, Right};
use super::field::FieldErrors;
use super::keys::{draw, looked_at};
use super::sessions::judge_email;
use super::{Control, ControlProblem};
use crate::model::{
    Email, Identifier, KeyName, MemberId, MemberRole, MemberTokenId, OpaqueToken, Revision, Timestamp, TokenKind,
};
use crate::store::{
    Member, MemberEdit, MemberPage, MemberToken, NewInvitation, NewMember, NewMemberToken, Person, StoreError,
};
use std::borrow::Cow;

/// How long an invitation counts, in seconds.
const INVITATION_SECONDS: i64 = 7 * 86_400;
/// How long a token lives of which nobody says how long, in seconds.
const TOKEN_SECONDS: i64 = 90 * 86_400;
/// The longest life of a token, in seconds.
const MAX_TOKEN_SECONDS: i64 = 366 * 86_400;
/// How often an addition is judged anew when somebody else changes the same person.
const ATTEMPTS: usize = 4;

const OWNERS_ONLY: ControlProblem = ControlProblem::NotAllowed("owners are made, changed and removed by owners alone");
const OPERATORS_ONLY: ControlProblem =
    ControlProblem::NotAllowed("operators are made, changed and invited by the node's operators alone");

const LAST_PLACE: ControlProblem = ControlProblem::NotAllowed(
    "this member is an operator of the node and belongs to no other organization: nobody could list them any more; a \
     node's operator can remove them",
);

/// The one answer to whoever is no operator. Why is not said: an address is no way to ask about other organizations.
const EMAIL_TAKEN: ControlProblem = ControlProblem::EmailTaken(Cow::Borrowed(
    "somebody has that address whom you cannot add: a member of this organization, or somebody outside of it, whom a \
     node's operator can add",
));

/// Somebody to be added, as it was asked for.
#[derive(Clone, Debug, Default)]
pub struct MemberDraft {
    /// The email address.
    pub email: Option<String>,
    /// What the organization calls them.
    pub name: Option<String>,
    /// The name of a role.
    pub role: Option<String>,
    /// Whether they are an operator of the node.
    pub operator: Option<bool>,
    /// Whether an operator means whoever has that address and a password in another organization.
    pub link: Option<bool>,
}

/// A change to a member, as it was asked for.
#[derive(Clone, Debug, Default)]
pub struct MemberEditDraft {
    /// What the organization calls them; empty takes the name away.
    pub name: Option<String>,
    /// The name of a role.
    pub role: Option<String>,
    /// Whether they are an operator of the node.
    pub operator: Option<bool>,
}

/// A token to be made, as it was asked for.
#[derive(Clone, Debug, Default)]
pub struct MemberTokenDraft {
    /// What it is for.
    pub name: Option<String>,
    /// When it ends (RFC 3339); 90 days from now where nothing is said.
    pub expires_at: Option<String>,
}

/// A member, and an invitation where one was made.
#[derive(Debug)]
pub struct InvitedMember {
    /// The member.
    pub member: Member,
    /// For the one who asked, once; and the first second at which it counts no more.
    pub invitation: Option<(OpaqueToken, Timestamp)>,
}

/// A token for scripts as it is handed over.
#[derive(Debug)]
pub struct IssuedMemberToken {
    /// What is kept of it.
    pub token: MemberToken,
    /// For the one who asked, once.
    pub secret: OpaqueToken,
}

impl From<Person> for MemberCaller {
    fn from(person: Person) -> Self {
        let Person { id, email, operator, roles, .. } = person;
        Self { id, email: email.to_string(), operator, roles, until: None }
    }
}

impl Control {
    /// A page of members. Errors: `NotFound`, `NotAllowed`, `Unavailable`, `Fault`.
    pub async fn list_members(
        &self,
        asking: &Asking,
        organization: &Identifier,
        after: Option<u64>,
        limit: u32,
    ) -> Result<MemberPage, ControlProblem> {
        self.require_members(asking, organization).await?;
        Ok(self.store.members(organization, after, limit).await?)
    }

    /// One member. Errors: as [`list_members`](Self::list_members).
    pub async fn show_member(
        &self,
        asking: &Asking,
        organization: &Identifier,
        id: &MemberId,
    ) -> Result<Member, ControlProblem> {
        self.require_members(asking, organization).await?;
        Ok(self.store.member(organization, id).await?)
    }

    /// Adds somebody. Who has no password gets an invitation, unless they belong to another organization and the caller
    /// is no operator; one that was made before counts no more either way. Who has one, in another organization, is
    /// added by an operator only where the draft says `link`. Errors: `NotFound`, `NotAllowed`, `AlreadyDone`,
    /// `Invalid`, `EmailTaken`, `Unavailable`, `Fault`.
    pub async fn add_member(
        &self,
        asking: &Asking,
        organization: &Identifier,
        draft: MemberDraft,
        found: FieldErrors,
    ) -> Result<InvitedMember, ControlProblem> {
        self.require_members(asking, organization).await?;
        self.store.look_back(&asking.act).await?;
        let sound = judge(draft, found)?;
        require_over(&asking.caller, organization, sound.role)?;
        let id = MemberId::from_entropy(draw()?);
        let token = OpaqueToken::from_entropy(TokenKind::Invitation, draw()?);
        let expires_at = asking.act.at.plus_seconds(INVITATION_SECONDS);
        for _ in 0..ATTEMPTS {
            let known = self.store.person_by_email(&sound.email).await?.map(|(person, _)| person);
            let may_invite = judge_addition(&asking.caller, organization, &sound, known.as_ref())?;
            let new = NewMember {
                id: id.clone(),
                organization: organization.clone(),
                email: sound.email.clone(),
                name: sound.name.clone(),
                role: sound.role,
                operator: sound.operator,
                known: known.map(|person| person.revision),
                invitation: may_invite.then(|| NewInvitation { digest: token.digest(), expires_at }),
            };
            match self.store.add_member(&new, &asking.act).await {
                Err(StoreError::RevisionMismatch { .. } | StoreError::EmailTaken) => {}
                added => {
                    return Ok(InvitedMember { member: added?, invitation: may_invite.then_some((token, expires_at)) });
                }
            }
        }
        Err(ControlProblem::Unavailable)
    }

    /// Changes name, role and whether somebody is an operator. Errors: `NotFound`, `NotAllowed`, `Invalid`, `LastOwner`,
    /// `RevisionMismatch`, `Unavailable`, `Fault`.
    pub async fn edit_member(
        &self,
        asking: &Asking,
        organization: &Identifier,
        id: &MemberId,
        draft: MemberEditDraft,
        found: FieldErrors,
        expected: Option<Revision>,
    ) -> Result<Member, ControlProblem> {
        let (current, expected) = self.changeable_member(asking, organization, id, expected).await?;
        let edit = judge_edit(draft, found)?;
        require_over(&asking.caller, organization, edit.role.unwrap_or(MemberRole::None))?;
        if edit.operator.is_some_and(|operator| operator != current.operator) && !asking.caller.is_operator() {
            return Err(OPERATORS_ONLY);
        }
        Ok(self.store.edit_member(organization, id, &edit, expected, &asking.act).await?)
    }

    /// Takes somebody out of an organization. An operator's last membership is taken away by operators alone: the person
    /// stays an operator, and no list shows them any more. Errors: as [`edit_member`](Self::edit_member).
    pub async fn remove_member(
        &self,
        asking: &Asking,
        organization: &Identifier,
        id: &MemberId,
        expected: Option<Revision>,
    ) -> Result<(), ControlProblem> {
        let (current, expected) = self.changeable_member(asking, organization, id, expected).await?;
        if current.operator && !asking.caller.is_operator() {
            let known = self.store.person_by_email(&current.email).await?;
            let elsewhere = |(person, _): (Person, _)| person.roles.iter().any(|(other, _)| other != organization);
            if !known.is_some_and(elsewhere) {
                return Err(LAST_PLACE);
            }
        }
        Ok(self.store.remove_member(organization, id, expected, &asking.act).await?)
    }

    /// Makes a new invitation in place of the one before. Whoever has a password is invited by operators alone, who belongs
    /// to other organizations as well too. Errors: `NotFound`, `NotAllowed`, `AlreadyDone`, `PasswordSet`,
    /// `RevisionMismatch`, `Unavailable`, `Fault`.
    pub async fn invite_member(
        &self,
        asking: &Asking,
        organization: &Identifier,
        id: &MemberId,
        expected: Option<Revision>,
    ) -> Result<InvitedMember, ControlProblem> {
        let (current, _) = self.changeable_member(asking, organization, id, expected).await?;
        self.store.look_back(&asking.act).await?;
        if !asking.caller.is_operator() {
            self.judge_invitation(organization, &current).await?;
        }
        let token = OpaqueToken::from_entropy(TokenKind::Invitation, draw()?);
        let expires_at = asking.act.at.plus_seconds(INVITATION_SECONDS);
        let invitation = NewInvitation { digest: token.digest(), expires_at };
        // What was judged is what is invited.
        let expected = expected.or(Some(current.revision));
        let member = self.store.invite_member(organization, id, &invitation, expected, &asking.act).await?;
        Ok(InvitedMember { member, invitation: Some((token, expires_at)) })
    }

    /// An invitation opens everything that its person may do: it is no way from one organization into another.
    async fn judge_invitation(&self, organization: &Identifier, member: &Member) -> Result<(), ControlProblem> {
        if member.has_password {
            return Err(ControlProblem::PasswordSet);
        }
        let person = self.store.person_by_email(&member.email).await?.map(|(person, _)| person);
        let person = person.ok_or(ControlProblem::NotFound)?;
        if person.operator {
            return Err(OPERATORS_ONLY);
        }
        if person.roles.iter().any(|(other, _)| other != organization) {
            let reason = "this member belongs to other organizations as well; a node's operator can invite them";
            return Err(ControlProblem::NotAllowed(reason));
        }
        Ok(())
    }

    /// The tokens of a member, who may look after their own. Errors: as [`list_members`](Self::list_members).
    pub async fn list_member_tokens(
        &self,
        asking: &Asking,
        organization: &Identifier,
        id: &MemberId,
    ) -> Result<Vec<MemberToken>, ControlProblem> {
        self.require_tokens_of(asking, organization, id).await?;
        Ok(self.store.member_tokens(organization, id).await?)
    }

    /// One of them. Errors: as [`list_members`](Self::list_members).
    pub async fn show_member_token(
        &self,
        asking: &Asking,
        organization: &Identifier,
        id: &MemberId,
        token: &MemberTokenId,
    ) -> Result<MemberToken, ControlProblem> {
        self.require_tokens_of(asking, organization, id).await?;
        Ok(self.store.member_token(organization, id, token).await?)
    }

    /// Makes a token for scripts. Errors: `NotFound`, `NotAllowed`, `AlreadyDone`, `Invalid`, `TooManyTokens`,
    /// `Unavailable`, `Fault`.
    pub async fn add_member_token(
        &self,
        asking: &Asking,
        organization: &Identifier,
        id: &MemberId,
        draft: MemberTokenDraft,
        found: FieldErrors,
    ) -> Result<IssuedMemberToken, ControlProblem> {
        self.require_change_of_tokens(asking, organization, id).await?;
        self.store.look_back(&asking.act).await?;
        let (name, expires_at) = judge_token(draft, found, asking.act.at, longest(&asking.caller))?;
        let secret = OpaqueToken::from_entropy(TokenKind::Member, draw()?);
        let new = NewMemberToken {
            id: MemberTokenId::from_entropy(draw()?),
            digest: secret.digest(),
            name: name.as_str().to_owned(),
            expires_at,
        };
        for _ in 0..ATTEMPTS {
            let expected = self.require_change_of_tokens(asking, organization, id).await?;
            match self.store.add_member_token(organization, id, &new, Some(expected), &asking.act).await {
                Err(StoreError::RevisionMismatch { .. }) => {}
                token => return Ok(IssuedMemberToken { token: token?, secret }),
            }
        }
        Err(ControlProblem::Unavailable)
    }

    /// Ends a token. Errors: `NotFound`, `NotAllowed`, `Unavailable`, `Fault`.
    pub async fn remove_member_token(
        &self,
        asking: &Asking,
        organization: &Identifier,
        id: &MemberId,
        token: &MemberTokenId,
    ) -> Result<(), ControlProblem> {
        self.require_change_of_tokens(asking, organization, id).await?;
        Ok(self.store.remove_member_token(organization, id, token, &asking.act).await?)
    }

    /// Errors: `NotFound` where there is no such organization, and those of [`Caller::require`].
    async fn require_members(&self, asking: &Asking, organization: &Identifier) -> Result<(), ControlProblem> {
        asking.caller.require(Right::Manage, organization)?;
        self.organization_facts(organization).await.map(|_| ())
    }

    /// A member that the caller may change, and the revision that the change then expects: whoever may not change owners
    /// changes only whom they looked at, who may have become one in between.
    async fn changeable_member(
        &self,
        asking: &Asking,
        organization: &Identifier,
        id: &MemberId,
        expected: Option<Revision>,
    ) -> Result<(Member, Option<Revision>), ControlProblem> {
        self.require_members(asking, organization).await?;
        let current = self.store.member(organization, id).await?;
        require_over(&asking.caller, organization, current.role)?;
        let may_all = asking.caller.is_operator();
        let expected = if may_all { expected } else { Some(looked_at(current.revision, expected)?) };
        Ok((current, expected))
    }

    /// Errors: those of [`Caller::require`], for whoever asks about somebody else.
    async fn require_tokens_of(
        &self,
        asking: &Asking,
        organization: &Identifier,
        id: &MemberId,
    ) -> Result<(), ControlProblem> {
        let right = if is_oneself(&asking.caller, id) { Right::See } else { Right::Manage };
        asking.caller.require(right, organization)?;
        self.organization_facts(organization).await.map(|_| ())
    }

    /// The same for changes, and the revision that a change then expects.
    async fn require_change_of_tokens(
        &self,
        asking: &Asking,
        organization: &Identifier,
        id: &MemberId,
    ) -> Result<Revision, ControlProblem> {
        self.require_tokens_of(asking, organization, id).await?;
        let current = self.store.member(organization, id).await?;
        if !is_oneself(&asking.caller, id) {
            require_over(&asking.caller, organization, current.role)?;
        }
        Ok(current.revision)
    }
}

/// When whatever the caller's own token makes has to end. A token that could make a longer one would never end.
fn longest(caller: &Caller) -> Option<Timestamp> {
    match caller {
        Caller::Member(member) => member.until,
        Caller::Key(_) | Caller::Operator => None,
    }
}

/// Members look after their own tokens.
fn is_oneself(caller: &Caller, id: &MemberId) -> bool {
    match caller {
        Caller::Member(member) => member.id == *id,
        Caller::Key(_) | Caller::Operator => false,
    }
}

/// Whether the caller has a say about members of this role.
fn require_over(caller: &Caller, organization: &Identifier, role: MemberRole) -> Result<(), ControlProblem> {
    let is_owner = caller.is_operator() || caller.role(organization) == Some(MemberRole::Owner);
    if role == MemberRole::Owner && !is_owner { Err(OWNERS_ONLY) } else { Ok(()) }
}

/// Whether whoever is added may be invited by the caller as well.
fn judge_addition(
    caller: &Caller,
    organization: &Identifier,
    sound: &SoundMember,
    known: Option<&Person>,
) -> Result<bool, ControlProblem> {
    // First: who may not add somebody does not learn whether they are an operator.
    if let Some(person) = known {
        judge_known(caller, organization, sound, person)?;
    }
    let is_operator = known.is_some_and(|person| person.operator);
    if sound.operator.is_some_and(|operator| operator != is_operator) && !caller.is_operator() {
        return Err(OPERATORS_ONLY);
    }
    Ok(known.is_none_or(|person| caller.is_operator() && !person.has_password))
}

/// Whether somebody who is there already may be added.
fn judge_known(
    caller: &Caller,
    organization: &Identifier,
    sound: &SoundMember,
    person: &Person,
) -> Result<(), ControlProblem> {
    let is_member = person.roles.iter().any(|(other, _)| other == organization);
    if !caller.is_operator() {
        let looks_after = |(other, _): &(Identifier, MemberRole)| caller.require(Right::Manage, other).is_ok();
        return if is_member || !person.roles.iter().any(looks_after) { Err(EMAIL_TAKEN) } else { Ok(()) };
    }
    if is_member {
        return Err(StoreError::EmailTaken.into());
    }
    // An admin of another organization may have invited the address and set the password without its owner.
    if person.has_password && !person.roles.is_empty() && !sound.link { Err(needs_link(person)) } else { Ok(()) }
}

/// Tells an operator whom they are about to let in.
fn needs_link(person: &Person) -> ControlProblem {
    let organizations: Vec<String> = person.roles.iter().map(|(organization, _)| format!("`{organization}`")).collect();
    ControlProblem::EmailTaken(Cow::Owned(format!(
        "somebody has that address and a password already, as a member of {}; if that is who you mean, say `link`",
        organizations.join(", ")
    )))
}

/// Somebody whose fields hold.
struct SoundMember {
    email: Email,
    name: String,
    role: MemberRole,
    operator: Option<bool>,
    link: bool,
}

fn judge(draft: MemberDraft, mut errors: FieldErrors) -> Result<SoundMember, FieldErrors> {
    let MemberDraft { email, name, role, operator, link } = draft;
    if email.is_none() {
        errors.add("/email", "email_required", "a member needs an email address");
    }
    if role.is_none() {
        errors.add("/role", "role_required", "a member needs a role: `owner`, `admin`, `editor`, `viewer` or `none`");
    }
    let email = email.and_then(|email| judge_email(&email, &mut errors));
    let name = judge_name(name.as_deref().unwrap_or_default(), &mut errors);
    let role = role.and_then(|role| judge_role(&role, &mut errors));
    let sound = match (email, name, role) {
        (Some(email), Some(name), Some(role)) => {
            Some(SoundMember { email, name, role, operator, link: link.unwrap_or(false) })
        }
        _ => None,
    };
    errors.or(sound)
}

fn judge_edit(draft: MemberEditDraft, mut errors: FieldErrors) -> Result<MemberEdit, FieldErrors> {
    let MemberEditDraft { name, role, operator } = draft;
    let name = name.and_then(|name| judge_name(&name, &mut errors));
    let role = role.and_then(|role| judge_role(&role, &mut errors));
    errors.or(Some(MemberEdit { name, role, operator }))
}

fn judge_token(
    draft: MemberTokenDraft,
    mut errors: FieldErrors,
    now: Timestamp,
    until: Option<Timestamp>,
) -> Result<(KeyName, Timestamp), FieldErrors> {
    let MemberTokenDraft { name, expires_at } = draft;
    let name = match name.as_deref().map(str::trim).filter(|name| !name.is_empty()) {
        Some(name) => KeyName::parse(name).map_err(|error| errors.add("/name", "name_invalid", error.to_string())).ok(),
        None => {
            errors.add("/name", "name_required", "a token needs a name that says what it is for");
            None
        }
    };
    let expires_at = match expires_at {
        Some(text) => judge_expiry(&text, now, until, &mut errors),
        None => Some(until.map_or(now.plus_seconds(TOKEN_SECONDS), |until| until.min(now.plus_seconds(TOKEN_SECONDS)))),
    };
    errors.or(name.zip(expires_at))
}

fn judge_expiry(text: &str, now: Timestamp, until: Option<Timestamp>, errors: &mut FieldErrors) -> Option<Timestamp> {
    let judged = Timestamp::parse(text).map_err(|error| errors.add("/expires_at", "expiry_invalid", error.to_string()));
    let instant = judged.ok()?;
    if instant <= now {
        errors.add("/expires_at", "expiry_in_the_past", format!("`{instant}` is not in the future"));
    } else if instant > now.plus_seconds(MAX_TOKEN_SECONDS) {
        errors.add("/expires_at", "expiry_too_far", "a token lives at most 366 days");
    } else if let Some(until) = until.filter(|until| instant > *until) {
        let message = format!("a token makes none that outlives it, and yours ends at `{until}`; sign in to make one");
        errors.add("/expires_at", "expiry_too_far", message);
    }
    Some(instant)
}

/// A name may be empty.
fn judge_name(text: &str, errors: &mut FieldErrors) -> Option<String> {
    if text.trim().is_empty() {
        return Some(String::new());
    }
    let judged = KeyName::parse(text).map_err(|error| errors.add("/name", "name_invalid", error.to_string()));
    judged.ok().map(|name| name.as_str().to_owned())
}

fn judge_role(text: &str, errors: &mut FieldErrors) -> Option<MemberRole> {
    let role = MemberRole::parse(text);
    if role.is_none() {
        errors.add("/role", "role_unknown", "a role is `owner`, `admin`, `editor`, `viewer` or `none`");
    }
    role
}
