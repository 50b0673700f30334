//! "Why was I refused?": by the id of a request that was made, or by a request that somebody thinks of.

use super::answer::{page, page_with};
use super::shell::{Section, Shell};
use super::visit::Visit;
use super::words::{Moment, at_second, code_words, sentence};
use crate::control::api::Refusal;
use crate::control::{Check, ControlProblem, ExplainDraft, ExplainedStep, ExplainedVerdict, Explanation, FieldErrors};
use crate::model::{ClientId, EnvironmentId};
use crate::telemetry::{Decision, Outcome};
use askama::Template;
use axum::response::Response;

#[derive(Template)]
#[template(path = "why.html")]
struct WhyPage {
    shell: Shell,
    base: String,
    may_change: bool,
    request_id: String,
    /// A request id was asked for that is not remembered.
    unknown: bool,
    found: Option<FoundRow>,
    /// A code whose latest refusals are asked for, and what it means; empty where none is.
    code: String,
    code_words: &'static str,
    refused: Vec<FoundRow>,
    trace: Option<Trace>,
    errors: Vec<String>,
    client_id: String,
    method: String,
    methods: Vec<(String, bool)>,
    path: String,
    address: String,
}

/// What became of a request.
pub(super) struct FoundRow {
    pub(super) request_id: String,
    pub(super) at: Moment,
    pub(super) at_second: String,
    /// Style and word.
    pub(super) outcome: (&'static str, &'static str),
    pub(super) request: String,
    pub(super) method: String,
    /// Below the base URL.
    pub(super) path: String,
    pub(super) address: String,
    pub(super) client_id: String,
    pub(super) key_name: String,
    pub(super) status: String,
    pub(super) code: String,
    pub(super) headline: String,
    pub(super) detail: String,
    pub(super) operation: String,
}

/// The checks over a request, and what decided.
struct Trace {
    headline: String,
    outcome: (&'static str, &'static str),
    request: String,
    key_url: String,
    key_name: String,
    answer: String,
    steps: Vec<StepRow>,
}

struct StepRow {
    /// `passed`, `failed` or `skipped`.
    kind: &'static str,
    name: &'static str,
    state: &'static str,
    detail: String,
}

/// The most refusals of one code on the page.
const MOST_REFUSED: usize = 100;
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

pub(super) async fn show(visit: Visit) -> Result<Response, Refusal> {
    let id = visit.environment()?;
    let mut template = form_page(&visit, &id).await;
    if let Some(request_id) = visit.query.filled("request_id") {
        template.request_id = request_id.chars().take(100).collect();
        match visit.control().find_decision(&visit.asking, &id, request_id)? {
            Some(decision) => template.take(found(&visit, &id, &decision).await),
            None => template.unknown = true,
        }
        return page(&template);
    }
    if let Some(code) = visit.query.filled("code") {
        let refused = visit.control().refused_lately(&visit.asking, &id, code, MOST_REFUSED)?;
        template.code = code.chars().take(100).collect();
        template.code_words = code_words(code);
        template.refused = refused.iter().map(|decision| row(&visit, &id, decision)).collect();
        return page(&template);
    }
    if visit.query.filled("path").is_none() {
        return page(&template);
    }
    let text = |name: &str| visit.query.filled(name).map(str::to_owned);
    let draft = ExplainDraft {
        client_id: text("client_id"),
        method: text("method"),
        path: text("path"),
        address: text("address"),
    };
    match visit.control().explain(&visit.asking, &id, draft, FieldErrors::default()).await {
        Ok(explanation) => {
            template.trace = Some(trace(&visit, &id, &template, explanation).await);
            page(&template)
        }
        Err(ControlProblem::Invalid(errors)) => {
            let all = errors.clone().into_vec();
            template.errors =
                all.iter().map(|error| format!("{}: {}", label(&error.pointer), sentence(&error.message))).collect();
            page_with(&ControlProblem::Invalid(errors).into(), &template)
        }
        Err(problem) => Err(problem.into()),
    }
}

fn label(pointer: &str) -> &'static str {
    match pointer {
        "/address" => "Address",
        "/client_id" => "Client ID",
        "/method" => "Method",
        "/path" => "Path",
        _ => "Request",
    }
}

async fn form_page(visit: &Visit, id: &EnvironmentId) -> WhyPage {
    let shell = visit.shell_in(id, Section::Keys, "Why was I refused?").await;
    let text = |name: &str| visit.query.filled(name).unwrap_or_default().to_owned();
    let method = visit.query.filled("method").unwrap_or("GET").to_owned();
    let mut methods: Vec<(String, bool)> =
        METHODS.iter().map(|known| ((*known).to_owned(), *known == method)).collect();
    if !METHODS.contains(&method.as_str()) {
        methods.push((method.clone(), true));
    }
    WhyPage {
        base: super::base_of(id),
        may_change: shell.here.as_ref().is_some_and(|here| here.changes_keys),
        request_id: String::new(),
        unknown: false,
        found: None,
        code: String::new(),
        code_words: "",
        refused: vec![],
        trace: None,
        errors: vec![],
        client_id: text("client_id"),
        methods,
        method,
        path: text("path"),
        address: visit.query.filled("address").map_or_else(
            || visit.asking.act.address.map_or_else(String::new, |address| address.to_string()),
            str::to_owned,
        ),
        shell,
    }
}

