//! `/payments`.

use super::Shared;
use super::bank::Payment;
use super::problem::{Body, Problem};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPayment {
    account_id: String,
    to: String,
    amount: u64,
}

pub(super) async fn list(State(bank): State<Shared>) -> Json<Value> {
    Json(json!({"data": bank.lock().payments()}))
}

pub(super) async fn create(
    State(bank): State<Shared>,
    Body(new): Body<NewPayment>,
) -> Result<(StatusCode, Json<Payment>), Problem> {
    let payment = bank.lock().pay(&new.account_id, &new.to, new.amount)?;
    Ok((StatusCode::CREATED, Json(payment)))
}
