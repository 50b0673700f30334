//! The routes of the audit log.

use super::answer::{Page, Refusal, json, page};
use super::auth::Asked;
use super::document::{refusals, tag};
use super::places::Place;
use super::query::{AuditParameters, AuditQuery, audit_query};
use super::schema::{Address, Hash};
use super::{ORGANIZATION, Shared};
use crate::control::{AuditRows, AuditVerdict, Chain};
use crate::model::{ChainBreak, Identifier, Timestamp};
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

type AuditRowPage = Page<AuditRow>;

refusals! {
    /// What reading an organization's log can be refused for.
    Reading: RateLimited
}

refusals! {
    /// The same of the node's log, which is for operators.
    Operators: NotAllowed, RateLimited
}

/// Read the audit log
///
/// Who did what in the organization, newest first; refused attempts are counted by the minute. Each row holds the hash
/// of the one before it. One caller at a time searches a log or takes all of it. For admins and owners.
#[utoipa::path(get, context_path = ORGANIZATION, path = "/audit", operation_id = "read_audit", tag = tag::AUDIT,
    params(AuditParameters),
    responses((status = 200, description = "One page of rows, or with `format=jsonl` all of them", content(
        (AuditRowPage = "application/json"), (String = "application/jsonl"))), Reading))]
pub(super) async fn of_organization(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    log(&control, asked, Some(place.organization()?), query).await
}

/// Read the node's audit log
///
/// What concerns no organization, newest first. For operators.
#[utoipa::path(get, path = "/v1/audit", operation_id = "read_node_audit", tag = tag::AUDIT, params(AuditParameters),
    responses((status = 200, description = "One page of rows, or with `format=jsonl` all of them", content(
        (AuditRowPage = "application/json"), (String = "application/jsonl"))), Operators))]
pub(super) async fn of_node(
    State(control): State<Shared>,
    asked: Asked,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    log(&control, asked, None, query).await
}

/// Verify the audit log
///
/// Walks the organization's chain from its first row to its last. For admins and owners.
#[utoipa::path(get, context_path = ORGANIZATION, path = "/audit/verify", operation_id = "verify_audit",
    tag = tag::AUDIT, responses((status = 200, description = "What the walk found", body = VerdictObject), Reading))]
pub(super) async fn verify_organization(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
) -> Result<Response, Refusal> {
    let verdict = control.verify_audit(&asked.asking(), Some(place.organization()?)).await?;
    Ok(json(StatusCode::OK, &VerdictObject::new(verdict)))
}

/// Verify the node's audit log
///
/// Walks the node's own chain from its first row to its last. For operators.
#[utoipa::path(get, path = "/v1/audit/verify", operation_id = "verify_node_audit", tag = tag::AUDIT,
    responses((status = 200, description = "What the walk found", body = VerdictObject), Operators))]
pub(super) async fn verify_node(State(control): State<Shared>, asked: Asked) -> Result<Response, Refusal> {
    let verdict = control.verify_audit(&asked.asking(), None).await?;
    Ok(json(StatusCode::OK, &VerdictObject::new(verdict)))
}

async fn log(control: &Shared, asked: Asked, chain: Chain, query: Option<String>) -> Result<Response, Refusal> {
    let asking = asked.asking();
    match audit_query(query.as_deref().unwrap_or_default())? {
        AuditQuery::Whole => Ok(lines(control.audit_export(&asking, chain).await?)),
        AuditQuery::Page { filter, before, limit } => {
            let found = control.audit_page(&asking, &chain, &filter, before, limit).await?;
            let last = found.rows.last().map(|(number, _)| *number).filter(|_| found.more);
            // As they were written: whoever hashes them again must find the same text.
            let data: Result<Vec<Box<RawValue>>, _> =
                found.rows.into_iter().map(|(_, text)| RawValue::from_string(text)).collect();
            let data = data.map_err(|_| Refusal::fault())?;
            Ok(page(data.into_iter(), last.map(super::query::write_audit_cursor)))
        }
    }
}

/// Every row, one JSON object a line, read and sent batch by batch.
pub(in crate::control) fn lines(rows: AuditRows) -> Response {
    let batches = try_unfold(rows, |mut rows| async move {
        let batch = rows.next().await?;
        if batch.is_empty() {
            return Ok::<_, crate::control::ControlProblem>(None);
        }
        let mut text = batch.join("\n");
        text.push('\n');
        Ok(Some((Bytes::from(text), rows)))
    });
    ([(header::CONTENT_TYPE, "application/jsonl")], Body::from_stream(batches)).into_response()
}

/// What walking a chain found.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditVerdict)]
struct VerdictObject {
    /// Whether every row is as it was written, and none is missing.
    ok: bool,
    /// The number of the last sound row: how many there are, where nothing is wrong.
    rows: u64,
    /// The hash of that row. Whoever keeps it can tell later that the rows up to it are still the same.
    #[schema(value_type = Hash)]
    head: String,
    /// The first row that is wrong; null where none is.
    problem: Option<ProblemObject>,
}

/// The first row of a chain that is wrong.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditProblem)]
struct ProblemObject {
    /// Its number.
    #[schema(minimum = 1)]
    number: u64,
    /// What is wrong with it.
    #[schema(example = "the row was changed after it was written")]
    reason: &'static str,
}

impl VerdictObject {
    fn new(verdict: AuditVerdict) -> Self {
        let AuditVerdict { reached, problem } = verdict;
        let problem = problem.map(|ChainBreak { number, reason }| ProblemObject { number, reason });
        Self { ok: problem.is_none(), rows: reached.number, head: reached.hash, problem }
    }
}

/// A row of the audit log. Its `hash` is the SHA-256 of the row without that member, as JSON with members sorted by name
/// and no space.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes: rows are told as they were written")]
struct AuditRow {
    /// Its number in its chain, from 1.
    #[schema(minimum = 1)]
    number: u64,
    at: Timestamp,
    organization: Option<Identifier>,
    environment: Option<Identifier>,
    actor: AuditActor,
    /// What was done; `refused` tells attempts.
    #[schema(example = "key.create")]
    action: String,
    target: Option<AuditTarget>,
    /// Where the request came from.
    address: Option<Address>,
    /// The `X-Request-Id` of the request; empty where there was none.
    request_id: String,
    /// The object before.
    #[schema(value_type = Option<Object>)]
    before: Option<()>,
    /// The object after.
    #[schema(value_type = Option<Object>)]
    after: Option<()>,
    /// The refusal's code, where it was refused.
    code: Option<String>,
    /// How often within the minute; 1 for a change.
    #[schema(minimum = 1)]
    count: u64,
    /// The hash of the row before.
    previous: Hash,
    hash: Hash,
}

/// Who did it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes")]
struct AuditActor {
    /// `operator`, `member`, `key`, `file`, `node` or `anonymous`.
    #[serde(rename = "type")]
    #[schema(example = "member")]
    kind: String,
    id: Option<String>,
    /// For people.
    name: String,
}

/// What it was about.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes")]
struct AuditTarget {
    /// The kind of object.
    #[serde(rename = "type")]
    #[schema(example = "key")]
    kind: String,
    id: String,
    /// For people; empty where it has none.
    name: String,
}
