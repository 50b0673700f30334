//! Changing a key in place: name, description, permissions and allowlist. Whoever was overtaken is told by what.

use super::allowlist::{self, AddressesPart};
use super::answer::{page, page_with, see};
use super::one_key::{KeyHead, held};
use super::permissions::{self, PermissionsPart};
use super::problems::{ProblemRow, Problems};
use super::shell::{Section, Shell};
use super::visit::Visit;
use crate::control::api::Refusal;
use crate::control::{ControlProblem, EditDraft, FieldErrors, Right};
use crate::model::{Allowlist, ApiKey, EnvironmentId, KeyKind};
use crate::store::AuditFilter;
use askama::Template;
use axum::response::Response;
use std::collections::{BTreeSet, HashSet};

/// The form.
#[derive(Template)]
#[template(path = "edit_key.html")]
struct EditKeyPage {
    shell: Shell,
    key: KeyHead,
    problems: Vec<ProblemRow>,
    conflict: Option<Conflict>,
    name: String,
    name_errors: Vec<String>,
    description: String,
    description_errors: Vec<String>,
    legacy_role: Option<String>,
    permissions: PermissionsPart,
    /// What the key holds and the API does not have any more.
    gone: Vec<String>,
    addresses: AddressesPart,
}

/// Somebody changed the key between the form and its sending.
struct Conflict {
    who: String,
    differences: Vec<(&'static str, String)>,
}

pub(super) async fn show(visit: Visit) -> Result<Response, Refusal> {
    let (id, key) = visit.key_to_change().await?;
    page(&form_page(&visit, &id, &key, None).await?)
}

pub(super) async fn save(visit: Visit) -> Result<Response, Refusal> {
    let (id, key) = visit.key_to_change().await?;
    if visit.only_shows() {
        return page(&form_page(&visit, &id, &key, None).await?);
    }
    let (draft, found) = draft(&visit, &id, &key)?;
    let control = visit.control();
    match control.edit_key(&visit.asking, &id, &key.client_id, draft, found, visit.expected()).await {
        Ok(key) => Ok(see(&format!("{}/keys/{}?saved=1", super::base_of(&id), key.client_id))),
        Err(problem @ ControlProblem::RevisionMismatch { .. }) => {
            let now = visit.key(&id).await?;
            let mut template = form_page(&visit, &id, &now, None).await?;
            template.conflict = Some(conflict(&visit, &id, &now).await?);
            template.key = KeyHead::told(&now, &visit);
            page_with(&problem.into(), &template)
        }
        Err(problem) => match Problems::of(&problem, &visit.form) {
            Some(problems) => page_with(&problem.into(), &form_page(&visit, &id, &key, Some(&problems)).await?),
            None => Err(problem.into()),
        },
    }
}

fn draft(visit: &Visit, id: &EnvironmentId, key: &ApiKey) -> Result<(EditDraft, FieldErrors), Refusal> {
    let form = &visit.form;
    let snapshot = visit.control().tables.load_full();
    let environment = snapshot.environment(id).ok_or_else(Refusal::not_found)?;
    let mut found = FieldErrors::default();
    let permissions = match &key.kind {
        KeyKind::FineGrained { .. } => {
            permissions::judge(form, environment, &mut found);
            Some(permissions::in_order(&permissions::chosen(form, environment), environment))
        }
        KeyKind::Legacy { .. } => None,
    };
    let draft = EditDraft {
        name: Some(form.text("name").unwrap_or_default().to_owned()),
        description: Some(form.text("description").unwrap_or_default().to_owned()),
        permissions,
        may_grant: None,
        allowlist: allowlist::draft(form, &mut found),
    };
    Ok((draft, found))
}

async fn form_page(
    visit: &Visit,
    id: &EnvironmentId,
    key: &ApiKey,
    problems: Option<&Problems>,
) -> Result<EditKeyPage, Refusal> {
    let shell = visit.shell_in(id, Section::Keys, &format!("Edit {}", key.name.as_str())).await;
    let picked = permissions::picked(visit, id).await?;
    let snapshot = visit.control().tables.load_full();
    let environment = snapshot.environment(id).ok_or_else(Refusal::not_found)?;
    let form = &visit.form;
    let sent = form.has("csrf");
    let head = KeyHead::new(key, visit);
    let mut chosen: HashSet<String> =
        if sent { permissions::chosen(form, environment) } else { held(key).into_iter().collect() };
    chosen.extend(picked.iter().flat_map(|(_, names)| names.iter().cloned()));
    let mut part = PermissionsPart::new(&format!("{}/edit", head.url), environment, &visit.asking.caller, &chosen);
    part = part.started_from(form.text("preset").unwrap_or_default());
    form.text("requests").unwrap_or_default().clone_into(&mut part.requests);
    part.picked = picked.into_iter().map(|(row, _)| row).collect();
    let addresses = AddressesPart::new(visit, environment);
    let is_known = |name: &String| {
        environment.catalogue.permission(name).is_some() || crate::model::ManagementPermission::parse(name).is_some()
    };
    let text = |name: &str, kept: &str| form.text(name).unwrap_or(kept).to_owned();
    let mut page = EditKeyPage {
        problems: vec![],
        conflict: None,
        name: text("name", key.name.as_str()),
        name_errors: vec![],
        description: text("description", &key.description),
        description_errors: vec![],
        legacy_role: match &key.kind {
            KeyKind::FineGrained { .. } => None,
            KeyKind::Legacy { role } => Some(role.clone()),
        },
        permissions: part,
        gone: held(key).into_iter().filter(|name| !is_known(name)).collect(),
        addresses: if sent { addresses.of_form(form) } else { addresses.of_key(key) },
        key: head,
        shell,
    };
    if let Some(problems) = problems {
        page.tell(problems);
    }
    Ok(page)
}

impl EditKeyPage {
    fn tell(&mut self, problems: &Problems) {
        self.problems = problems.rows();
        self.name_errors = problems.at("name");
        self.description_errors = problems.at("description");
        self.permissions.errors = problems.at("permissions");
        self.addresses.errors = problems.at("networks");
    }
}

/// What differs between the key as it is now and what was sent.
async fn conflict(visit: &Visit, id: &EnvironmentId, now: &ApiKey) -> Result<Conflict, Refusal> {
    let who = last_changed_by(visit, id, now).await;
    let form = &visit.form;
    let snapshot = visit.control().tables.load_full();
    let environment = snapshot.environment(id).ok_or_else(Refusal::not_found)?;
    let mut differences = vec![];
    let mut compare = |label, is: &str, sent: &str| {
        if is != sent {
            differences.push((label, format!("is now “{is}”")));
        }
    };
    compare("Name", now.name.as_str(), form.text("name").unwrap_or_default().trim());
    compare("Description", &now.description, form.text("description").unwrap_or_default());
    let chosen = permissions::chosen(form, environment);
    if matches!(now.kind, KeyKind::FineGrained { .. }) {
        let is: BTreeSet<String> = held(now).into_iter().collect();
        differences.extend(told("Permissions", &is, &chosen.into_iter().collect()));
    }
    let open = |any: bool| if any { "any address" } else { "the allowlist alone" };
    let (is_any, sent_any) = (now.allowlist.is_none(), form.text("addresses") == Some("any"));
    if is_any != sent_any {
        differences.push(("Addresses", format!("the key takes {}, yours {}", open(is_any), open(sent_any))));
    }
    if now.allowlist.as_ref().is_some_and(Allowlist::platform) != form.has("platform") {
        differences.push(("Platform", "the switch stands the other way".to_owned()));
    }
    let is = now.allowlist.as_ref().map(texts).unwrap_or_default();
    let sent = allowlist::lines(form.text("networks").unwrap_or_default()).map(|(_, line)| line.to_owned()).collect();
    differences.extend(told("Allowlist", &is, &sent));
    Ok(Conflict { who, differences })
}

fn texts(list: &Allowlist) -> BTreeSet<String> {
    list.networks().iter().map(ToString::to_string).collect()
}

/// How two sets differ, where they do.
fn told(label: &'static str, is: &BTreeSet<String>, sent: &BTreeSet<String>) -> Option<(&'static str, String)> {
    const MOST: usize = 8;
    let some = |names: Vec<&String>| {
        let shown: Vec<&str> = names.iter().take(MOST).map(|name| name.as_str()).collect();
        let rest = names.len().saturating_sub(MOST);
        if rest == 0 { shown.join(", ") } else { format!("{} and {rest} more", shown.join(", ")) }
    };
    let (only_is, only_sent): (Vec<_>, Vec<_>) = (is.difference(sent).collect(), sent.difference(is).collect());
    let words = match (only_is.is_empty(), only_sent.is_empty()) {
        (true, true) => return None,
        (false, true) => format!("the key has {}, which yours leaves out", some(only_is)),
        (true, false) => format!("yours adds {}", some(only_sent)),
        (false, false) => {
            format!("the key has {}, which yours leaves out; yours adds {}", some(only_is), some(only_sent))
        }
    };
    Some((label, words))
}

/// Who changed the key last, for those who may read the log.
async fn last_changed_by(visit: &Visit, id: &EnvironmentId, key: &ApiKey) -> String {
    let somebody = "Somebody".to_owned();
    if visit.asking.caller.require(Right::Manage, &id.organization).is_err() {
        return somebody;
    }
    let filter = AuditFilter { target: Some(key.client_id.as_str().to_owned()), ..AuditFilter::default() };
    let page = visit.control().audit_page(&visit.asking, &Some(id.organization.clone()), &filter, None, 1).await;
    let name = |(_, text): &(u64, String)| {
        let row: serde_json::Value = serde_json::from_str(text).ok()?;
        row.get("actor")?.get("name")?.as_str().map(str::to_owned)
    };
    page.ok().and_then(|page| page.rows.first().and_then(name)).unwrap_or(somebody)
}
