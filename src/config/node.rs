//! `portcullis.toml`: the node's own file.

use super::reader::{At, Reader, Value, read_document};
use super::sheet::Sheet;
use super::{
    AccessLog, ControlListener, DrainTimes, EdgeLimits, EdgeListener, LogFormat, NodeConfig, StoreUrl, TokenAlgorithm,
    limits, tls,
};
use crate::model::{BaseUrl, Network, Timestamp, quoted};
use crate::tls::TlsSettings;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Reads the node's file, and the line that names the tenants' folder. Where a value is wrong the problem is in
/// the sheet and a default stands in for it. `now` is what tells whether a certificate is valid.
pub(super) fn read(sheet: &Sheet, now: Timestamp) -> (NodeConfig, usize) {
    read_document(sheet, |file| {
        let data_dir = file.section("node", |node| path_or(node, "data_dir", "data"));
        let mut proxied = None;
        let (edge, control, metrics_bind) = file.section("listeners", |table| listeners(table, now, &mut proxied));
        let store = file.section("store", |store| store_url(store, data_dir.join("portcullis.db")));
        let secret_key_file = file.section("secrets", |secrets| {
            let named = secrets.take("key_file").and_then(|value| value.path());
            named.map_or_else(|| data_dir.join("secret.key"), |path| path.value)
        });
        let (tenants_dir, tenants_line, tenants_watch) = file.section("tenants", tenants_folder);
        let (workers, trusted_proxies, limits, drain) = file.section("edge", edge_settings);
        if let Some(line) = proxied.filter(|_| trusted_proxies.is_empty()) {
            sheet.problem(
                line,
                "`proxy_protocol` is `required`, but `edge.trusted_proxies` is empty: nobody could connect; \
                 name the load balancer's networks there",
            );
        }
        let (token_lifetime, token_algorithm, key_rotation) = file.section("tokens", tokens);
        let (access_log, log_format) = file.section("log", log);
        let metrics_per_environment = file
            .section("metrics", |metrics| metrics.take("per_environment").and_then(|on| on.boolean()))
            .unwrap_or(true);
        let node = NodeConfig {
            data_dir,
            edge,
            control,
            metrics_bind,
            store,
            secret_key_file,
            tenants_dir,
            tenants_watch,
            workers,
            trusted_proxies,
            limits,
            drain,
            token_lifetime,
            token_algorithm,
            key_rotation,
            access_log,
            log_format,
            metrics_per_environment,
        };
        (node, tenants_line)
    })
}

fn path_or(reader: &mut Reader<'_>, key: &'static str, default: &str) -> PathBuf {
    let named = reader.take(key).and_then(|value| value.path());
    named.map_or_else(|| reader.sheet().resolve(default), |path| path.value)
}

fn tenants_folder(tenants: &mut Reader<'_>) -> (PathBuf, usize, bool) {
    let watch = tenants.take("watch").and_then(|value| value.boolean()).unwrap_or(true);
    let named = tenants.take("dir").and_then(|value| value.path());
    let At { value, line } =
        named.unwrap_or_else(|| At { value: tenants.sheet().resolve("tenants"), line: tenants.line() });
    (value, line, watch)
}

/// The listeners; `proxied` becomes the line that asks for PROXY headers.
fn listeners(
    listeners: &mut Reader<'_>,
    now: Timestamp,
    proxied: &mut Option<usize>,
) -> (EdgeListener, ControlListener, Vec<SocketAddr>) {
    let edge = listeners.section("edge", |edge| {
        *proxied = edge.take("proxy_protocol").and_then(|value| {
            value.choice(&[("off", false), ("required", true)]).filter(|on| *on).map(|_| value.line())
        });
        secret_listener(edge, 8080, now, "its token endpoint takes secrets (RFC 6749 section 3.2)")
    });
    let (bound, control) = listeners.section("control", |control| control_listener(control, now));
    let metrics = listeners.section("metrics", |metrics| bind(metrics, 9464)).unwrap_or_default();
    report_shared_addresses(listeners.sheet(), [&edge.bind, &bound, &metrics]);
    let edge = EdgeListener { bind: values(edge.bind), tls: edge.tls, proxy_protocol: proxied.is_some() };
    (edge, ControlListener { bind: values(bound), ..control }, values(metrics))
}

