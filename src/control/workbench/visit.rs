//! Who is here: the session's cookie becomes an [`Asking`], and a form is taken from its own page alone.
//!
//! A form is believed where it carries the CSRF token of the session (or, before there is one, of a cookie made for
//! forms), and where the browser does not say that another site sent it. Whoever's session has ended is asked to sign
//! in, and keeps what they typed.

use super::answer::Known;
use super::form::{Form, with_query};
use super::{Bench, MAX_FORM, MAX_KEPT_FORM, MAX_KEY_FORM, entry};
use crate::control::api::{Arrival, Refusal};
use crate::control::keys::draw;
use crate::control::{Asking, Control, ControlProblem, Right, Unproven};
use crate::model::{
    self, Act, Actor, ClientId, EnvironmentId, Idempotency, Identifier, MemberId, SecretDigest, TokenKind, hex,
};
use axum::RequestExt;
use axum::body::HttpBody;
use axum::extract::{FromRequest, Path, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use zeroize::Zeroizing;

/// A form has this long to arrive.
const ARRIVAL: Duration = Duration::from_secs(30);
const FOREIGN: ControlProblem =
    ControlProblem::NotAllowed("this form was not sent from its own page, or the page is too old; load it again");

/// Somebody with a live session, where they are and what they sent.
pub(super) struct Visit {
    pub(super) bench: Bench,
    pub(super) asking: Asking,
    pub(super) place: Place,
    pub(super) query: Form,
    pub(super) form: Form,
    /// What every form of this session carries.
    pub(super) csrf: String,
    /// Whose session's token this is the digest of.
    pub(super) session: SecretDigest,
    /// Path and query.
    pub(super) target: String,
    /// Kept until a large form is done with.
    _room: Option<OwnedSemaphorePermit>,
}

/// Somebody who need not say who they are: for signing in.
pub(super) struct Stranger {
    pub(super) bench: Bench,
    pub(super) act: Act,
    pub(super) query: Form,
    pub(super) form: Form,
    /// The cookie that the next form is bound to.
    pub(super) cookie: FormCookie,
    /// A live session's token and who has it, where there is one.
    pub(super) session: Option<(Zeroizing<String>, Asking)>,
    /// Whether another site's page led here, and the browser keeps the session's cookie back for that.
    pub(super) from_elsewhere: bool,
}

/// The names in a path.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Place {
    org: String,
    env: String,
    client_id: String,
    member: String,
}

impl Place {
    /// The organization named. A name that cannot be one is a name of nothing.
    pub(super) fn organization(&self) -> Result<Identifier, Refusal> {
        Identifier::parse(&self.org).map_err(|_| Refusal::not_found())
    }

    /// The environment named.
    pub(super) fn environment(&self) -> Result<EnvironmentId, Refusal> {
        let environment = Identifier::parse(&self.env).map_err(|_| Refusal::not_found())?;
        Ok(EnvironmentId { organization: self.organization()?, environment })
    }

    /// The key named.
    pub(super) fn client_id(&self) -> Result<ClientId, Refusal> {
        ClientId::parse(&self.client_id).map_err(|_| Refusal::not_found())
    }

    /// The member named.
    pub(super) fn member_id(&self) -> Result<MemberId, Refusal> {
        MemberId::parse(&self.member).map_err(|_| Refusal::not_found())
    }
}

impl Visit {
    /// The control plane.
    pub(super) fn control(&self) -> &Control {
        &self.bench.control
    }

    /// Who asks, for something that a form does once: what is sent again under its `once` was done before.
    pub(super) fn asking_once(&self) -> Asking {
        let mut asking = self.asking.clone();
        let key = self.form.text("once").filter(|key| key.len() == 32 && key.bytes().all(|b| b.is_ascii_hexdigit()));
        asking.act.idempotency = key.map(|key| {
            let what = format!("{}\n{}", self.target, self.form.to_text());
            Idempotency { key: format!("form-{key}"), fingerprint: hex(&Sha256::digest(what)) }
        });
        asking
    }

    /// Whether the form is to be shown again, with what it holds, and nothing to be done.
    pub(super) fn only_shows(&self) -> bool {
        self.form.has("step")
    }
}

