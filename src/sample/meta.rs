//! About the API itself: health, document, who is calling, and a stream to watch.

use super::{OPENAPI, Shared};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::response::sse::{Event, Sse};
use futures_util::{Stream, stream};
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use std::time::Duration;

/// Events of one stream; an abandoned one ends by itself.
const EVENTS: u32 = 60;

pub(super) async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

pub(super) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

/// The identity headers as they arrived; never a credential.
pub(super) async fn whoami(headers: HeaderMap) -> Json<Value> {
    let told = |name: &str| name.starts_with("portcullis-") || name == "x-request-id";
    let shown = headers.iter().filter(|(name, _)| told(name.as_str()));
    let shown: Map<String, Value> =
        shown.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into())).collect();
    let note = if shown.contains_key("portcullis-client-id") {
        "the gateway checked the caller and told the API who it is; the token itself stayed at the gateway"
    } else {
        "no gateway told the API who is calling"
    };
    Json(json!({"note": note, "headers": shown}))
}

/// One event at once, then one a second.
pub(super) async fn events(State(bank): State<Shared>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let ticks = tokio::time::interval(Duration::from_secs(1));
    Sse::new(stream::unfold((ticks, 1), move |(mut ticks, number)| {
        let bank = bank.clone();
        async move {
            if number > EVENTS {
                return None;
            }
            ticks.tick().await;
            let state = {
                let bank = bank.lock();
                json!({"number": number, "cards": bank.cards().len(), "payments": bank.payments().len()})
            };
            Some((Ok(Event::default().event("bank").data(state.to_string())), (ticks, number + 1)))
        }
    }))
}
