//! `upstream` of an environment: a URL, or a table of how to reach it and what it sees.

use super::pem;
use super::reader::{At, Reader, Value};
use super::sheet::MAX_FILE_BYTES;
use crate::model::{
    Balance, Ejection, HealthCheck, Upstream, UpstreamAuthorization, UpstreamHost, UpstreamProtocol, UpstreamTimeouts,
    UpstreamTls, UpstreamUrl,
};
use http::{HeaderName, HeaderValue};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// What somebody is told who names a file in a definition that comes through the control API.
const IN_FILE: &str = "no path on the node is ever read; a tenant file can name one";

/// So many URLs of one upstream are taken: each is resolved, may be asked how it is, and is looked at by every choice.
const MOST_URLS: usize = 64;

/// Reads an upstream. `None` where no URL could be read, which is then a problem in the sheet.
pub(super) fn read(value: &Value<'_>) -> Option<Upstream> {
    if value.is_table() {
        return value.read(upstream).flatten();
    }
    Some(Upstream::of(value.parsed(UpstreamUrl::parse)?.value))
}

fn upstream(table: &mut Reader<'_>) -> Option<Upstream> {
    let urls = urls(table);
    let protocol = protocol(table, &urls);
    let balance = table.take("balance").and_then(|value| {
        value.choice(&[("round_robin", Balance::RoundRobin), ("least_connections", Balance::LeastConnections)])
    });
    let health = table.take("health").filter(|value| !value.is_text("off")).and_then(|value| value.read(health));
    let ejection = ejection(table);
    let tls = tls(table);
    let timeouts = table.section("timeouts", timeouts);
    let host = table
        .take("host")
        .and_then(|value| value.choice(&[("upstream", UpstreamHost::Upstream), ("caller", UpstreamHost::Caller)]));
    let authorization = table.take("authorization").and_then(|value| authorization(&value)).unwrap_or_default();
    let set_headers = set_headers(table, &authorization);
    if urls.is_empty() {
        return None;
    }
    Some(Upstream {
        urls: urls.into_iter().map(|url| url.value).collect(),
        protocol: protocol.unwrap_or_default(),
        balance: balance.unwrap_or_default(),
        health: health.flatten(),
        ejection,
        tls,
        timeouts,
        host: host.unwrap_or_default(),
        authorization,
        set_headers,
    })
}

/// HTTP/2 is agreed on by TLS, or spoken without it: a URL says which of the two.
fn protocol(table: &mut Reader<'_>, urls: &[At<UpstreamUrl>]) -> Option<UpstreamProtocol> {
    let sheet = table.sheet();
    let words = [("http1", UpstreamProtocol::Http1), ("h2", UpstreamProtocol::H2), ("h2c", UpstreamProtocol::H2c)];
    let protocol = table.take("protocol")?.choice(&words)?;
    for At { value: url, line } in urls {
        match (protocol, url.tls()) {
            (UpstreamProtocol::H2, false) => {
                sheet.problem(*line, format!("`{url}` has no TLS, by which `h2` is agreed on: `h2c` does without"));
            }
            (UpstreamProtocol::H2c, true) => {
                sheet.problem(*line, format!("`{url}` is reached by TLS, and `h2c` is HTTP/2 without it: use `h2`"));
            }
            (UpstreamProtocol::Http1 | UpstreamProtocol::H2 | UpstreamProtocol::H2c, _) => {}
        }
    }
    Some(protocol)
}

