//! Under which names the control plane answers.
//!
//! Whoever owns a name can give it this machine's address, and a page that a browser got under that name then reads
//! answers from here as its own (DNS rebinding). So names are answered to that somebody vouched for: the public URL's,
//! those of the certificates, and those that nobody else can give an address: `localhost`, and addresses themselves.

use super::Control;
use super::api::Refusal;
use crate::model::quoted;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Tells whether a name in lower case is one of the listener's.
type Vouches = dyn Fn(&str) -> bool + Send + Sync;

/// The names of the control listener.
#[derive(Clone, Default)]
pub struct ListenerNames(Option<Arc<Vouches>>);

impl ListenerNames {
    /// Nobody said which it has: a proxy may pass any on.
    pub fn any() -> Self {
        Self(None)
    }

    /// Those that `vouches` knows, told in lower case and without a port.
    pub fn known(vouches: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(vouches)))
    }

    /// What `Host` names, where it is none of these.
    fn stranger<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let vouches = self.0.as_deref()?;
        let mut lines = headers.get_all(header::HOST).iter();
        // HTTP/1.0 need not say one, and browsers do.
        let line = lines.next()?;
        let said = line.to_str().unwrap_or_default();
        let host = name_of(said).to_ascii_lowercase();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_ours = host == "localhost" || address.is_ok() || vouches(&host);
        (!is_ours || lines.next().is_some()).then_some(said)
    }
}

impl fmt::Debug for ListenerNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "ListenerNames(known)" } else { "ListenerNames(any)" })
    }
}

/// A host without its port and the dot at its end.
fn name_of(host: &str) -> &str {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !name.ends_with(':') && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    // Of an IPv6 address a part was taken for a port: it stands in brackets, or is none.
    let name = if name.starts_with('[') && !name.ends_with(']') { host } else { name };
    name.strip_suffix('.').unwrap_or(name)
}

/// Refuses what was sent to another name.
pub(super) async fn require(State(control): State<Arc<Control>>, request: Request, next: Next) -> Response {
    match control.names.stranger(request.headers()) {
        None => next.run(request).await,
        Some(said) => {
            let public = &control.control_url;
            // Where it listens on every address, that is no name to ask it by.
            let is_any = public.host().parse().is_ok_and(|address: IpAddr| address.is_unspecified());
            let advice = if is_any {
                "whoever runs it says `public_url` or `names` in the node's file".to_owned()
            } else {
                format!("ask {public}")
            };
            Refusal::misdirected(format!("`{}` is none of this listener's names: {advice}", quoted(said)))
                .into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_stranger(hosts: &[&str]) -> bool {
        let names = ListenerNames::known(|name| name == "keys.example.com");
        let hosts = hosts.iter().map(|host| (header::HOST, host.parse().unwrap()));
        names.stranger(&hosts.collect()).is_some()
    }

    #[test]
    fn names_that_somebody_vouches_for_pass() {
        for host in [
            "keys.example.com",
            "Keys.Example.com:9080",
            "keys.example.com.",
            "keys.example.com.:443",
            "localhost",
            "LOCALHOST:9080",
            "127.0.0.1:9080",
            "10.0.0.7",
            "[::1]",
            "[2001:db8::1]:9080",
        ] {
            assert!(!is_stranger(&[host]), "{host}");
        }
        assert!(!is_stranger(&[]));
    }

    #[test]
    fn others_do_not() {
        for host in [
            "evil.example",
            "evil.example:9080",
            "x.keys.example.com",
            "keys.example.com.evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[::1].evil.example",
            "[evil.example]",
            "keys.example.com:x",
            "keys.example.com@evil.example",
            ":9080",
            "",
        ] {
            assert!(is_stranger(&[host]), "{host}");
        }
        assert!(is_stranger(&["keys.example.com", "evil.example"]));
        assert!(is_stranger(&["keys.example.com", "keys.example.com"]));
    }

    #[test]
    fn where_nobody_said_any_name_passes() {
        let headers = HeaderMap::from_iter([(header::HOST, "evil.example".parse().unwrap())]);
        assert_eq!(ListenerNames::any().stranger(&headers), None);
    }
}
