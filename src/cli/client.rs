//! The control API as the commands see it: JSON in, JSON out, refusals as [`Failure`]s with their exit code.

use super::failure::{Exit, Failure};
use super::options::{Access, ClientOptions, OrganizationOptions, Origin, ScopeOptions};
use super::transport::{self, Answer};
use crate::model::{ClientId, EnvironmentId, Identifier};
use http::{HeaderValue, Uri, header};
use serde::Deserialize;
use serde_json::Value;
use std::io::Read;
use ureq::RequestBuilder;
use ureq::typestate::WithBody;

/// A connection to one control API.
pub(super) struct Client {
    agent: ureq::Agent,
    server: Uri,
    /// Server and path prefix, without a slash at its end.
    base: String,
    authorization: Option<HeaderValue>,
    /// Where the token is from. `None` is somebody who signs in, and needs no word about missing tokens.
    origin: Option<Origin>,
}

impl Client {
    /// A client as the shared flags describe it. Nothing is sent yet.
    pub(super) fn new(options: &ClientOptions) -> Result<Self, Failure> {
        let Access { server, token, origin } = options.access()?;
        let authorization = token.map(|token| bearer(&token)).transpose()?;
        Ok(Self { origin: Some(origin), ..Self::with(options, &server, authorization)? })
    }

    /// A client that shows no token, for signing in: an old one must not stand in the way of a new one.
    pub(super) fn anonymous(options: &ClientOptions) -> Result<Self, Failure> {
        Self::with(options, &options.server()?, None)
    }

    fn with(options: &ClientOptions, text: &str, authorization: Option<HeaderValue>) -> Result<Self, Failure> {
        let server = transport::address("--server", text)?;
        if server.query().is_some() {
            return Err(Failure::usage(format!("--server: `{text}` has a query")));
        }
        let base = text.trim_end_matches('/').to_owned();
        let agent = transport::agent(&server, &options.trust)?;
        Ok(Self { agent, server, base, authorization, origin: None })
    }