fn health(table: &mut Reader<'_>) -> Option<HealthCheck> {
    let second = Duration::from_secs(1);
    let path = table.require("path").and_then(|value| value.parsed(health_path));
    let mut time = |key, default, range: RangeInclusive<Duration>| {
        table.take(key).and_then(|value| value.duration(range)).unwrap_or(default)
    };
    let interval = time("interval", second * 5, second..=second * 3600);
    let timeout = time("timeout", interval.min(second * 2), Duration::from_millis(10)..=second * 60);
    let mut count = |key, default| {
        table
            .take(key)
            .and_then(|value| value.integer(1..=100))
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(default)
    };
    let (unhealthy_after, healthy_after) = (count("unhealthy_after", 3), count("healthy_after", 2));
    let status = table.take("status").and_then(|value| value.parsed(statuses)).map_or(200..=399, |status| status.value);
    if timeout > interval {
        table.sheet().problem(table.line(), "`timeout` is longer than `interval`: a check ends before the next one");
    }
    Some(HealthCheck { path: path?.value, interval, timeout, unhealthy_after, healthy_after, status })
}

fn health_path(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
    if text.starts_with('/') && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not a path such as `/healthz`"))
    }
}

/// `200` or `200-399`.
fn statuses(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| text.parse::<u16>().ok().filter(|status| (100..=599).contains(status) && text.len() == 3);
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(format!("`{text}` is neither a status nor a range of them such as `200-399`")),
    }
}

fn ejection(table: &mut Reader<'_>) -> Ejection {
    let default = Ejection::default();
    let after = table.take("eject_after").and_then(|value| value.integer(0..=1000));
    let range = Duration::from_millis(100)..=Duration::from_secs(3600);
    let pause = table.take("eject_for").and_then(|value| value.duration(range));
    Ejection {
        after: after.and_then(|after| u32::try_from(after).ok()).unwrap_or(default.after),
        pause: pause.unwrap_or(default.pause),
    }
}

fn tls(table: &mut Reader<'_>) -> UpstreamTls {
    let sheet = table.sheet();
    let ca_file = table.take_in_file("ca_file", IN_FILE).filter(|value| !value.is_text("system"));
    let client = table.take_in_file("client_certificate", IN_FILE).filter(|value| !value.is_text("none"));
    UpstreamTls {
        authorities: ca_file.map(|value| pem::authorities(sheet, &value)).unwrap_or_default().into(),
        client: client.and_then(|value| value.read(pem::client_certificate)).flatten().map(Arc::new),
    }
}

/// `"strip"`, `"forward"`, or a file whose token is sent in place of the caller's.
fn authorization(value: &Value<'_>) -> Option<UpstreamAuthorization> {
    if value.is_table() {
        return value.read(|table| {
            let sheet = table.sheet();
            let file = table.take_in_file("bearer_file", IN_FILE);
            if file.is_none() && !sheet.is_json() {
                table.require("bearer_file");
            }
            Some(UpstreamAuthorization::Set(bearer(sheet, &file?)?))
        })?;
    }
    match value.string()? {
        "strip" => Some(UpstreamAuthorization::Strip),
        "forward" => Some(UpstreamAuthorization::Forward),
        _ => {
            // Its words say what it takes.
            let words = [("strip", ()), ("forward", ())];
            value.choice(&words)?;
            None
        }
    }
}

/// `Bearer` and what the file holds, which is told to nobody.
fn bearer(sheet: &super::sheet::Sheet, value: &Value<'_>) -> Option<HeaderValue> {
    let path = value.path()?.value;
    let text = match sheet.read_bytes(&path, MAX_FILE_BYTES) {
        Ok(bytes) => zeroize::Zeroizing::new(bytes),
        Err(fault) => {
            value.problem(format!("`{}`: {}", path.display(), fault.message));
            return None;
        }
    };
    let token = text.trim_ascii();
    let header = [b"Bearer ".as_slice(), token].concat();
    match HeaderValue::from_bytes(&header) {
        Ok(mut header) if is_b64token(token) => {
            header.set_sensitive(true);
            Some(header)
        }
        Ok(_) | Err(_) => {
            sheet.problem_in(&path, 1, "holds no bearer token: letters, digits and `-._~+/`, then `=` (RFC 6750)");
            None
        }
    }
}

/// RFC 6750 section 2.1.
fn is_b64token(token: &[u8]) -> bool {
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = token.get(..token.len() - padding).unwrap_or_default();
    !body.is_empty() && body.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte))
}

