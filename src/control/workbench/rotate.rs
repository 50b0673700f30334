//! Giving a key a new secret and a new expiry: what stops working is said first.

use super::allowlist::{self, AddressesPart};
use super::answer::{page, page_with};
use super::expiry::{self, ExpiryPart};
use super::one_key::KeyHead;
use super::problems::{ProblemRow, Problems};
use super::secret;
use super::shell::{Section, Shell};
use super::visit::{Visit, once};
use crate::control::api::Refusal;
use crate::control::{ControlProblem, FieldErrors, RotationDraft};
use crate::model::{ApiKey, EnvironmentId};
use askama::Template;
use axum::response::Response;

/// The form.
#[derive(Template)]
#[template(path = "rotate.html")]
struct RotatePage {
    shell: Shell,
    /// What is done to the key.
    act: &'static str,
    key: KeyHead,
    organization: String,
    once: String,
    changed: bool,
    problems: Vec<ProblemRow>,
    expiry: ExpiryPart,
    addresses: AddressesPart,
}

pub(super) async fn show(visit: Visit) -> Result<Response, Refusal> {
    let (id, key) = visit.key_to_change().await?;
    page(&form_page(&visit, &id, &key).await?)
}

pub(super) async fn rotate(visit: Visit) -> Result<Response, Refusal> {
    let (id, key) = visit.key_to_change().await?;
    if visit.only_shows() {
        return page(&form_page(&visit, &id, &key).await?);
    }
    let mut found = FieldErrors::default();
    let draft = RotationDraft {
        expires_at: expiry::draft(&visit.form, &mut found),
        allowlist: allowlist::draft(&visit.form, &mut found),
    };
    let control = visit.control();
    let rotated = control.rotate_key(&visit.asking_once(), &id, &key.client_id, draft, found, visit.expected()).await;
    match rotated {
        Ok(issued) => secret::show(&visit, &id, &issued, false).await,
        Err(ControlProblem::AlreadyDone(client_id)) => secret::show_again(&visit, &id, &client_id).await,
        Err(problem @ ControlProblem::RevisionMismatch { .. }) => {
            let now = visit.key(&id).await?;
            let head = KeyHead::told(&now, &visit);
            let template = RotatePage { changed: true, key: head, ..form_page(&visit, &id, &now).await? };
            page_with(&problem.into(), &template)
        }
        Err(problem) => match Problems::of(&problem, &visit.form) {
            Some(problems) => {
                let mut template = form_page(&visit, &id, &key).await?;
                template.problems = problems.rows();
                template.expiry.errors = problems.at("expiry");
                template.addresses.errors = problems.at("networks");
                page_with(&problem.into(), &template)
            }
            None => Err(problem.into()),
        },
    }
}

async fn form_page(visit: &Visit, id: &EnvironmentId, key: &ApiKey) -> Result<RotatePage, Refusal> {
    let facts = visit.control().organization(&visit.asking, &id.organization).await?;
    let shell = visit.shell_in(id, Section::Keys, &format!("Rotate {}", key.name.as_str())).await;
    let snapshot = visit.control().tables.load_full();
    let environment = snapshot.environment(id).ok_or_else(Refusal::not_found)?;
    let sent = visit.form.has("csrf").then_some(&visit.form);
    let addresses = AddressesPart::new(visit, environment).of_key(key);
    let addresses = match sent {
        Some(form) => addresses.of_form(form),
        None => AddressesPart { chosen: "keep".to_owned(), ..addresses },
    };
    Ok(RotatePage {
        shell,
        act: "Rotate",
        key: KeyHead::new(key, visit),
        organization: facts.name,
        once: once()?,
        changed: false,
        problems: vec![],
        expiry: ExpiryPart::new(&facts.policies, visit.asking.act.at, sent),
        addresses: AddressesPart { may_keep: true, ..addresses },
    })
}
