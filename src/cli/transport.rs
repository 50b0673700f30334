//! Plain HTTP for the client commands: one agent, bounded in time and size, no redirects, no proxy from the
//! environment. What it leaves to others: what an answer means (`client`, `token`).

use super::failure::{Exit, Failure};
use http::Uri;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;
use ureq::RequestBuilder;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::typestate::WithoutBody;

/// Longer than any answer should take; a barrier (`?wait=fleet`) is bounded by the server well below it.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than a page of a thousand keys with long permission lists.
const ANSWER_LIMIT: u64 = 32 * 1024 * 1024;
/// Where Debian, Red Hat, SUSE and Alpine keep the system's root certificates.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Which certificates are believed.
#[derive(clap::Args)]
pub(super) struct Trust {
    /// Root certificates (PEM) to believe instead of the system's
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_CA_FILE", global = true)]
    ca_file: Option<OsString>,
}

/// An answer of any status.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    /// How long to wait before the next try, in seconds, where the server says so.
    pub(super) retry_after: Option<String>,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Checks that `text` is an absolute `http` or `https` address; warns where secrets would travel in the clear.
pub(super) fn address(flag: &str, text: &str) -> Result<Uri, Failure> {
    let uri = text.parse::<Uri>().ok().filter(|uri| uri.host().is_some());
    let uri = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    let uri = uri.filter(|uri| uri.authority().is_some_and(|authority| !authority.as_str().contains('@')));
    let uri = uri.ok_or_else(|| Failure::usage(format!("{flag}: `{text}` is not an http:// or https:// address")))?;
    if uri.scheme_str() == Some("http") && !is_loopback(&uri) {
        super::output::note(&format!("warning: {flag} is plain http to another machine; secrets travel in the clear"));
    }
    Ok(uri)
}

/// An agent for that address.
pub(super) fn agent(uri: &Uri, trust: &Trust) -> Result<ureq::Agent, Failure> {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(TIMEOUT));
    if uri.scheme_str() != Some("https") {
        return Ok(config.build().new_agent());
    }
    let tls = TlsConfig::builder().root_certs(roots(trust)?).build();
    Ok(config.tls_config(tls).build().new_agent())
}

/// Reads an answer whole, whatever its status; a server that cannot be reached is `Unavailable`.
pub(super) fn receive(
    server: &Uri,
    result: Result<http::Response<ureq::Body>, ureq::Error>,
) -> Result<Answer, Failure> {
    let mut response = result.map_err(|error| unreachable(server, &error))?;
    let body = response.body_mut().with_config().limit(ANSWER_LIMIT).lossy_utf8(true).read_to_string();
    let body = body.map_err(|error| unreachable(server, &error))?;
    let retry_after = response.headers().get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = retry_after.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).map(str::to_owned);
    Ok(Answer { status: response.status().as_u16(), body, retry_after })
}

/// Lets an answer take as long as it keeps coming; only its beginning and each silence are bounded.
pub(super) fn unhurried(request: RequestBuilder<WithoutBody>) -> RequestBuilder<WithoutBody> {
    let config = request.config().timeout_global(None).timeout_per_call(None);
    config.timeout_recv_response(Some(TIMEOUT)).timeout_recv_body(None).timeout_per_read(Some(TIMEOUT)).build()
}

/// The body of a success, to be read bit by bit; any other answer whole.
pub(super) fn receive_stream(
    server: &Uri,
    result: Result<http::Response<ureq::Body>, ureq::Error>,
) -> Result<Result<ureq::BodyReader<'static>, Answer>, Failure> {
    match result {
        Ok(response) if response.status().is_success() => Ok(Ok(response.into_body().into_reader())),
        other => receive(server, other).map(Err),
    }
}

fn unreachable(server: &Uri, error: &ureq::Error) -> Failure {
    // A certificate that is not believed arrives as `InvalidData`: waiting will not help there.
    let exit = match error {
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => Exit::Failure,
        ureq::Error::ConnectionFailed
        | ureq::Error::HostNotFound
        | ureq::Error::Io(_)
        | ureq::Error::Timeout(_)
        | ureq::Error::Protocol(_) => Exit::Unavailable,
        _ => Exit::Failure,
    };
    Failure::new(exit, format!("cannot reach {server}: {error}"))
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn roots(trust: &Trust) -> Result<RootCerts, Failure> {
    let system = || SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists());
    // A variable that is empty says nothing.
    let named = trust.ca_file.as_deref().filter(|path| !path.is_empty()).map(Path::new);
    let Some(path) = named.or_else(system) else {
        return Err(Failure::usage("this system's root certificates were not found: name them with --ca-file"));
    };
    let named = |problem: &str| Failure::usage(format!("root certificates `{}`: {problem}", path.display()));
    let pem = std::fs::read(path).map_err(|error| named(&error.to_string()))?;
    let certificates: Vec<Certificate<'static>> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            Ok(_) | Err(_) => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(named("no certificate in it"));
    }
    Ok(RootCerts::from(certificates))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_absolute_and_hold_no_credentials() {
        for text in ["http://127.0.0.1:9080", "https://gate.example/", "http://[::1]:9080", "http://localhost"] {
            assert!(address("--server", text).is_ok(), "{text}");
        }
        for text in ["", "127.0.0.1:9080", "ftp://x", "http://", "http://user:pass@host/", "/v1"] {
            assert_eq!(address("--server", text).unwrap_err().exit, Exit::Usage, "{text}");
        }
    }

    #[test]
    fn loopback_is_told_from_elsewhere() {
        for (text, loopback) in [("http://localhost:1", true), ("http://[::1]:1", true), ("http://127.9.9.9", true)] {
            assert_eq!(is_loopback(&text.parse().unwrap()), loopback, "{text}");
        }
        assert!(!is_loopback(&"http://localhost.example".parse().unwrap()));
    }
}