fn urls(table: &mut Reader<'_>) -> Vec<At<UpstreamUrl>> {
    let sheet = table.sheet();
    let (one, several) = (table.take("url"), table.take("urls"));
    let given = match (&one, &several) {
        (Some(_), Some(several)) => {
            several.problem("`url` and `urls` say the same thing: keep one");
            return Vec::new();
        }
        (None, None) => {
            sheet.missing_key(table.line(), "urls", "an upstream needs `url` or `urls`");
            return Vec::new();
        }
        (Some(one), None) => one.string().map(|value| vec![At { value, line: one.line() }]),
        (None, Some(several)) => several.strings(),
    };
    if let Some(several) = several.as_ref().filter(|_| given.as_ref().is_some_and(Vec::is_empty)) {
        several.problem("`urls` needs at least one URL");
    }
    let given = given.unwrap_or_default();
    if let Some(several) = several.as_ref().filter(|_| given.len() > MOST_URLS) {
        several.problem(format!("`urls` has {} of them, but it takes at most {MOST_URLS}", given.len()));
        return Vec::new();
    }
    let url = |At { value, line }: At<&str>| Some(At { value: sheet.accept(line, UpstreamUrl::parse(value))?, line });
    given.into_iter().filter_map(url).collect()
}

fn timeouts(table: &mut Reader<'_>) -> UpstreamTimeouts {
    let default = UpstreamTimeouts::default();
    let mut time = |key, default| {
        let range = Duration::from_millis(10)..=Duration::from_secs(86_400);
        table.take(key).and_then(|value| value.duration(range)).unwrap_or(default)
    };
    UpstreamTimeouts {
        connect: time("connect", default.connect),
        read: time("read", default.read),
        write: time("write", default.write),
        idle: time("idle", default.idle),
        upgraded_idle: time("upgraded_idle", default.upgraded_idle),
    }
}

fn set_headers(table: &mut Reader<'_>, authorization: &UpstreamAuthorization) -> Vec<(HeaderName, HeaderValue)> {
    let sheet = table.sheet();
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, value) in table.entries("set_headers") {
        let header = sheet.accept(name.line, settable_header(name.value));
        let Some((header, value)) = header.zip(header_value(&value)) else { continue };
        if headers.iter().any(|(other, _)| *other == header) {
            sheet.problem(name.line, format!("`{header}` is set twice"));
        }
        if header == http::header::AUTHORIZATION {
            match authorization {
                UpstreamAuthorization::Forward => {
                    sheet.problem(name.line, "`authorization` is forwarded from the caller: it cannot be set as well");
                }
                UpstreamAuthorization::Set(_) => {
                    sheet.problem(name.line, "`authorization` is a token from a file: it cannot be set as well");
                }
                UpstreamAuthorization::Strip => {}
            }
        }
        headers.push((header, value));
    }
    headers
}

/// A header's value. It may be a credential, so it never shows in debug output.
fn header_value(value: &Value<'_>) -> Option<HeaderValue> {
    match HeaderValue::from_str(value.string()?) {
        Ok(mut header) => {
            header.set_sensitive(true);
            Some(header)
        }
        Err(_) => {
            value.problem("a header value holds visible ASCII characters and spaces");
            None
        }
    }
}

/// A header that a tenant may choose: neither one that frames the message or its connection nor one of ours.
pub(super) fn settable_header(text: &str) -> Result<HeaderName, String> {
    const OURS: [&str; 11] = [
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    ];
    let name = HeaderName::from_bytes(text.as_bytes()).map_err(|_| format!("`{text}` is not a header name"))?;
    let folded = name.as_str().replace(['_', '.'], "-");
    if OURS.contains(&folded.as_str()) || folded.starts_with("portcullis-") {
        return Err(format!("`{text}` is set by Portcullis itself"));
    }
    Ok(name)
}
