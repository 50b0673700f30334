//! Members: who belongs to the organization, as what, and the one time that an invitation's link is shown.

use super::answer::{page, page_with, see};
use super::entry::of_field;
use super::form::with_query;
use super::shell::{Section, Shell, role_word};
use super::visit::{Visit, once};
use super::words::{Moment, sentence};
use crate::control::api::Refusal;
use crate::control::{
    Caller, ControlProblem, FieldError, FieldErrors, InvitedMember, MemberDraft, MemberEditDraft, Right,
};
use crate::model::{Identifier, MemberId, MemberRole};
use crate::store::Member;
use askama::Template;
use axum::response::Response;

/// Members of a page.
const ROWS: u32 = 100;
const ROLES: [MemberRole; 5] =
    [MemberRole::Viewer, MemberRole::Editor, MemberRole::Admin, MemberRole::Owner, MemberRole::None];

#[derive(Template)]
#[template(path = "members.html")]
struct MembersPage {
    shell: Shell,
    base: String,
    /// The organization's name.
    name: String,
    rows: Vec<Row>,
    /// Where the list goes on, and where it begins; empty where that is here.
    more: String,
    first: String,
    once: String,
    by_operator: bool,
    roles: Vec<Choice>,
    typed: Typed,
    errors: Vec<FieldError>,
    /// Whether somebody else has the address, whom an operator may mean.
    may_link: bool,
    notice: String,
    again: bool,
    invited: Option<Invited>,
}

/// A new member, as typed.
#[derive(Default)]
struct Typed {
    email: String,
    name: String,
    operator: bool,
}

struct Choice {
    value: &'static str,
    words: &'static str,
    chosen: bool,
}

struct Row {
    id: String,
    /// The name, or the address of whoever has none.
    title: String,
    email: String,
    has_name: bool,
    is_self: bool,
    is_operator: bool,
    /// Whether the reader may change them.
    changeable: bool,
    role: &'static str,
    roles: Vec<Choice>,
    has_password: bool,
    last_sign_in: Option<Moment>,
    revision: u64,
}

/// An invitation's link, shown this once.
struct Invited {
    email: String,
    role: String,
    link: String,
    until: Moment,
}

#[derive(Template)]
#[template(path = "member.html")]
struct MemberPage {
    shell: Shell,
    base: String,
    row: Row,
    added: Moment,
    name: String,
    by_operator: bool,
    once: String,
    errors: Vec<FieldError>,
    problem: String,
    saved: bool,
}

#[derive(Template)]
#[template(path = "member_remove.html")]
struct RemovePage {
    shell: Shell,
    base: String,
    row: Row,
    problem: String,
}

impl MembersPage {
    fn errors_of(&self, pointer: &str) -> Vec<String> {
        of_field(&self.errors, pointer)
    }
}

impl MemberPage {
    fn errors_of(&self, pointer: &str) -> Vec<String> {
        of_field(&self.errors, pointer)
    }
}

fn choices(chosen: MemberRole, owners: bool) -> Vec<Choice> {
    let open = ROLES.into_iter().filter(|role| owners || *role != MemberRole::Owner || *role == chosen);
    open.map(|role| Choice { value: role.as_str(), words: role_word(role), chosen: role == chosen }).collect()
}

/// Whether the reader has a say about owners.
fn over_owners(visit: &Visit, organization: &Identifier) -> bool {
    let caller = &visit.asking.caller;
    caller.is_operator() || caller.role(organization) == Some(MemberRole::Owner)
}

fn is_self(visit: &Visit, id: &MemberId) -> bool {
    match &visit.asking.caller {
        Caller::Member(member) => member.id == *id,
        Caller::Key(_) | Caller::Operator => false,
    }
}

impl Row {
    fn new(visit: &Visit, organization: &Identifier, member: &Member) -> Self {
        let owners = over_owners(visit, organization);
        let email = member.email.to_string();
        Self {
            id: member.id.to_string(),
            title: if member.name.is_empty() { email.clone() } else { member.name.clone() },
            email,
            has_name: !member.name.is_empty(),
            is_self: is_self(visit, &member.id),
            is_operator: member.operator,
            changeable: owners || member.role != MemberRole::Owner,
            role: role_word(member.role),
            roles: choices(member.role, owners),
            has_password: member.has_password,
            last_sign_in: member.last_sign_in_at.map(|at| Moment::new(at, visit.asking.act.at)),
            revision: member.revision.0,
        }
    }
}

impl Row {
    /// With the revision that the form was filled in by: shown again it is still as old.
    fn with_sent(self, visit: &Visit) -> Self {
        let revision = visit.sent_revision().map_or(self.revision, |sent| sent.0);
        Self { revision, ..self }
    }
}

impl Visit {
    /// The organization of the path, for those who look after its members.
    fn members_of(&self) -> Result<Identifier, Refusal> {
        let id = self.place.organization()?;
        self.asking.caller.require(Right::Manage, &id)?;
        Ok(id)
    }

    /// The member of the path.
    async fn member(&self, organization: &Identifier) -> Result<Member, Refusal> {
        let id = self.place.member_id()?;
        Ok(self.control().show_member(&self.asking, organization, &id).await?)
    }
}

