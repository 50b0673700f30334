//! Answers: pages with their headers, and refusals as pages that say what happened and what can be done about it.

use super::Bench;
use super::shell::Shell;
use super::visit::Visit;
use super::words::sentence;
use crate::control::api::answer::{REQUEST_ID, RequestId};
use crate::control::api::{Arrival, Refusal};
use crate::control::keys::draw;
use crate::control::{Asking, ControlProblem};
use crate::model::{Identifier, hex};
use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use parking_lot::Mutex;
use std::sync::Arc;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Who asked, once that is known: for the page of a refusal, and for the log.
#[derive(Clone, Default)]
pub(super) struct Known(Arc<Mutex<Option<(Asking, String)>>>);

impl Known {
    pub(super) fn set(&self, asking: &Asking, csrf: &str) {
        *self.0.lock() = Some((asking.clone(), csrf.to_owned()));
    }

    fn take(&self) -> Option<(Asking, String)> {
        self.0.lock().take()
    }
}

/// A refusal that the page tells by itself, beside the field it is about.
#[derive(Clone)]
struct Told(Refusal);

/// A page.
pub(super) fn page(template: &impl Template) -> Result<Response, Refusal> {
    page_of(StatusCode::OK, template)
}

/// A page with this status.
pub(super) fn page_of(status: StatusCode, template: &impl Template) -> Result<Response, Refusal> {
    match template.render() {
        Ok(text) => Ok((status, Html(text)).into_response()),
        Err(error) => {
            tracing::error!("control: a page cannot be written: {error}");
            Err(ControlProblem::Fault.into())
        }
    }
}

/// A page that tells why nothing was done, with the status of the refusal.
pub(super) fn page_with(refusal: &Refusal, template: &impl Template) -> Result<Response, Refusal> {
    let mut response = page_of(refusal.status(), template)?;
    response.extensions_mut().insert(Told(refusal.clone()));
    Ok(response)
}

/// A page that is to be counted as a refusal of that kind, whatever its status.
pub(super) fn counted(refusal: Refusal, mut response: Response) -> Response {
    response.extensions_mut().insert(Told(refusal));
    response
}

/// Sends the browser on, to be asked for with GET (RFC 9110 section 15.4.4).
pub(super) fn see(path: &str) -> Response {
    axum::response::Redirect::to(path).into_response()
}

/// Whoever is signed in keeps the menu.
pub(super) async fn not_found(_: Result<Visit, Response>) -> Refusal {
    Refusal::not_found()
}

pub(super) async fn method_not_allowed() -> Refusal {
    Refusal::method_not_allowed()
}

/// Why something was not done.
#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    shell: Shell,
    status: u16,
    heading: &'a str,
    detail: String,
    request_id: &'a str,
    may_retry: bool,
}

/// What every answer has: an id to ask about, a policy that lets nothing in from elsewhere, no place in any cache; and
/// refusals as pages, counted for the audit log.
pub(super) async fn finish(State(bench): State<Bench>, mut request: Request, next: Next) -> Response {
    let Ok(drawn) = draw::<16>() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let request_id = hex(&drawn);
    let known = Known::default();
    request.extensions_mut().insert(RequestId(request_id.clone()));
    let arrival = match Arrival::of(&bench.control, &request) {
        Ok(arrival) => arrival,
        Err(refusal) => return with_headers(refused(&bench, &refusal, None, &request_id).await, &request_id),
    };
    request.extensions_mut().insert(arrival.clone());
    request.extensions_mut().insert(known.clone());
    let target = arrival.organization().cloned();
    let mut response = next.run(request).await;
    let known = known.take();
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        let caller = known.as_ref().map(|(asking, _)| &asking.caller);
        arrival.note(&bench.control, caller, &refusal);
        let seen = known.as_ref().map(|(asking, csrf)| (asking, csrf.as_str(), target));
        response = refused(&bench, &refusal, seen, &request_id).await;
    } else if let Some(Told(refusal)) = response.extensions_mut().remove::<Told>() {
        arrival.note(&bench.control, known.as_ref().map(|(asking, _)| &asking.caller), &refusal);
        retry_after(&refusal, &mut response);
    }
    with_headers(response, &request_id)
}

type Seen<'a> = (&'a Asking, &'a str, Option<Identifier>);

async fn refused(bench: &Bench, refusal: &Refusal, seen: Option<Seen<'_>>, request_id: &str) -> Response {
    let shell = match seen {
        Some((asking, csrf, organization)) => {
            let sees = |organization: &Identifier| asking.caller.sees(organization);
            let place = organization.filter(sees).map(|organization| (organization, None));
            Shell::around(bench, asking, csrf, place).await
        }
        None => Shell::bare(bench),
    };
    let status = refusal.status();
    let page = ErrorPage {
        shell: shell.titled(refusal.title()),
        status: status.as_u16(),
        heading: refusal.title(),
        detail: sentence(refusal.detail()),
        request_id,
        may_retry: status.is_server_error(),
    };
    let mut response = page_of(status, &page).unwrap_or_else(|_| status.into_response());
    retry_after(refusal, &mut response);
    response
}

fn retry_after(refusal: &Refusal, response: &mut Response) {
    if let Some(seconds) = refusal.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

fn with_headers(mut response: Response, request_id: &str) -> Response {
    let fixed: [(HeaderName, &'static str); 8] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: browsers then send forms with the origin `null`.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=()"),
    ];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, value);
    }
    response
}