    /// `GET path?query`.
    pub(super) fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        self.judge(transport::receive(&self.server, self.asking(path, query).call())?)
    }

    /// `GET path?query` whose answer is too long to be held: it may take as long as it keeps coming.
    pub(super) fn stream(&self, path: &str, query: &[(&str, String)]) -> Result<impl Read + use<>, Failure> {
        let request = transport::unhurried(self.asking(path, query));
        match transport::receive_stream(&self.server, request.call())? {
            Ok(body) => Ok(body),
            Err(answer) => Err(self.refusal(&answer)),
        }
    }

    /// `POST path` with a JSON body.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.judge(self.send(self.agent.post(self.url(path)), body)?)
    }

    /// `PUT path` with a JSON body.
    pub(super) fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.judge(self.send(self.agent.put(self.url(path)), body)?)
    }

    /// `PUT path` with a body of that media type.
    pub(super) fn put_text(&self, path: &str, media_type: &str, text: &str) -> Result<Value, Failure> {
        self.send_text(self.agent.put(self.url(path)), media_type, text)
    }

    /// `POST path` with a body that is no JSON of ours.
    pub(super) fn post_text(&self, path: &str, media_type: &str, text: &str) -> Result<Value, Failure> {
        self.send_text(self.agent.post(self.url(path)), media_type, text)
    }

    fn send_text(&self, request: RequestBuilder<WithBody>, media_type: &str, text: &str) -> Result<Value, Failure> {
        let mut request = request.header(header::CONTENT_TYPE, media_type);
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        self.judge(transport::receive(&self.server, request.send(text))?)
    }

    /// `PATCH path` with a JSON body, refused (412) where the object is no longer the one that `seen` shows.
    pub(super) fn patch(&self, path: &str, seen: &Value, body: &Value) -> Result<Value, Failure> {
        let mut request = self.agent.patch(self.url(path));
        if let Some(revision) = seen.get("revision").and_then(Value::as_u64) {
            request = request.header(header::IF_MATCH, format!("\"{revision}\""));
        }
        let answer = self.send(request, body)?;
        let changed = answer.status == 412;
        let judged = self.judge(answer);
        judged.map_err(|failure| {
            if changed { failure.with_detail("it was changed meanwhile; look, then repeat") } else { failure }
        })
    }

    /// `DELETE path`. What a success says is of no interest.
    pub(super) fn delete(&self, path: &str) -> Result<(), Failure> {
        let mut request = self.agent.delete(self.url(path));
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let answer = transport::receive(&self.server, request.call())?;
        if answer.is_success() { Ok(()) } else { Err(self.refusal(&answer)) }
    }

    /// The control API's address.
    pub(super) const fn server(&self) -> &Uri {
        &self.server
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn asking(&self, path: &str, query: &[(&str, String)]) -> RequestBuilder<ureq::typestate::WithoutBody> {
        let mut request = self.agent.get(self.url(path));
        for (name, value) in query {
            request = request.query(name, value);
        }
        match &self.authorization {
            Some(authorization) => request.header(header::AUTHORIZATION, authorization),
            None => request,
        }
    }

    fn send(&self, mut request: RequestBuilder<WithBody>, body: &Value) -> Result<Answer, Failure> {
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        transport::receive(&self.server, request.send_json(body))
    }

    /// The organization meant: as named, or the only one there is.
    pub(super) fn organization(&self, named: &OrganizationOptions) -> Result<Identifier, Failure> {
        match &named.org {
            Some(organization) => Ok(organization.clone()),
            None => self.only("organization", "--org", "/v1/organizations"),
        }
    }

    /// The environment meant: as named, or the only one there is.
    pub(super) fn environment(&self, scope: &ScopeOptions) -> Result<EnvironmentId, Failure> {
        let organization = self.organization(&scope.organization)?;
        let environment = match &scope.env {
            Some(environment) => environment.clone(),
            None => {
                let path = format!("/v1/organizations/{organization}/environments");
                self.only("environment", "--env", &path)?
            }
        };
        Ok(EnvironmentId { organization, environment })
    }

    fn only(&self, noun: &str, flag: &str, path: &str) -> Result<Identifier, Failure> {
        // Whoever may not list may still know.
        let named = |failure: Failure| match failure.exit {
            Exit::NotAllowed => failure.with_detail(format!("name the {noun} with {flag}")),
            _ => failure,
        };
        let ids = listed_ids(self.get(path, &[]).map_err(named)?)?;
        match ids.as_slice() {
            [] => Err(Failure::new(Exit::NotFound, format!("there is no {noun} yet"))),
            [id] => Ok(id.clone()),
            several => {
                let names: Vec<&str> = several.iter().map(Identifier::as_str).collect();
                Err(Failure::usage(format!("there are several {noun}s: choose one with {flag}"))
                    .with_detail(names.join(", ")))
            }
        }
    }

    fn judge(&self, answer: Answer) -> Result<Value, Failure> {
        if !answer.is_success() {
            return Err(self.refusal(&answer));
        }
        if answer.status == 202 && answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&answer.body).map_err(|_| {
            let text = format!("{} answered {} without JSON; is it a control API?", self.server, answer.status);
            Failure::new(Exit::Failure, text)
        })
    }

    fn refusal(&self, answer: &Answer) -> Failure {
        let problem: Problem = serde_json::from_str(&answer.body).unwrap_or_default();
        let is_nobody = problem.code == "not_authenticated";
        let mut failure = problem.into_failure(answer.status, &self.server);
        if let (401, Some(origin)) = (answer.status, &self.origin) {
            if is_nobody {
                failure.message = "you are not signed in (not_authenticated)".to_owned();
            }
            failure = unproven(failure, origin, self.authorization.is_some());
        }
        if let Some(seconds) = &answer.retry_after {
            failure = failure.with_detail(format!("try again in {seconds} seconds"));
        }
        failure
    }
}