/// The control listener without its addresses, and these.
fn control_listener(control: &mut Reader<'_>, now: Timestamp) -> (Vec<At<SocketAddr>>, ControlListener) {
    let sheet = control.sheet();
    let said = control.take("public_url");
    let public_url = said.as_ref().and_then(|value| value.parsed(BaseUrl::parse));
    let listener = secret_listener(control, 9080, now, "it takes passwords and hands out client secrets");
    if let Some(At { value, line }) = public_url.as_ref().filter(|url| !url.value.tls()) {
        if listener.tls.is_some() {
            sheet.problem(*line, format!("`public_url` is `{value}`, and the listener speaks TLS"));
        } else if listener.behind_proxy.is_some() {
            sheet.note(
                *line,
                format!("`public_url` is `{value}`, so browsers send session cookies over plain HTTP, although TLS stands in \
                         front of the listener (`plaintext`): let it begin with `https://`"),
            );
        }
    }
    let names = control.take("names").map(|value| host_names(sheet, &value)).unwrap_or_default();
    if let (Some(line), None) = (listener.behind_proxy, &said) {
        let any = if names.is_empty() { "any host is answered to, and " } else { "" };
        sheet.note(
            line,
            format!(
                "TLS stands in front of the control listener, and nothing says under which name: {any}its cookies are for TLS \
                 alone, so nobody signs in over plain HTTP; say `public_url = \"https://...\"`"
            ),
        );
    }
    let public_url = public_url.map(|url| url.value.as_str().to_owned());
    let behind_proxy = listener.behind_proxy.is_some();
    let read = ControlListener { bind: Vec::new(), public_url, names, tls: listener.tls, behind_proxy };
    if let (Some(words), None) = (read.namelessness(), &said) {
        sheet.note(control.line(), words);
    }
    (listener.bind, read)
}

/// Host names, in lower case; each one that is none is reported on its own line.
fn host_names(sheet: &Sheet, value: &Value<'_>) -> Vec<String> {
    let named = |text: &str| {
        let url = BaseUrl::parse(&format!("https://{text}/")).ok();
        let is_one =
            |host: &str| host.eq_ignore_ascii_case(text) && text.parse::<IpAddr>().is_err() && !text.contains('*');
        let url = url.filter(|url| is_one(url.host()));
        url.map(|url| url.host().to_owned()).ok_or_else(|| format!("`{}` is not a host name", quoted(text)))
    };
    let texts = value.strings().unwrap_or_default();
    texts.into_iter().filter_map(|At { value, line }| sheet.accept(line, named(value))).collect()
}

/// A listener that secrets pass through.
struct SecretListener {
    bind: Vec<At<SocketAddr>>,
    tls: Option<TlsSettings>,
    /// The line that says that it is plain, and behind a proxy that has TLS.
    behind_proxy: Option<usize>,
}

/// Reads a listener that secrets pass through: without TLS it listens on loopback, or behind a proxy that has it.
fn secret_listener(listener: &mut Reader<'_>, port: u16, now: Timestamp, why: &str) -> SecretListener {
    let sheet = listener.sheet();
    // One that cannot be read is no reason to complain that there is none.
    let means_tls = listener.take("tls").is_some_and(|value| !value.is_off());
    let tls = tls::read(listener, now);
    let plaintext = listener.take("plaintext");
    let behind_proxy = plaintext.as_ref().filter(|value| value.choice(&[("behind_proxy", true)]).is_some());
    if let (true, Some(value)) = (means_tls, &plaintext) {
        value.problem("`plaintext` says that the listener is plain, and `tls` that it is not: leave one of them out");
    }
    let addresses = bind(listener, port).unwrap_or_default();
    let open = addresses.iter().filter(|at| !at.value.ip().to_canonical().is_loopback());
    for At { value, line } in open.filter(|_| behind_proxy.is_none() && !means_tls) {
        sheet.problem(
            *line,
            format!(
                "`{value}` would be plain HTTP on an address that others can reach, and {why}: say `tls`, bind a \
                 loopback address, or put TLS in front and say `plaintext = \"behind_proxy\"`"
            ),
        );
    }
    if let Some(value) = listener.take("bind").filter(Value::is_empty_list) {
        value.problem("`bind` needs at least one address");
    }
    let behind_proxy = behind_proxy.filter(|_| !means_tls).map(Value::line);
    SecretListener { bind: addresses, tls, behind_proxy }
}

/// The addresses of a listener: this port on loopback unless the file says otherwise.
fn bind(listener: &mut Reader<'_>, port: u16) -> Option<Vec<At<SocketAddr>>> {
    let Some(value) = listener.take("bind") else {
        return Some(vec![At { value: SocketAddr::from(([127, 0, 0, 1], port)), line: listener.line() }]);
    };
    let sheet = listener.sheet();
    let parse = |at: At<&str>| {
        let parsed = at
            .value
            .parse()
            .map_err(|_| format!("`{}` is not an address and port such as `127.0.0.1:8080` or `[::1]:8080`", at.value));
        sheet.accept(at.line, parsed).map(|value| At { value, line: at.line })
    };
    Some(value.one_or_more_strings()?.into_iter().filter_map(parse).collect())
}

