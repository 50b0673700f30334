//! `/cards`.

use super::Shared;
use super::bank::{self, Card, CardStatus};
use super::problem::{Body, Problem};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCard {
    account_id: String,
    holder: String,
    #[serde(default = "usual_limit")]
    spending_limit: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CardChange {
    holder: Option<String>,
    spending_limit: Option<u64>,
}

/// Cents a month.
const fn usual_limit() -> u64 {
    50_000
}

pub(super) async fn list(State(bank): State<Shared>) -> Json<Value> {
    Json(json!({"data": bank.lock().cards()}))
}

pub(super) async fn create(
    State(bank): State<Shared>,
    Body(new): Body<NewCard>,
) -> Result<(StatusCode, Json<Card>), Problem> {
    let card = bank.lock().add_card(&new.account_id, &new.holder, new.spending_limit)?;
    Ok((StatusCode::CREATED, Json(card)))
}

pub(super) async fn show(State(bank): State<Shared>, Path(id): Path<String>) -> Result<Json<Card>, Problem> {
    bank.lock().card(&id).cloned().map(Json)
}

pub(super) async fn update(
    State(bank): State<Shared>,
    Path(id): Path<String>,
    Body(change): Body<CardChange>,
) -> Result<Json<Card>, Problem> {
    let holder = change.holder.map(|holder| bank::name("holder", &holder)).transpose()?;
    let mut bank = bank.lock();
    let card = bank.card_mut(&id)?;
    if let Some(holder) = holder {
        card.holder = holder;
    }
    if let Some(limit) = change.spending_limit {
        card.spending_limit = limit;
    }
    Ok(Json(card.clone()))
}

pub(super) async fn delete(State(bank): State<Shared>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    bank.lock().remove_card(&id).map(|()| StatusCode::NO_CONTENT)
}

pub(super) async fn freeze(State(bank): State<Shared>, Path(id): Path<String>) -> Result<Json<Card>, Problem> {
    set_status(&bank, &id, CardStatus::Frozen)
}

pub(super) async fn unfreeze(State(bank): State<Shared>, Path(id): Path<String>) -> Result<Json<Card>, Problem> {
    set_status(&bank, &id, CardStatus::Active)
}

fn set_status(bank: &Shared, id: &str, status: CardStatus) -> Result<Json<Card>, Problem> {
    let mut bank = bank.lock();
    let card = bank.card_mut(id)?;
    card.status = status;
    Ok(Json(card.clone()))
}