pub(super) async fn list(visit: Visit) -> Result<Response, Refusal> {
    let id = visit.members_of()?;
    page(&members_page(&visit, &id).await?)
}

async fn members_page(visit: &Visit, id: &Identifier) -> Result<MembersPage, Refusal> {
    let after = visit.query.filled("after").and_then(|text| text.parse().ok());
    let found = visit.control().list_members(&visit.asking, id, after, ROWS).await?;
    let base = format!("/o/{id}/members");
    let last = found.members.last().filter(|_| found.more);
    let chosen = visit.form.text("role").and_then(MemberRole::parse).unwrap_or(MemberRole::Viewer);
    let typed = |name| visit.form.text(name).unwrap_or_default().to_owned();
    let notice = [
        ("added", "Member added. They sign in with the password that they have."),
        ("saved", "Member saved."),
        ("removed", "Member removed."),
    ];
    let notice = notice.into_iter().find(|(name, _)| visit.query.has(name)).map_or("", |(_, words)| words);
    Ok(MembersPage {
        shell: visit.shell_of(id, Section::Members, "Members").await,
        name: visit.control().organization(&visit.asking, id).await?.name,
        rows: found.members.iter().map(|member| Row::new(visit, id, member)).collect(),
        more: last.map_or_else(String::new, |last| with_query(&base, &[("after", &last.place.to_string())])),
        first: if after.is_some() { base.clone() } else { String::new() },
        base,
        once: once()?,
        by_operator: visit.asking.caller.is_operator(),
        roles: choices(chosen, over_owners(visit, id)),
        typed: Typed { email: typed("email"), name: typed("name"), operator: visit.form.has("operator") },
        errors: vec![],
        may_link: false,
        notice: notice.to_owned(),
        again: visit.query.has("again"),
        invited: None,
    })
}

pub(super) async fn add(visit: Visit) -> Result<Response, Refusal> {
    let id = visit.members_of()?;
    if visit.only_shows() {
        return page(&members_page(&visit, &id).await?);
    }
    let (form, by_operator) = (&visit.form, visit.asking.caller.is_operator());
    let text = |name| Some(form.text(name).unwrap_or_default().trim().to_owned());
    let draft = MemberDraft {
        email: text("email"),
        name: text("name"),
        role: text("role"),
        operator: (by_operator && form.has("operator")).then_some(true),
        link: (by_operator && form.has("link")).then_some(true),
    };
    let asking = visit.asking_once();
    match visit.control().add_member(&asking, &id, draft, FieldErrors::default()).await {
        Ok(added) => invited(&visit, &id, added).await,
        Err(problem) => not_added(&visit, &id, problem).await,
    }
}

/// Shows the link of an invitation: this answer is the only place where it is.
async fn invited(visit: &Visit, id: &Identifier, added: InvitedMember) -> Result<Response, Refusal> {
    let Some((token, expires_at)) = added.invitation else { return Ok(see(&format!("/o/{id}/members?added=1"))) };
    let url = visit.control().control_url.as_str();
    let link = with_query(&format!("{}/invitation", url.trim_end_matches('/')), &[("token", token.expose())]);
    let invited = Invited {
        email: added.member.email.to_string(),
        role: role_word(added.member.role).to_lowercase(),
        link,
        until: Moment::new(expires_at, visit.asking.act.at),
    };
    let template = members_page(visit, id).await?;
    let roles = choices(MemberRole::Viewer, over_owners(visit, id));
    page(&MembersPage { invited: Some(invited), typed: Typed::default(), roles, ..template })
}

async fn not_added(visit: &Visit, id: &Identifier, problem: ControlProblem) -> Result<Response, Refusal> {
    let words = sentence(&problem.to_string());
    let about = |pointer: &str, code| FieldError { pointer: pointer.to_owned(), code, message: words.clone() };
    let (errors, may_link) = match &problem {
        ControlProblem::Invalid(errors) => (errors.clone().into_vec(), false),
        ControlProblem::EmailTaken(_) => {
            let may_link = visit.asking.caller.is_operator() && problem.to_string().contains("`link`");
            (vec![about("/email", "email_taken")], may_link)
        }
        ControlProblem::NotAllowed(_) => (vec![about("/role", "not_allowed")], false),
        ControlProblem::AlreadyDone(_) | ControlProblem::IdempotencyKeyReused => return Ok(again(id)),
        _ => return Err(problem.into()),
    };
    let template = members_page(visit, id).await?;
    page_with(&problem.into(), &MembersPage { errors, may_link, ..template })
}

/// The form was sent before: the link is not shown again.
fn again(id: &Identifier) -> Response {
    see(&format!("/o/{id}/members?again=1"))
}

pub(super) async fn show(visit: Visit) -> Result<Response, Refusal> {
    let id = visit.members_of()?;
    let member = visit.member(&id).await?;
    page(&member_page(&visit, &id, &member).await?)
}

