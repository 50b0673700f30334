//! Ending a key for good. One that is in use asks for its name: it was most likely not meant.

use super::answer::{page, page_with, see};
use super::one_key::{KeyHead, is_in_use};
use super::problems::{ProblemRow, Problems};
use super::shell::{Section, Shell};
use super::visit::Visit;
use crate::control::api::Refusal;
use crate::control::{ControlProblem, FieldErrors};
use crate::model::{ApiKey, EnvironmentId};
use askama::Template;
use axum::response::Response;

/// The question.
#[derive(Template)]
#[template(path = "revoke.html")]
struct RevokePage {
    shell: Shell,
    /// What is done to the key.
    act: &'static str,
    key: KeyHead,
    in_use: bool,
    confirm: String,
    changed: bool,
    problems: Vec<ProblemRow>,
}

pub(super) async fn show(visit: Visit) -> Result<Response, Refusal> {
    let (id, key) = visit.key_to_change().await?;
    page(&question(&visit, &id, &key).await)
}

pub(super) async fn revoke(visit: Visit) -> Result<Response, Refusal> {
    let (id, key) = visit.key_to_change().await?;
    if visit.only_shows() {
        return page(&question(&visit, &id, &key).await);
    }
    if is_in_use(&key, visit.asking.act.at) && visit.form.text("confirm").map(str::trim) != Some(key.name.as_str()) {
        let mut errors = FieldErrors::default();
        errors.add(
            "/confirm",
            "confirmation_missing",
            "this is not the key's name; the key is in use, so it is asked for",
        );
        let problem = ControlProblem::Invalid(errors);
        let problems = Problems::of(&problem, &visit.form).unwrap_or_default();
        let template = RevokePage { problems: problems.rows(), ..question(&visit, &id, &key).await };
        return page_with(&problem.into(), &template);
    }
    match visit.control().revoke_key(&visit.asking, &id, &key.client_id, visit.expected()).await {
        Ok(key) => Ok(see(&format!("{}/keys/{}?revoked=1", super::base_of(&id), key.client_id))),
        Err(problem @ ControlProblem::RevisionMismatch { .. }) => {
            let now = visit.key(&id).await?;
            page_with(
                &problem.into(),
                &RevokePage { changed: true, key: KeyHead::told(&now, &visit), ..question(&visit, &id, &now).await },
            )
        }
        Err(problem) => Err(problem.into()),
    }
}

async fn question(visit: &Visit, id: &EnvironmentId, key: &ApiKey) -> RevokePage {
    RevokePage {
        shell: visit.shell_in(id, Section::Keys, &format!("Revoke {}", key.name.as_str())).await,
        act: "Revoke",
        key: KeyHead::new(key, visit),
        in_use: is_in_use(key, visit.asking.act.at),
        confirm: visit.form.text("confirm").unwrap_or_default().to_owned(),
        changed: false,
        problems: vec![],
    }
}
