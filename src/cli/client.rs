//! The control API as the commands see it: JSON in, JSON out, refusals as [`Failure`]s with their exit code.

use super::failure::{Exit, Failure};
use super::options::{Access, ClientOptions, ScopeOptions};
use super::transport::{self, Answer};
use crate::model::{ClientId, EnvironmentId, Identifier};
use http::{HeaderValue, Uri, header};
use serde::Deserialize;
use serde_json::Value;

/// A connection to one control API.
pub(super) struct Client {
    agent: ureq::Agent,
    server: Uri,
    /// Server and path prefix, without a slash at its end.
    base: String,
    authorization: Option<HeaderValue>,
}

impl Client {
    /// A client as the shared flags describe it. Nothing is sent yet.
    pub(super) fn new(options: &ClientOptions) -> Result<Self, Failure> {
        let Access { server: text, token } = options.access()?;
        let server = transport::address("--server", &text)?;
        if server.query().is_some() {
            return Err(Failure::usage(format!("--server: `{text}` has a query")));
        }
        let authorization = token.map(|token| bearer(&token)).transpose()?;
        let base = text.trim_end_matches('/').to_owned();
        Ok(Self { agent: transport::agent(&server, &options.trust)?, server, base, authorization })
    }

    /// `GET path?query`.
    pub(super) fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        for (name, value) in query {
            request = request.query(name, value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        self.judge(transport::receive(&self.server, request.call())?)
    }

    /// `POST path` with a JSON body.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        self.judge(transport::receive(&self.server, request.send_json(body))?)
    }

    /// The environment meant: as named, or the only one there is.
    pub(super) fn environment(&self, scope: &ScopeOptions) -> Result<EnvironmentId, Failure> {
        let organization = match &scope.org {
            Some(organization) => organization.clone(),
            None => self.only("organization", "--org", "/v1/organizations")?,
        };
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
        let listing =
            self.get(path, &[]).map_err(|failure| failure.with_detail(format!("name the {noun} with {flag}")))?;
        let ids = listed_ids(listing)?;
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
        if !(200..300).contains(&answer.status) {
            return Err(self.refusal(&answer));
        }
        serde_json::from_str(&answer.body).map_err(|_| {
            let text = format!("{} answered {} without JSON; is it a control API?", self.server, answer.status);
            Failure::new(Exit::Failure, text)
        })
    }

    fn refusal(&self, answer: &Answer) -> Failure {
        let problem: Problem = serde_json::from_str(&answer.body).unwrap_or_default();
        let mut failure = problem.into_failure(answer.status, &self.server);
        if answer.status == 401 {
            let hint = match self.authorization {
                None => "no token was given: set PORTCULLIS_TOKEN or use --token-file",
                Some(_) => "the token was not accepted; it came from --token-file, PORTCULLIS_TOKEN or --config",
            };
            failure = failure.with_detail(hint).with_detail(
                "a node writes its first token to `bootstrap-token` in its data_dir at first start and says where",
            );
        }
        failure
    }
}

/// The keys of an environment.
pub(super) fn keys_path(environment: &EnvironmentId) -> String {
    format!("/v1/organizations/{}/environments/{}/keys", environment.organization, environment.environment)
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
        let mut failure = Failure::new(Exit::of_status(status), format!("{words}{code}"));
        for error in self.errors {
            let message = if error.message.is_empty() { error.code } else { error.message };
            failure = failure.with_detail(format!("{}: {message}", error.pointer));
        }
        failure
    }
}
