//! `upstream` of an environment: a URL, or a table of how to reach it and what it sees.

use super::reader::{At, Reader, Value};
use crate::model::{Upstream, UpstreamAuthorization, UpstreamHost, UpstreamTimeouts, UpstreamUrl};
use http::{HeaderName, HeaderValue};
use std::time::Duration;

/// Reads an upstream. `None` where no URL could be read, which is then a problem in the sheet.
pub(super) fn read(value: &Value<'_>) -> Option<Upstream> {
    if value.is_table() {
        return value.read(upstream).flatten();
    }
    let url = value.parsed(UpstreamUrl::parse)?;
    Some(Upstream {
        urls: vec![url.value],
        timeouts: UpstreamTimeouts::default(),
        host: UpstreamHost::default(),
        authorization: UpstreamAuthorization::default(),
        set_headers: Vec::new(),
    })
}

fn upstream(table: &mut Reader<'_>) -> Option<Upstream> {
    let urls = urls(table);
    let timeouts = table.section("timeouts", timeouts);
    let host = table
        .take("host")
        .and_then(|value| value.choice(&[("upstream", UpstreamHost::Upstream), ("caller", UpstreamHost::Caller)]));
    let authorization = table.take("authorization").and_then(|value| {
        value.choice(&[("strip", UpstreamAuthorization::Strip), ("forward", UpstreamAuthorization::Forward)])
    });
    let set_headers = set_headers(table, authorization.unwrap_or_default());
    table.unavailable("ca_file", &["system"]);
    table.unavailable("protocol", &["http1"]);
    table.unavailable("health", &["off"]);
    table.unavailable("client_certificate", &["none"]);
    if urls.is_empty() {
        return None;
    }
    Some(Upstream {
        urls,
        timeouts,
        host: host.unwrap_or_default(),
        authorization: authorization.unwrap_or_default(),
        set_headers,
    })
}

fn urls(table: &mut Reader<'_>) -> Vec<UpstreamUrl> {
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
    if let Some(several) = several.filter(|_| given.as_ref().is_some_and(Vec::is_empty)) {
        several.problem("`urls` needs at least one URL");
    }
    let given = given.unwrap_or_default();
    given.into_iter().filter_map(|At { value, line }| sheet.accept(line, UpstreamUrl::parse(value))).collect()
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

fn set_headers(table: &mut Reader<'_>, authorization: UpstreamAuthorization) -> Vec<(HeaderName, HeaderValue)> {
    let sheet = table.sheet();
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, value) in table.entries("set_headers") {
        let header = sheet.accept(name.line, settable_header(name.value));
        let Some((header, value)) = header.zip(header_value(&value)) else { continue };
        if headers.iter().any(|(other, _)| *other == header) {
            sheet.problem(name.line, format!("`{header}` is set twice"));
        }
        if header == http::header::AUTHORIZATION && authorization == UpstreamAuthorization::Forward {
            sheet.problem(name.line, "`authorization` is forwarded from the caller: it cannot be set as well");
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