fn report_shared_addresses(sheet: &Sheet, listeners: [&Vec<At<SocketAddr>>; 3]) {
    let mut seen = HashMap::new();
    for At { value, line } in listeners.into_iter().flatten().filter(|at| at.value.port() != 0) {
        if let Some(first) = seen.insert(*value, *line) {
            sheet.problem(*line, format!("`{value}` is bound already (line {first})"));
        }
    }
}

fn values<T>(places: Vec<At<T>>) -> Vec<T> {
    places.into_iter().map(|at| at.value).collect()
}

fn store_url(store: &mut Reader<'_>, default: PathBuf) -> StoreUrl {
    let sheet = store.sheet();
    let Some(value) = store.take("url") else { return StoreUrl::Sqlite(default) };
    let parsed = value.parsed(|text| match text.split_once(':') {
        Some(("sqlite", path)) => sqlite_path(path).map(|path| StoreUrl::Sqlite(sheet.resolve(path))),
        Some(("postgres" | "postgresql", _)) => {
            Err("PostgreSQL arrives in a later version; this one keeps its store in `sqlite:PATH`".to_owned())
        }
        // The text is not repeated: it may hold a password.
        _ => Err("is not `sqlite:PATH`".to_owned()),
    });
    parsed.map_or(StoreUrl::Sqlite(default), |url| url.value)
}

fn sqlite_path(path: &str) -> Result<&str, String> {
    let path = path.strip_prefix("//").unwrap_or(path);
    match path {
        "" | ":memory:" => Err("needs the path of a file: `sqlite:data/portcullis.db`".to_owned()),
        _ if path.contains(['?', '\0']) => Err("takes a path without options".to_owned()),
        _ => Ok(path),
    }
}

fn edge_settings(edge: &mut Reader<'_>) -> (usize, Vec<Network>, EdgeLimits, DrainTimes) {
    let workers = edge.take("workers").and_then(|value| value.integer(0..=1024)).unwrap_or(0);
    let proxies = edge.take("trusted_proxies").map(|value| networks(edge.sheet(), &value)).unwrap_or_default();
    let drain = limits::drain(edge);
    let limits = edge.section("limits", limits::limits);
    (workers, proxies, limits, drain)
}

/// A list of networks; each one that is not a network is reported on its own line.
pub(super) fn networks(sheet: &Sheet, value: &Value<'_>) -> Vec<Network> {
    let texts = value.strings().unwrap_or_default();
    texts.into_iter().filter_map(|At { value, line }| sheet.accept(line, Network::parse(value))).collect()
}

fn tokens(tokens: &mut Reader<'_>) -> (Duration, TokenAlgorithm, Option<Duration>) {
    let range = Duration::from_secs(1)..=Duration::from_secs(86_400);
    let lifetime = tokens.take("lifetime").and_then(|value| {
        let lifetime = value.duration(range)?;
        if lifetime.subsec_nanos() > 0 {
            value.problem("`lifetime` is told in whole seconds");
        }
        Some(lifetime)
    });
    let algorithm = tokens.take("algorithm").and_then(|value| {
        value.choice(&[
            ("EdDSA", TokenAlgorithm::EdDsa),
            ("ES256", TokenAlgorithm::Es256),
            ("RS256", TokenAlgorithm::Rs256),
            ("HS256", TokenAlgorithm::Hs256),
        ])
    });
    let rotation = tokens.take("key_rotation").map_or(Some(KEY_ROTATION), |value| key_rotation(&value));
    (lifetime.unwrap_or(Duration::from_secs(3600)), algorithm.unwrap_or_default(), rotation)
}

/// How long a signing key signs unless the file says otherwise.
const KEY_ROTATION: Duration = Duration::from_secs(90 * 86_400);

fn key_rotation(value: &Value<'_>) -> Option<Duration> {
    match value.string() {
        Some("off") => None,
        Some(_) => value.duration(Duration::from_secs(3600)..=Duration::from_secs(3650 * 86_400)),
        None => Some(KEY_ROTATION),
    }
}

fn log(log: &mut Reader<'_>) -> (AccessLog, LogFormat) {
    let access = access_log(log);
    let formats = [("json", LogFormat::Json), ("text", LogFormat::Text)];
    (access, log.take("format").and_then(|value| value.choice(&formats)).unwrap_or_default())
}

fn access_log(log: &mut Reader<'_>) -> AccessLog {
    let Some(value) = log.take("access") else { return AccessLog::Stdout };
    match value.string() {
        Some("off") => AccessLog::Off,
        Some("stdout") | None => AccessLog::Stdout,
        Some(_) => value.path().map_or(AccessLog::Stdout, |path| AccessLog::File(path.value)),
    }
}
