//! Making a key: one page with a live summary, and the page that shows the secret once.

use super::answer::{page, page_with};
use super::problems::{ProblemRow, Problems};
use super::shell::{Section, Shell};
use super::visit::{Visit, once};
use super::{allowlist, expiry, permissions, secret};
use crate::control::api::Refusal;
use crate::control::{ControlProblem, FieldErrors, KeyDraft, OrganizationFacts, Right};
use crate::model::EnvironmentId;
use crate::tables::EnvironmentTable;
use allowlist::AddressesPart;
use askama::Template;
use axum::response::Response;
use expiry::ExpiryPart;
use permissions::PermissionsPart;
use std::collections::HashSet;

/// The form.
#[derive(Template)]
#[template(path = "new_key.html")]
struct NewKeyPage {
    shell: Shell,
    base: String,
    environment: String,
    organization: String,
    once: String,
    problems: Vec<ProblemRow>,
    name: String,
    name_errors: Vec<String>,
    description: String,
    description_errors: Vec<String>,
    legacy: bool,
    legacy_blocked: bool,
    /// Whether the environment has roles at all.
    legacy_possible: bool,
    type_errors: Vec<String>,
    roles: Vec<(String, bool)>,
    role_errors: Vec<String>,
    permissions: PermissionsPart,
    expiry: ExpiryPart,
    expiry_summary: (String, String),
    addresses: AddressesPart,
}

pub(super) async fn show(visit: Visit) -> Result<Response, Refusal> {
    let id = visit.environment_for(Right::ChangeKeys)?;
    page(&form_page(&visit, &id, None).await?)
}

pub(super) async fn create(visit: Visit) -> Result<Response, Refusal> {
    let id = visit.environment_for(Right::ChangeKeys)?;
    if visit.only_shows() {
        return page(&form_page(&visit, &id, None).await?);
    }
    let (draft, found) = {
        let snapshot = visit.control().tables.load_full();
        let environment = snapshot.environment(&id).ok_or_else(Refusal::not_found)?;
        draft(&visit, environment)
    };
    match visit.control().create_key(&visit.asking_once(), &id, draft, found).await {
        Ok(issued) => secret::show(&visit, &id, &issued, true).await,
        Err(ControlProblem::AlreadyDone(client_id)) => secret::show_again(&visit, &id, &client_id).await,
        Err(problem) => match Problems::of(&problem, &visit.form) {
            Some(problems) => page_with(&problem.into(), &form_page(&visit, &id, Some(&problems)).await?),
            None => Err(problem.into()),
        },
    }
}

/// What the form asks for. Explicit boxes win over the preset that they began with.
fn draft(visit: &Visit, environment: &EnvironmentTable) -> (KeyDraft, FieldErrors) {
    let form = &visit.form;
    let mut found = FieldErrors::default();
    let legacy = form.text("type") == Some("legacy");
    let chosen = permissions::chosen(form, environment);
    let preset = form.filled("preset").filter(|_| chosen.is_empty() && !form.has("boxes")).map(str::to_owned);
    if !legacy {
        permissions::judge(form, environment, &mut found);
    }
    let permissions = permissions::in_order(&chosen, environment);
    let draft = KeyDraft {
        name: form.text("name").map(str::to_owned),
        description: form.text("description").unwrap_or_default().to_owned(),
        legacy,
        permissions: (!legacy && preset.is_none()).then_some(permissions),
        preset: preset.filter(|_| !legacy),
        may_grant: None,
        role: form.filled("role").filter(|_| legacy).map(str::to_owned),
        expires_at: expiry::draft(form, &mut found).flatten(),
        allowlist: allowlist::draft(form, &mut found).flatten(),
    };
    (draft, found)
}

async fn form_page(visit: &Visit, id: &EnvironmentId, problems: Option<&Problems>) -> Result<NewKeyPage, Refusal> {
    let facts = visit.control().organization(&visit.asking, &id.organization).await?;
    let shell = visit.shell_in(id, Section::Keys, "New API key").await;
    let picked = permissions::picked(visit, id).await?;
    let snapshot = visit.control().tables.load_full();
    let environment = snapshot.environment(id).ok_or_else(Refusal::not_found)?;
    let mut page = filled(visit, environment, &facts, shell, picked)?;
    if let Some(problems) = problems {
        page.problems = problems.rows();
        page.name_errors = problems.at("name");
        page.description_errors = problems.at("description");
        page.type_errors = problems.at("type-fine");
        page.role_errors = problems.at("role");
        page.permissions.errors = problems.at("permissions");
        page.expiry.errors = problems.at("expiry");
        page.addresses.errors = problems.at("networks");
    }
    Ok(page)
}

/// The form with what was sent, or empty where nothing was.
fn filled(
    visit: &Visit,
    environment: &EnvironmentTable,
    facts: &OrganizationFacts,
    shell: Shell,
    picked: Vec<permissions::Picked>,
) -> Result<NewKeyPage, Refusal> {
    let form = &visit.form;
    let sent = form.has("csrf").then_some(form);
    let base = super::base_of(&environment.policy.id);
    let mut chosen = permissions::chosen(form, environment);
    chosen.extend(picked.iter().flat_map(|(_, names)| names.iter().cloned()));
    let expiry = ExpiryPart::new(&facts.policies, visit.asking.act.at, sent);
    let addresses = AddressesPart::new(visit, environment);
    let text = |name: &str| form.text(name).unwrap_or_default().to_owned();
    let role = form.text("role").unwrap_or_default();
    Ok(NewKeyPage {
        once: once()?,
        problems: vec![],
        name: text("name"),
        name_errors: vec![],
        description: text("description"),
        description_errors: vec![],
        legacy: form.text("type") == Some("legacy"),
        legacy_blocked: facts.policies.block_legacy_keys,
        legacy_possible: !environment.roles.is_empty(),
        type_errors: vec![],
        roles: environment.roles.iter().map(|known| (known.name.clone(), known.name == role)).collect(),
        role_errors: vec![],
        permissions: selection(visit, &base, environment, &chosen, picked),
        expiry_summary: expiry.summary(),
        expiry,
        addresses: if sent.is_some() { addresses.of_form(form) } else { addresses },
        environment: environment.policy.id.environment.to_string(),
        organization: facts.name.clone(),
        base,
        shell,
    })
}

fn selection(
    visit: &Visit,
    base: &str,
    environment: &EnvironmentTable,
    chosen: &HashSet<String>,
    picked: Vec<permissions::Picked>,
) -> PermissionsPart {
    let action = format!("{base}/keys/new");
    let part = PermissionsPart::new(&action, environment, &visit.asking.caller, chosen);
    let mut part = part.started_from(visit.form.text("preset").unwrap_or_default());
    visit.form.text("requests").unwrap_or_default().clone_into(&mut part.requests);
    part.picked = picked.into_iter().map(|(row, _)| row).collect();
    part
}