/// What to do where nobody is signed in, or no more.
fn unproven(failure: Failure, origin: &Origin, has_token: bool) -> Failure {
    const LOG_IN: &str =
        "sign in: `portcullis login --email EMAIL`; its token goes to PORTCULLIS_TOKEN or --token-file";
    match origin {
        Origin::Bootstrap { config, file } => {
            let (config, ended) = (config.display(), if has_token { "counts no more" } else { "is not there" });
            failure
                .with_detail(format!("the bootstrap token `{}` {ended}: an owner's sign-in ends it", file.display()))
                .with_detail(format!("{LOG_IN}; both go with --config {config}"))
                .with_detail(format!("nobody can sign in? `portcullis members token --operator --config {config}`"))
        }
        Origin::File(path) => failure
            .with_detail(format!("the token in `{}` counts no more, or never did", path.display()))
            .with_detail(LOG_IN),
        Origin::Nowhere => failure
            .with_detail(LOG_IN)
            .with_detail("no owner yet? --config FILE finds the bootstrap token, on the node's own machine"),
        Origin::Variable => {
            failure.with_detail("the token in PORTCULLIS_TOKEN counts no more, or never did").with_detail(LOG_IN)
        }
    }
}

/// An organization, and what is below it.
pub(super) fn organization_path(organization: &Identifier, below: &str) -> String {
    format!("/v1/organizations/{organization}{below}")
}

/// An environment, and what is below it.
pub(super) fn environment_path(environment: &EnvironmentId, below: &str) -> String {
    let EnvironmentId { organization, environment } = environment;
    format!("/v1/organizations/{organization}/environments/{environment}{below}")
}

/// The keys of an environment.
pub(super) fn keys_path(environment: &EnvironmentId) -> String {
    environment_path(environment, "/keys")
}

/// One key of an environment.
pub(super) fn key_path(environment: &EnvironmentId, id: &ClientId) -> String {
    format!("{}/{id}", keys_path(environment))
}

fn bearer(token: &str) -> Result<HeaderValue, Failure> {
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value = value.map_err(|_| Failure::usage("the token holds characters that no token holds"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn listed_ids(listing: Value) -> Result<Vec<Identifier>, Failure> {
    #[derive(Deserialize)]
    struct Listing {
        data: Vec<Listed>,
    }
    #[derive(Deserialize)]
    struct Listed {
        id: String,
    }
    let unexpected =
        |error: &dyn std::fmt::Display| Failure::new(Exit::Failure, format!("unexpected listing: {error}"));
    let listing: Listing = serde_json::from_value(listing).map_err(|error| unexpected(&error))?;
    listing.data.iter().map(|listed| Identifier::parse(&listed.id).map_err(|error| unexpected(&error))).collect()
}

/// RFC 9457 problem details with the control API's extensions.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
    code: String,
    errors: Vec<FieldError>,
}

/// One thing that is wrong with what was sent.
#[derive(Default, Deserialize)]
#[serde(default)]
struct FieldError {
    pointer: String,
    code: String,
    message: String,
}

impl Problem {
    fn into_failure(self, status: u16, server: &Uri) -> Failure {
        let words = [self.detail, self.title].into_iter().find(|text| !text.is_empty());
        let words = words.unwrap_or_else(|| format!("{server} answered {status}"));
        let code = if self.code.is_empty() { String::new() } else { format!(" ({})", self.code) };
        let failure = Failure::new(Exit::of_status(status), format!("{words}{code}"));
        let errors = self.errors.into_iter().map(|error| {
            let message = if error.message.is_empty() { error.code } else { error.message };
            // What is wrong with a file has its place in the message, and none in the request.
            if error.pointer.is_empty() { message } else { format!("{}: {message}", error.pointer) }
        });
        // A single one may be the detail itself.
        errors.filter(|error| *error != words).fold(failure, Failure::with_detail)
    }
}
