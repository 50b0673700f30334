//! The audit log: who did what, filtered by the address of the page; whether the chain is whole; all of it as a file.

use super::answer::{page, page_with};
use super::audit_row::{ACTIONS, Row};
use super::entry::of_field;
use super::form::{Form, with_query};
use super::shell::{Section, Shell};
use super::visit::Visit;
use super::words::{counted, number, sentence};
use crate::control::api::{Refusal, audit::lines};
use crate::control::{AuditVerdict, ControlProblem, FieldError, FieldErrors, Right};
use crate::model::{Identifier, Timestamp};
use crate::store::{AuditFilter, AuditPage as Rows};
use askama::Template;
use axum::http::{HeaderValue, header};
use axum::response::Response;

/// Rows of a page.
const ROWS: u32 = 50;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    shell: Shell,
    base: String,
    actions: &'static [(&'static str, &'static str)],
    asked: Asked,
    errors: Vec<FieldError>,
    rows: Vec<Row>,
    /// Where the list goes on, and where it begins; empty where that is here.
    older: String,
    newest: String,
    verdict: Option<Verdict>,
    /// Why nothing is shown.
    problem: String,
}

/// The filters as they were typed.
#[derive(Default)]
struct Asked {
    action: String,
    actor: String,
    target: String,
    from: String,
    until: String,
    before: String,
}

/// What walking the chain found.
struct Verdict {
    is_whole: bool,
    rows: String,
    number: String,
    head: String,
    /// The first row that is wrong, and how.
    broken: String,
    reason: String,
}

impl Asked {
    fn read(query: &Form) -> Self {
        let word = |name| query.filled(name).unwrap_or_default().to_owned();
        Self {
            action: word("action"),
            actor: word("actor"),
            target: word("target"),
            from: word("from"),
            until: word("until"),
            before: word("before"),
        }
    }

    fn is_filtered(&self) -> bool {
        let Self { action, actor, target, from, until, before: _ } = self;
        [action, actor, target, from, until].into_iter().any(|field| !field.is_empty())
    }

    /// Whether the action is none that has a name here.
    fn is_other_action(&self) -> bool {
        !self.action.is_empty() && !ACTIONS.iter().any(|(known, _)| *known == self.action)
    }

    /// As the store takes it, and where the page begins.
    fn filter(&self) -> Result<(AuditFilter, Option<u64>), FieldErrors> {
        let mut errors = FieldErrors::default();
        let filled = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let filter = AuditFilter {
            action: filled(&self.action),
            actor: filled(&self.actor),
            target: filled(&self.target),
            since: instant("/from", &self.from, &mut errors),
            until: instant("/until", &self.until, &mut errors),
        };
        let before = self.before.parse().ok();
        errors.or(Some((filter, before)))
    }

    /// The same page from another row on.
    fn at(&self, path: &str, before: &str) -> String {
        let Self { action, actor, target, from, until, before: _ } = self;
        let pairs = [("action", action), ("actor", actor), ("target", target), ("from", from), ("until", until)];
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        with_query(path, &[pairs.as_slice(), &[("before", before)]].concat())
    }
}

/// What a field for date and time holds, in UTC: browsers leave out the seconds and the zone.
fn instant(pointer: &str, text: &str, errors: &mut FieldErrors) -> Option<Timestamp> {
    if text.is_empty() {
        return None;
    }
    let forms = [text.to_owned(), format!("{text}Z"), format!("{text}:00Z"), format!("{text}T00:00:00Z")];
    let found = forms.iter().find_map(|form| Timestamp::parse(form).ok());
    if found.is_none() {
        errors.add(pointer, "instant_invalid", "this is not a date and time such as `2026-11-24T17:30`");
    }
    found
}

impl Verdict {
    fn new(verdict: AuditVerdict) -> Self {
        let AuditVerdict { reached, problem } = verdict;
        Self {
            is_whole: problem.is_none(),
            rows: counted(reached.number, "row"),
            number: number(reached.number),
            head: reached.hash,
            broken: problem.map_or_else(String::new, |problem| number(problem.number)),
            reason: problem.map_or_else(String::new, |problem| sentence(problem.reason)),
        }
    }
}

impl AuditPage {
    fn errors_of(&self, pointer: &str) -> Vec<String> {
        of_field(&self.errors, pointer)
    }
}