/// What a form that does something once carries.
pub(super) fn once() -> Result<String, Refusal> {
    Ok(hex(&draw::<16>()?))
}

impl FromRequest<Bench> for Visit {
    type Rejection = Response;

    async fn from_request(mut request: Request, bench: &Bench) -> Result<Self, Response> {
        let arrival = arrival(&request).map_err(stop)?;
        let place = place(&mut request).await;
        let target = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
        let query = Form::read(request.uri().query().unwrap_or_default().as_bytes());
        let partial = request.headers().contains_key("hx-request");
        let Some((token, mut asking)) = proven(bench, &arrival, request.headers()).await.map_err(stop)? else {
            return Err(signed_out(bench, request, &target, partial).await);
        };
        let known = request.extensions().get::<Known>().cloned().unwrap_or_default();
        let csrf = csrf_of(&token);
        known.set(&asking, &csrf);
        let (mut form, mut room) = (Form::default(), None);
        if *request.method() == Method::POST {
            is_own(request.headers()).map_err(stop)?;
            let limit = limit(&asking, &place, &target);
            (form, room) = read(bench, request, limit).await.map_err(stop)?;
            if !is_same(&csrf, form.text("csrf")) {
                return Err(Refusal::from(FOREIGN).into_response());
            }
            // A form takes as long as its sender likes: nobody keeps a right that they lost meanwhile.
            let headers = cookie_headers(&bench.control, &token);
            let Some((_, again)) = proven(bench, &arrival, &headers).await.map_err(stop)? else {
                return Err(entry::ended(bench, FormCookie::of(bench, &headers).map_err(stop)?, &target, &form));
            };
            asking = again;
        }
        let session = SecretDigest::of(token.as_bytes());
        Ok(Self { bench: Arc::clone(bench), asking, place, query, form, csrf, session, target, _room: room })
    }
}

impl FromRequest<Bench> for Stranger {
    type Rejection = Response;

    async fn from_request(request: Request, bench: &Bench) -> Result<Self, Response> {
        let arrival = arrival(&request).map_err(stop)?;
        let query = Form::read(request.uri().query().unwrap_or_default().as_bytes());
        let headers = request.headers().clone();
        let session = proven(bench, &arrival, &headers).await.map_err(stop)?;
        let from_elsewhere = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
        let cookie = FormCookie::of(bench, &headers).map_err(stop)?;
        let mut form = Form::default();
        if *request.method() == Method::POST {
            is_own(&headers).map_err(stop)?;
            let limit = if request.uri().path() == "/sign-in" { MAX_KEPT_FORM * 2 } else { MAX_FORM };
            (form, _) = read(bench, request, limit).await.map_err(stop)?;
            if cookie.is_new || !is_same(&cookie.csrf(), form.text("csrf")) {
                let problem = ControlProblem::NotAllowed(
                    "this form was not sent from its own page, or the browser keeps no cookies of this address; load it again",
                );
                return Err(Refusal::from(problem).into_response());
            }
        }
        let act = arrival.act(Actor::Anonymous, bench.control.now());
        Ok(Self { bench: Arc::clone(bench), act, query, form, cookie, session, from_elsewhere })
    }
}

fn stop(refusal: Refusal) -> Response {
    refusal.into_response()
}

fn arrival(request: &Request) -> Result<Arrival, Refusal> {
    request.extensions().get::<Arrival>().cloned().ok_or_else(|| Refusal::from(ControlProblem::Fault))
}

/// A path without names names nothing.
async fn place(request: &mut Request) -> Place {
    request.extract_parts::<Path<Place>>().await.map(|Path(place)| place).unwrap_or_default()
}

/// The session's token and who has it, where it counts.
async fn proven(
    bench: &Bench,
    arrival: &Arrival,
    headers: &HeaderMap,
) -> Result<Option<(Zeroizing<String>, Asking)>, Refusal> {
    let Some(token) = cookie(headers, session_cookie(&bench.control)) else { return Ok(None) };
    if TokenKind::of(&token) != Some(TokenKind::Session) {
        return Ok(None);
    }
    let now = bench.control.now();
    match bench.control.authenticate(&token, arrival.address, now, false).await {
        Ok(caller) => {
            let act = arrival.act(caller.actor(), now);
            Ok(Some((token, Asking { caller, act })))
        }
        Err(Unproven::Nobody | Unproven::Refused(_)) => Ok(None),
        Err(Unproven::Problem(problem)) => Err(problem.into()),
    }
}

