//! Who is signed in: where they belong, and their password.

use super::answer::{page, page_with, see};
use super::entry::of_field;
use super::shell::{Section, Shell, role_word};
use super::visit::Visit;
use super::words::sentence;
use crate::control::api::Refusal;
use crate::control::passwords::{MAX_CHARS, MIN_CHARS};
use crate::control::{Caller, ControlProblem, FieldError};
use askama::Template;
use axum::response::Response;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    shell: Shell,
    email: String,
    /// The organizations and what they are there; `/o/acme`, name, role.
    roles: Vec<(String, String, &'static str)>,
    is_operator: bool,
    /// Whether there is a password to change.
    has_password: bool,
    changed: bool,
    errors: Vec<FieldError>,
    problem: String,
    min: usize,
    max: usize,
}

impl AccountPage {
    fn errors_of(&self, pointer: &str) -> Vec<String> {
        of_field(&self.errors, pointer)
    }
}

pub(super) async fn show(visit: Visit) -> Result<Response, Refusal> {
    page(&account(&visit).await?)
}

async fn account(visit: &Visit) -> Result<AccountPage, Refusal> {
    let caller = &visit.asking.caller;
    let organizations = visit.control().list_organizations(caller).await?;
    let role = |facts: &crate::control::OrganizationFacts| {
        caller.role(&facts.id).map(|role| (format!("/o/{}", facts.id), facts.name.clone(), role_word(role)))
    };
    let (email, has_password) = match caller {
        Caller::Member(member) => (member.email.clone(), true),
        Caller::Key(_) | Caller::Operator => (caller.actor().label().to_owned(), false),
    };
    Ok(AccountPage {
        shell: visit.shell(Section::Account, "Your account").await,
        email,
        roles: organizations.iter().filter_map(role).collect(),
        is_operator: caller.is_operator(),
        has_password,
        changed: visit.query.has("changed"),
        errors: vec![],
        problem: String::new(),
        min: MIN_CHARS,
        max: MAX_CHARS,
    })
}

pub(super) async fn change_password(visit: Visit) -> Result<Response, Refusal> {
    if visit.only_shows() {
        return page(&account(&visit).await?);
    }
    let secret = |name| visit.form.secret(name).unwrap_or_default();
    let (current, new) = (secret("current_password"), secret("new_password"));
    let changed = visit.control().change_password(&visit.asking, &visit.session, current, new).await;
    let Err(problem) = changed else { return Ok(see("/account?changed=1")) };
    let (errors, words) = match &problem {
        ControlProblem::Invalid(errors) => (errors.clone().into_vec(), String::new()),
        ControlProblem::RateLimited { .. } => (vec![], sentence(&problem.to_string())),
        _ => return Err(problem.into()),
    };
    let template = account(&visit).await?;
    page_with(&problem.into(), &AccountPage { errors, problem: words, changed: false, ..template })
}