impl WhyPage {
    /// What was found fills in the other form: how would it go now?
    fn take(&mut self, found: FoundRow) {
        found.client_id.clone_into(&mut self.client_id);
        found.path.clone_into(&mut self.path);
        found.address.clone_into(&mut self.address);
        self.methods = METHODS.iter().map(|known| ((*known).to_owned(), *known == found.method)).collect();
        if !METHODS.contains(&found.method.as_str()) {
            self.methods.push((found.method.clone(), true));
        }
        self.found = Some(found);
    }
}

async fn found(visit: &Visit, id: &EnvironmentId, decision: &Decision) -> FoundRow {
    let mut row = row(visit, id, decision);
    if let Some(client_id) = &decision.client_id {
        row.key_name = name_of(visit, id, client_id).await;
    }
    row
}

async fn name_of(visit: &Visit, id: &EnvironmentId, client_id: &ClientId) -> String {
    let key = visit.control().show_key(&visit.asking, id, client_id).await;
    key.map_or_else(|_| client_id.as_str().to_owned(), |key| key.name.as_str().to_owned())
}

/// A decision for people.
pub(super) fn row(visit: &Visit, id: &EnvironmentId, decision: &Decision) -> FoundRow {
    let snapshot = visit.control().tables.load();
    let base_path =
        snapshot.environment(id).map_or_else(String::new, |environment| environment.base_url.path().to_owned());
    let path = decision.path.strip_prefix(&base_path).unwrap_or(&decision.path).to_owned();
    let path = if path.is_empty() { "/".to_owned() } else { path };
    let outcome = match decision.outcome {
        Outcome::Answered if decision.code.is_none() => ("allowed", "Answered here"),
        Outcome::Answered | Outcome::Denied => ("refused", "Refused"),
        Outcome::Cut => ("refused", "Cut"),
        Outcome::Failed => ("refused", "Failed"),
        Outcome::Forwarded => ("allowed", "Allowed"),
    };
    let code = decision.code.unwrap_or_default();
    let reason = if code.is_empty() { String::new() } else { format!(": {}", lower_first(code_words(code))) };
    FoundRow {
        request_id: decision.request_id.clone(),
        at: Moment::new(decision.at, visit.asking.act.at),
        at_second: at_second(decision.at),
        outcome,
        request: format!("{} {path}", decision.method),
        method: decision.method.clone(),
        path,
        address: decision.address.map_or_else(String::new, |address| address.to_string()),
        client_id: decision.client_id.as_ref().map_or_else(String::new, |id| id.as_str().to_owned()),
        key_name: String::new(),
        status: if decision.status == 0 { "none".to_owned() } else { decision.status.to_string() },
        code: code.to_owned(),
        headline: format!("{}{reason}", outcome.1),
        detail: decision.detail.as_deref().map(sentence).unwrap_or_default(),
        operation: decision.operation.as_deref().unwrap_or_default().to_owned(),
    }
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_lowercase).collect();
    if text.starts_with("API") { text.to_owned() } else { first + letters.as_str() }
}

async fn trace(visit: &Visit, id: &EnvironmentId, asked: &WhyPage, explanation: Explanation) -> Trace {
    let Explanation { verdict, steps } = explanation;
    let (headline, outcome, answer) = match &verdict {
        ExplainedVerdict::Answer => {
            ("Portcullis answers this path itself".to_owned(), ("allowed", "Answered here"), String::new())
        }
        ExplainedVerdict::Forward(operation) => {
            (format!("Allowed, as {operation}"), ("allowed", "Allowed"), "forwarded to the API".to_owned())
        }
        ExplainedVerdict::Refuse(denial) => (
            format!("Refused: {}", lower_first(code_words(denial.code()))),
            ("refused", "Refused"),
            format!("answered with {} {}", denial.status(), denial.code()),
        ),
    };
    let key_name = match ClientId::parse(&asked.client_id) {
        Ok(client_id) => name_of(visit, id, &client_id).await,
        Err(_) => asked.client_id.clone(),
    };
    Trace {
        headline,
        outcome,
        request: format!("{} {} from {}", asked.method, asked.path, asked.address),
        key_url: format!("{}/keys/{}", asked.base, asked.client_id),
        key_name,
        answer,
        steps: steps.into_iter().map(step).collect(),
    }
}

fn step(ExplainedStep { check, passed, detail }: ExplainedStep) -> StepRow {
    let (kind, state) = match passed {
        Some(true) => ("passed", "Passed"),
        Some(false) => ("failed", "Decided"),
        None => ("skipped", "Not looked at"),
    };
    let name = match check {
        Check::Address => "Address",
        Check::Environment => "Environment",
        Check::Key => "Key",
        Check::Path => "Path",
        Check::Permission => "Permission",
        Check::Public => "Public",
        Check::Reserved => "Reserved",
        Check::Token => "Token",
    };
    StepRow { kind, name, state, detail: sentence(&detail) }
}