/// Asks somebody without a session to sign in. What they typed comes along.
async fn signed_out(bench: &Bench, request: Request, target: &str, partial: bool) -> Response {
    let sign_in = with_query("/sign-in", &[("next", target)]);
    if partial {
        // Asked beside a form: the page stays as it is, and what is typed in it too.
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if *request.method() != Method::POST {
        return Redirect::to(&sign_in).into_response();
    }
    // Before anything of it is looked at: another site would fill in forms of ours.
    if let Err(refusal) = is_own(request.headers()) {
        return refusal.into_response();
    }
    let headers = request.headers().clone();
    // Only a browser that was signed in has something to keep.
    let was_signed_in = cookie(&headers, session_cookie(&bench.control)).is_some();
    let limit = if was_signed_in { MAX_KEPT_FORM } else { MAX_FORM };
    match (read(bench, request, limit).await, FormCookie::of(bench, &headers)) {
        (Ok((form, _room)), Ok(cookie)) => entry::ended(bench, cookie, target, &form),
        (Err(refusal), _) | (_, Err(refusal)) => refusal.into_response(),
    }
}

/// How long a form may be: long ones are about keys, of those who may change them.
fn limit(asking: &Asking, place: &Place, target: &str) -> usize {
    let about_keys = target.contains("/keys/") || target.ends_with("/allowlist");
    let may = |id: Identifier| asking.caller.require(Right::ChangeKeys, &id).is_ok();
    if about_keys && place.organization().is_ok_and(may) { MAX_KEY_FORM } else { MAX_FORM }
}

/// Room for a form that may be long; a few are taken in at once. Short ones need none.
fn make_room(bench: &Bench, request: &Request, limit: usize) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
    let announced = request.body().size_hint().upper();
    if limit <= MAX_FORM || announced.is_some_and(|length| length <= MAX_FORM as u64) {
        return Ok(None);
    }
    let room = Arc::clone(&bench.large_forms).try_acquire_owned();
    room.map(Some).map_err(|_| ControlProblem::Busy.into())
}

async fn read(bench: &Bench, request: Request, limit: usize) -> Result<(Form, Option<OwnedSemaphorePermit>), Refusal> {
    let given = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !given.starts_with("application/x-www-form-urlencoded") {
        return Err(Refusal::malformed("a form is sent as `application/x-www-form-urlencoded`"));
    }
    let room = make_room(bench, &request, limit)?;
    let reading = axum::body::to_bytes(request.into_body(), limit);
    let late = |_| Refusal::malformed("the form took too long to arrive");
    let bytes = tokio::time::timeout(ARRIVAL, reading).await.map_err(late)?;
    let unread = |_| Refusal::malformed(format!("a form has at most {limit} bytes here, and arrives whole"));
    bytes.map(|bytes| (Form::read(&bytes), room)).map_err(unread)
}

/// Refuses what the browser says another site sent. One that says nothing is bound by the token alone.
fn is_own(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let foreign_site = text("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    let host = text("host").unwrap_or_default();
    let foreign_origin = text("origin").is_some_and(|origin| {
        origin.split_once("://").is_none_or(|(_, authority)| !authority.eq_ignore_ascii_case(host))
    });
    if foreign_site || foreign_origin { Err(FOREIGN.into()) } else { Ok(()) }
}

/// The one cookie of that name.
fn cookie(headers: &HeaderMap, name: &str) -> Option<Zeroizing<String>> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut found = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('=').filter(|(known, _)| *known == name).map(|(_, value)| value));
    // Two of one name: somebody put one in from another path or host.
    found.next().filter(|_| found.next().is_none()).map(|value| Zeroizing::new(value.to_owned()))
}

const fn session_cookie(control: &Control) -> &'static str {
    model::session_cookie(control.secure)
}

