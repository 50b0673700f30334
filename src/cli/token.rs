//! `portcullis token`: an access token for scripts, by the client credentials grant (RFC 6749 section 4.4).

use super::failure::{Exit, Failure};
use super::options::JsonOption;
use super::output::{print, print_json};
use super::secret_file;
use super::transport::{self, Answer, Trust};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, header};
use serde::Deserialize;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Fetch an access token and print just that
#[derive(clap::Args)]
pub(super) struct Token {
    /// The token endpoint: an environment's base URL and `/oauth2/token`
    #[arg(long, value_name = "URL")]
    token_url: String,

    /// The key's client id
    #[arg(long, value_name = "ID")]
    client_id: String,

    /// A file that holds the key's secret, `-` for stdin
    #[arg(long, value_name = "FILE")]
    client_secret_file: PathBuf,

    /// Ask for these permissions only, separated by spaces
    #[arg(long)]
    scope: Option<String>,

    /// What the token is for: the control API's address, for a key that manages keys [default: the environment]
    #[arg(long, value_name = "URL")]
    resource: Option<String>,

    #[command(flatten)]
    json: JsonOption,

    #[command(flatten)]
    trust: Trust,
}

impl Token {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let url = transport::address("--token-url", &self.token_url)?;
        let secret = secret_file::read("--client-secret-file", &self.client_secret_file)?;
        let agent = transport::agent(&url, &self.trust)?;
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(self.scope.as_deref().map(|scope| ("scope", scope)));
        form.extend(self.resource.as_deref().map(|resource| ("resource", resource)));
        let request = agent
            .post(&self.token_url)
            .header(header::ACCEPT, "application/json")
            .header(header::AUTHORIZATION, basic(&self.client_id, &secret)?);
        let answer = transport::receive(&url, request.send_form(form))?;
        let token = access_token(&answer)?;
        match serde_json::from_str(&answer.body) {
            Ok(whole) if self.json.json => print_json(&whole),
            Ok(_) | Err(_) => print(&token),
        }
    }
}

/// `client_secret_basic`: both parts form-encoded before they are joined (RFC 6749 section 2.3.1).
fn basic(client_id: &str, secret: &str) -> Result<HeaderValue, Failure> {
    let encode = |text: &str| Zeroizing::new(form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>());
    let pair = Zeroizing::new(format!("{}:{}", *encode(client_id), *encode(secret)));
    let text = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&text).map_err(|_| Failure::usage("the client id cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The token of a success (RFC 6749 section 5.1), the failure that an error means (section 5.2).
fn access_token(answer: &Answer) -> Result<Zeroizing<String>, Failure> {
    #[derive(Deserialize)]
    struct Success {
        access_token: String,
    }
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
        #[serde(default)]
        error_description: String,
    }
    if answer.status == 200 {
        let success: Result<Success, _> = serde_json::from_str(&answer.body);
        let unexpected = |_| Failure::new(Exit::Failure, "the answer holds no access_token; is it a token endpoint?");
        return success.map(|success| Zeroizing::new(success.access_token)).map_err(unexpected);
    }
    let Ok(refusal) = serde_json::from_str::<Refusal>(&answer.body) else {
        let text = format!("the token endpoint answered {} without an OAuth error", answer.status);
        return Err(Failure::new(Exit::of_status(answer.status), text));
    };
    let exit = match refusal.error.as_str() {
        "invalid_client" => Exit::NotSignedIn,
        "unauthorized_client" | "access_denied" => Exit::NotAllowed,
        _ => Exit::of_status(answer.status),
    };
    let description = refusal.error_description;
    let message = if description.is_empty() { refusal.error } else { format!("{}: {description}", refusal.error) };
    Err(Failure::new(exit, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_are_form_encoded() {
        let header = basic("a:b c", "p%q+é").unwrap();
        let text = header.to_str().unwrap().strip_prefix("Basic ").unwrap();
        assert_eq!(BASE64_STANDARD.decode(text).unwrap(), b"a%3Ab+c:p%25q%2B%C3%A9");
    }

    #[test]
    fn errors_map_to_exit_codes() {
        let code = |status, body: &str| {
            access_token(&Answer { status, body: body.to_owned(), ..Answer::default() })
                .map(|_| ())
                .unwrap_err()
                .exit
                .code()
        };
        assert_eq!(code(401, r#"{"error":"invalid_client"}"#), 4);
        assert_eq!(code(400, r#"{"error":"invalid_client"}"#), 4);
        assert_eq!(code(400, r#"{"error":"unauthorized_client"}"#), 5);
        assert_eq!(code(400, r#"{"error":"invalid_scope"}"#), 7);
        assert_eq!(code(503, "busy"), 8);
        assert_eq!(code(200, "{}"), 1);
    }
}
