//! The route that explains what would become of a request.

use super::answer::{Refusal, json};
use super::auth::Asked;
use super::bodies::Explain;
use super::body::Body;
use super::document::tag;
use super::places::Place;
use super::{ENVIRONMENT, Shared};
use crate::control::{Check, ExplainedStep, ExplainedVerdict, Explanation};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Explain a request
///
/// Which check would decide on a request of this key, from this address, right now: the same checks in the same order,
/// over the same live tables, as for a request that really comes. A token that the key could get now is taken for
/// granted. Nothing is sent to the API.
#[utoipa::path(post, context_path = ENVIRONMENT, path = "/explain", operation_id = "explain_request", tag = tag::KEYS,
    request_body = Explain,
    responses((status = 200, description = "What would become of the request", body = ExplanationObject)))]
pub(super) async fn explain(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    body: Body,
) -> Result<Response, Refusal> {
    let environment = place.environment()?;
    let (draft, found) = body.explain_draft()?;
    let explanation = control.explain(&asked.asking(), &environment, draft, found).await?;
    Ok(json(StatusCode::OK, &ExplanationObject::new(explanation)))
}

/// What would become of a request.
#[derive(Serialize, ToSchema)]
#[schema(as = Explanation)]
struct ExplanationObject {
    verdict: VerdictName,
    /// With `refuse`: the code that the caller would get, in `Portcullis-Error`.
    #[schema(example = "permission_missing")]
    code: Option<&'static str>,
    /// With `refuse`: the status that the caller would get.
    #[schema(minimum = 400, maximum = 599, example = 403)]
    status: Option<u16>,
    /// With `forward`: the operation that the API would be told of, in `Portcullis-Operation`.
    #[schema(value_type = Option<String>, example = "listCards")]
    operation: Option<Arc<str>>,
    /// One line for people.
    detail: String,
    /// Every check, in its order. The last one that was looked at decided.
    steps: Vec<StepObject>,
}

/// `forward`: the API gets the request. `refuse`: it does not. `answer`: Portcullis answers this path itself.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Verdict)]
enum VerdictName {
    Answer,
    Forward,
    Refuse,
}

/// One check and what came of it.
#[derive(Serialize, ToSchema)]
#[schema(as = ExplainedStep)]
struct StepObject {
    check: CheckName,
    result: ResultName,
    /// For people.
    detail: String,
}

/// The checks, in their order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Check)]
enum CheckName {
    Environment,
    Path,
    Reserved,
    Public,
    Token,
    Key,
    Address,
    Permission,
}

/// What came of a check; `skipped`: it was not looked at.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CheckResult)]
enum ResultName {
    Pass,
    Fail,
    Skipped,
}

impl ExplanationObject {
    fn new(Explanation { verdict, steps }: Explanation) -> Self {
        let steps = steps.into_iter().map(StepObject::new).collect();
        let nothing = |verdict, detail| Self { verdict, code: None, status: None, operation: None, detail, steps };
        match verdict {
            ExplainedVerdict::Answer => nothing(VerdictName::Answer, "Portcullis answers this path itself".to_owned()),
            ExplainedVerdict::Forward(operation) => {
                let detail = format!("the API gets the request, as `{operation}`");
                Self { operation: Some(operation), ..nothing(VerdictName::Forward, detail) }
            }
            ExplainedVerdict::Refuse(denial) => {
                let (code, status) = (Some(denial.code()), Some(denial.status()));
                Self { code, status, ..nothing(VerdictName::Refuse, denial.detail().into_owned()) }
            }
        }
    }
}

impl StepObject {
    fn new(ExplainedStep { check, passed, detail }: ExplainedStep) -> Self {
        let result = match passed {
            Some(true) => ResultName::Pass,
            Some(false) => ResultName::Fail,
            None => ResultName::Skipped,
        };
        let check = match check {
            Check::Address => CheckName::Address,
            Check::Environment => CheckName::Environment,
            Check::Key => CheckName::Key,
            Check::Path => CheckName::Path,
            Check::Permission => CheckName::Permission,
            Check::Public => CheckName::Public,
            Check::Reserved => CheckName::Reserved,
            Check::Token => CheckName::Token,
        };
        Self { check, result, detail }
    }
}