/// The header that hands a session over: to this host alone, never to a script, never along from another site.
pub(super) fn opened(control: &Control, token: &str) -> Option<HeaderValue> {
    set_cookie(control, session_cookie(control), token, "")
}

/// The header that takes it away.
pub(super) fn closed(control: &Control) -> Option<HeaderValue> {
    set_cookie(control, session_cookie(control), "", "; Max-Age=0")
}

fn set_cookie(control: &Control, name: &str, value: &str, more: &str) -> Option<HeaderValue> {
    let secure = if control.secure { "; Secure" } else { "" };
    let text = Zeroizing::new(format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{more}"));
    let mut header = HeaderValue::from_str(&text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

fn cookie_headers(control: &Control, token: &str) -> HeaderMap {
    let pair = Zeroizing::new(format!("{}={token}", session_cookie(control)));
    HeaderValue::from_str(&pair).map(|value| HeaderMap::from_iter([(header::COOKIE, value)])).unwrap_or_default()
}

/// The CSRF token of a session: whoever reads it learns nothing of the session's own.
pub(super) fn csrf_of(secret: &str) -> String {
    hex(&Sha256::digest(format!("portcullis form\n{secret}")))
}

fn is_same(expected: &str, given: Option<&str>) -> bool {
    use subtle::ConstantTimeEq;
    given.is_some_and(|given| bool::from(given.as_bytes().ct_eq(expected.as_bytes())))
}

/// What binds forms to a browser before there is a session.
pub(super) struct FormCookie {
    value: Zeroizing<String>,
    is_new: bool,
}

impl FormCookie {
    const LENGTH: usize = 64;

    fn name(control: &Control) -> &'static str {
        model::form_cookie(control.secure)
    }

    fn of(bench: &Bench, headers: &HeaderMap) -> Result<Self, Refusal> {
        let sound =
            |value: &Zeroizing<String>| value.len() == Self::LENGTH && value.bytes().all(|b| b.is_ascii_hexdigit());
        match cookie(headers, Self::name(&bench.control)).filter(sound) {
            Some(value) => Ok(Self { value, is_new: false }),
            None => Self::new(),
        }
    }

    /// One that no browser has yet.
    fn new() -> Result<Self, Refusal> {
        let drawn = draw::<32>()?;
        Ok(Self { value: Zeroizing::new(hex(&drawn)), is_new: true })
    }

    /// What a form carries.
    pub(super) fn csrf(&self) -> String {
        csrf_of(&self.value)
    }

    /// Hands the cookie over with a page, where the browser does not have it yet.
    pub(super) fn put(&self, control: &Control, response: &mut Response) {
        if self.is_new
            && let Some(header) = set_cookie(control, Self::name(control), &self.value, "")
        {
            response.headers_mut().append(header::SET_COOKIE, header);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).fold(
            HeaderMap::new(),
            |mut map, (name, value): (header::HeaderName, _)| {
                map.append(name, value);
                map
            },
        )
    }

    #[test]
    fn one_cookie_of_a_name_counts_and_two_do_not() {
        let value = |pairs: &[_]| cookie(&headers(pairs), "a").map(|value| value.to_string());
        assert_eq!(value(&[("cookie", "b=1; a=2;c=3")]), Some("2".into()));
        assert_eq!(value(&[("cookie", "a=1"), ("cookie", "a=2")]), None);
        assert_eq!(value(&[("cookie", "a=1; a=2")]), None);
        assert_eq!(value(&[("cookie", "aa=1; ba=2; a")]), None);
    }

    #[test]
    fn what_another_site_sends_is_told() {
        for (pairs, own) in [
            (&[("host", "a:1")][..], true),
            (&[("host", "a:1"), ("origin", "http://a:1"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "a:1"), ("sec-fetch-site", "none")], true),
            (&[("host", "a:1"), ("origin", "http://a")], false),
            (&[("host", "a:1"), ("origin", "null")], false),
            (&[("host", "a:1"), ("sec-fetch-site", "same-site")], false),
            (&[("host", "a:1"), ("sec-fetch-site", "cross-site")], false),
        ] {
            assert_eq!(is_own(&headers(pairs)).is_ok(), own, "{pairs:?}");
        }
    }
}
