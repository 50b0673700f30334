//! The routes of the audit log.

use super::Shared;
use super::answer::{Refusal, json};
use super::auth::Asked;
use super::places::Place;
use super::query::{AuditQuery, audit_query};
use crate::control::{AuditRows, AuditVerdict, Chain};
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use serde_json::{Value, json, value::RawValue};

/// `GET /v1/organizations/{org}/audit`
pub(super) async fn of_organization(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    log(&control, asked, Some(place.organization()?), query).await
}

/// `GET /v1/audit`
pub(super) async fn of_node(
    State(control): State<Shared>,
    asked: Asked,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    log(&control, asked, None, query).await
}

/// `GET /v1/organizations/{org}/audit/verify`
pub(super) async fn verify_organization(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
) -> Result<Response, Refusal> {
    let verdict = control.verify_audit(&asked.asking(), Some(place.organization()?)).await?;
    Ok(json(StatusCode::OK, &verdict_object(&verdict)))
}

/// `GET /v1/audit/verify`
pub(super) async fn verify_node(State(control): State<Shared>, asked: Asked) -> Result<Response, Refusal> {
    let verdict = control.verify_audit(&asked.asking(), None).await?;
    Ok(json(StatusCode::OK, &verdict_object(&verdict)))
}

async fn log(control: &Shared, asked: Asked, chain: Chain, query: Option<String>) -> Result<Response, Refusal> {
    let asking = asked.asking();
    match audit_query(query.as_deref().unwrap_or_default())? {
        AuditQuery::Whole => Ok(lines(control.audit_export(&asking, chain).await?)),
        AuditQuery::Page { filter, before, limit } => {
            let page = control.audit_page(&asking, &chain, &filter, before, limit).await?;
            let last = page.rows.last().map(|(number, _)| *number).filter(|_| page.more);
            // As they were written: whoever hashes them again must find the same text.
            let data: Result<Vec<Box<RawValue>>, _> =
                page.rows.into_iter().map(|(_, text)| RawValue::from_string(text)).collect();
            let data = data.map_err(|_| Refusal::fault())?;
            Ok(json(StatusCode::OK, &PageObject { data, next_cursor: last.map(super::query::write_audit_cursor) }))
        }
    }
}

/// A page of rows.
#[derive(serde::Serialize)]
struct PageObject {
    data: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

/// Every row, one JSON object a line, read and sent batch by batch.
fn lines(rows: AuditRows) -> Response {
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

fn verdict_object(verdict: &AuditVerdict) -> Value {
    json!({
        "ok": verdict.problem.is_none(),
        "rows": verdict.reached.number,
        "head": verdict.reached.hash,
        "problem": verdict.problem.map(|problem| json!({"number": problem.number, "reason": problem.reason})),
    })
}