async fn member_page(visit: &Visit, id: &Identifier, member: &Member) -> Result<MemberPage, Refusal> {
    let mut row = Row::new(visit, id, member).with_sent(visit);
    if let Some(role) = visit.form.text("role").and_then(MemberRole::parse) {
        row.roles = choices(role, over_owners(visit, id));
    }
    Ok(MemberPage {
        shell: visit.shell_of(id, Section::Members, &row.title).await,
        base: format!("/o/{id}/members"),
        added: Moment::new(member.created_at, visit.asking.act.at),
        name: visit.form.text("name").unwrap_or(&member.name).to_owned(),
        by_operator: visit.asking.caller.is_operator(),
        once: once()?,
        errors: vec![],
        problem: String::new(),
        saved: visit.query.has("saved"),
        row,
    })
}

pub(super) async fn edit(visit: Visit) -> Result<Response, Refusal> {
    let id = visit.members_of()?;
    let member = visit.member(&id).await?;
    if visit.only_shows() {
        return page(&member_page(&visit, &id, &member).await?);
    }
    let text = |name| visit.form.text(name).map(|text| text.trim().to_owned());
    // The short form in the list has no box for it.
    let asks_operator = visit.asking.caller.is_operator() && visit.form.has("whole");
    let draft = MemberEditDraft {
        name: text("name"),
        role: text("role"),
        operator: asks_operator.then(|| visit.form.has("operator")),
    };
    let control = visit.control();
    let edited =
        control.edit_member(&visit.asking, &id, &member.id, draft, FieldErrors::default(), visit.expected()).await;
    match edited {
        // Who gives this right up does not see the list any more.
        Ok(now) if is_self(&visit, &now.id) && !now.operator && now.role < Right::Manage.least_role() => Ok(see("/")),
        Ok(_) => Ok(see(&format!("/o/{id}/members?saved=1"))),
        Err(problem) => not_edited(&visit, &id, problem).await,
    }
}

async fn not_edited(visit: &Visit, id: &Identifier, problem: ControlProblem) -> Result<Response, Refusal> {
    let (errors, words) = match (&problem, told(&problem)) {
        (ControlProblem::Invalid(errors), _) => (errors.clone().into_vec(), String::new()),
        (_, Some(words)) => (vec![], words),
        (_, None) => return Err(problem.into()),
    };
    let now = visit.member(id).await?;
    let mut template = member_page(visit, id, &now).await?;
    if matches!(problem, ControlProblem::RevisionMismatch { .. }) {
        template.row.revision = now.revision.0;
    }
    page_with(&problem.into(), &MemberPage { errors, problem: words, ..template })
}

/// What a page about a member tells by itself.
fn told(problem: &ControlProblem) -> Option<String> {
    match problem {
        ControlProblem::RevisionMismatch { .. } => Some(
            "Somebody changed this member meanwhile. This is how they are now; what you typed is still here."
                .to_owned(),
        ),
        ControlProblem::LastOwner | ControlProblem::NotAllowed(_) | ControlProblem::PasswordSet => {
            Some(sentence(&problem.to_string()))
        }
        _ => None,
    }
}

pub(super) async fn invite(visit: Visit) -> Result<Response, Refusal> {
    let id = visit.members_of()?;
    let member = visit.member(&id).await?;
    if visit.only_shows() {
        return page(&member_page(&visit, &id, &member).await?);
    }
    let asking = visit.asking_once();
    match visit.control().invite_member(&asking, &id, &member.id, visit.expected()).await {
        Ok(made) => invited(&visit, &id, made).await,
        Err(ControlProblem::AlreadyDone(_) | ControlProblem::IdempotencyKeyReused) => Ok(again(&id)),
        Err(problem) => match told(&problem) {
            Some(_) => not_edited(&visit, &id, problem).await,
            None => Err(problem.into()),
        },
    }
}

pub(super) async fn ask_remove(visit: Visit) -> Result<Response, Refusal> {
    let id = visit.members_of()?;
    let member = visit.member(&id).await?;
    page(&remove_page(&visit, &id, &member, String::new()).await)
}

async fn remove_page(visit: &Visit, id: &Identifier, member: &Member, problem: String) -> RemovePage {
    let row = Row::new(visit, id, member).with_sent(visit);
    RemovePage {
        shell: visit.shell_of(id, Section::Members, &format!("Remove {}", row.title)).await,
        base: format!("/o/{id}/members"),
        row,
        problem,
    }
}

pub(super) async fn remove(visit: Visit) -> Result<Response, Refusal> {
    let id = visit.members_of()?;
    let member = visit.member(&id).await?;
    if visit.only_shows() {
        return page(&remove_page(&visit, &id, &member, String::new()).await);
    }
    match visit.control().remove_member(&visit.asking, &id, &member.id, visit.expected()).await {
        Ok(()) if is_self(&visit, &member.id) => Ok(see("/")),
        Ok(()) => Ok(see(&format!("/o/{id}/members?removed=1"))),
        Err(problem) => match told(&problem) {
            Some(words) => {
                let now = visit.member(&id).await?;
                let mut template = remove_page(&visit, &id, &now, words).await;
                template.row.revision = now.revision.0;
                page_with(&problem.into(), &template)
            }
            None => Err(problem.into()),
        },
    }
}
