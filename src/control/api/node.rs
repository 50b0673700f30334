//! The routes of the node itself, for operators.

use super::Shared;
use super::answer::{Refusal, json, list};
use super::auth::Asked;
use super::body::Body;
use crate::control::{NodeProblem, SigningKeyFacts};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

/// `POST /v1/reload`
pub(super) async fn reload(State(control): State<Shared>, asked: Asked, body: Body) -> Result<Response, Refusal> {
    body.nothing()?;
    match control.reload(&asked.asking()).await {
        Ok(()) => Ok(json(StatusCode::OK, &json!({"reloaded": true}))),
        Err(problem) => Err(refusal(problem)),
    }
}

/// `POST /v1/drain`
pub(super) async fn drain(State(control): State<Shared>, asked: Asked, body: Body) -> Result<Response, Refusal> {
    body.nothing()?;
    control.drain(&asked.asking())?;
    Ok(json(StatusCode::ACCEPTED, &json!({"draining": true})))
}

/// `GET /v1/signing-keys`
pub(super) async fn signing_keys(State(control): State<Shared>, asked: Asked) -> Result<Response, Refusal> {
    let keys = control.signing_keys(&asked.asking()).await?;
    Ok(list(keys.iter().map(signing_key_object)))
}

/// `POST /v1/signing-keys/rotate`
pub(super) async fn rotate_signing_key(
    State(control): State<Shared>,
    asked: Asked,
    body: Body,
) -> Result<Response, Refusal> {
    let immediately = body.immediately()?;
    let keys = control.rotate_signing_key(&asked.asking(), immediately).await.map_err(refusal)?;
    Ok(list(keys.iter().map(signing_key_object)))
}

fn refusal(problem: NodeProblem) -> Refusal {
    match problem {
        NodeProblem::Control(problem) => problem.into(),
        NodeProblem::Files(problems) => Refusal::files(&problems),
    }
}

fn signing_key_object(key: &SigningKeyFacts) -> Value {
    json!({
        "id": key.id,
        "algorithm": key.algorithm,
        "created_at": key.created_at,
        "signs_from": key.signs_from,
        "ends_at": key.ends_at,
    })
}
