//! `/accounts`.

use super::Shared;
use super::bank::Account;
use super::problem::Problem;
use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

pub(super) async fn list(State(bank): State<Shared>) -> Json<Value> {
    Json(json!({"data": bank.lock().accounts()}))
}

pub(super) async fn show(State(bank): State<Shared>, Path(id): Path<String>) -> Result<Json<Account>, Problem> {
    bank.lock().account(&id).cloned().map(Json)
}