/// The organization of the path, for those who may read its log.
async fn readable(visit: &Visit) -> Result<Identifier, Refusal> {
    let id = visit.place.organization()?;
    visit.asking.caller.require(Right::Manage, &id)?;
    visit.control().organization(&visit.asking, &id).await?;
    Ok(id)
}

pub(super) async fn show(visit: Visit) -> Result<Response, Refusal> {
    let id = readable(&visit).await?;
    let asked = Asked::read(&visit.query);
    let (filter, before) = match asked.filter() {
        Ok(filter) => filter,
        Err(errors) => {
            let told = errors.clone().into_vec();
            let template = empty(&visit, &id, asked, told, "").await;
            return page_with(&ControlProblem::Invalid(errors).into(), &template);
        }
    };
    match visit.control().audit_page(&visit.asking, &Some(id.clone()), &filter, before, ROWS).await {
        Ok(rows) => page(&filled(&visit, &id, asked, &rows).await),
        Err(problem @ ControlProblem::LogBusy { .. }) => busy(&visit, &id, asked, problem).await,
        Err(problem) => Err(problem.into()),
    }
}

/// Walks the chain and shows what it found above the newest rows.
pub(super) async fn check(visit: Visit) -> Result<Response, Refusal> {
    let id = readable(&visit).await?;
    let verdict = match visit.control().verify_audit(&visit.asking, Some(id.clone())).await {
        Ok(verdict) => verdict,
        Err(problem @ ControlProblem::LogBusy { .. }) => return busy(&visit, &id, Asked::default(), problem).await,
        Err(problem) => return Err(problem.into()),
    };
    let chain = Some(id.clone());
    let rows = visit.control().audit_page(&visit.asking, &chain, &AuditFilter::default(), None, ROWS).await?;
    let template = filled(&visit, &id, Asked::default(), &rows).await;
    page(&AuditPage { verdict: Some(Verdict::new(verdict)), ..template })
}

/// The whole log, oldest row first, one JSON object a line.
pub(super) async fn export(visit: Visit) -> Result<Response, Refusal> {
    let id = readable(&visit).await?;
    let rows = visit.control().audit_export(&visit.asking, Some(id.clone())).await;
    let mut response = match rows {
        Ok(rows) => lines(rows),
        Err(problem @ ControlProblem::LogBusy { .. }) => return busy(&visit, &id, Asked::default(), problem).await,
        Err(problem) => return Err(problem.into()),
    };
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"audit-{id}.jsonl\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

async fn busy(visit: &Visit, id: &Identifier, asked: Asked, problem: ControlProblem) -> Result<Response, Refusal> {
    let words = sentence(&problem.to_string());
    page_with(&problem.into(), &empty(visit, id, asked, vec![], &words).await)
}

async fn filled(visit: &Visit, id: &Identifier, asked: Asked, found: &Rows) -> AuditPage {
    let (base, now) = (format!("/o/{id}/audit"), visit.asking.act.at);
    let last = found.rows.last().filter(|_| found.more);
    AuditPage {
        older: last.map_or_else(String::new, |(number, _)| asked.at(&base, &number.to_string())),
        newest: if asked.before.is_empty() { String::new() } else { asked.at(&base, "") },
        rows: found.rows.iter().filter_map(|(_, text)| Row::read(text, id, now)).collect(),
        ..empty(visit, id, asked, vec![], "").await
    }
}

async fn empty(visit: &Visit, id: &Identifier, asked: Asked, errors: Vec<FieldError>, problem: &str) -> AuditPage {
    AuditPage {
        shell: visit.shell_of(id, Section::Audit, "Audit log").await,
        base: format!("/o/{id}/audit"),
        actions: &ACTIONS,
        asked,
        errors,
        rows: vec![],
        older: String::new(),
        newest: String::new(),
        verdict: None,
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_taken_as_browsers_write_them() {
        for text in ["2026-11-24T17:30", "2026-11-24T17:30:00", "2026-11-24T17:30:00Z"] {
            let mut errors = FieldErrors::default();
            let found = instant("/from", text, &mut errors);
            assert_eq!(found.map(|at| at.to_string()).as_deref(), Some("2026-11-24T17:30:00Z"), "{text}");
        }
        let mut errors = FieldErrors::default();
        assert_eq!(instant("/from", "yesterday", &mut errors), None);
        assert!(!errors.is_empty());
        assert!(instant("/from", "2026-11-24", &mut FieldErrors::default()).is_some());
    }
}
