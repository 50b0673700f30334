//! Configuration: the reference loads, every mistake is named with its line, `init` writes what `load` takes.

pub(crate) mod cases;
mod tls;
mod upstreams;

use portcullis::config::{
    AccessLog, Config, Documents, EdgeLimits, InitError, LogFormat, Problem, Problems, StoreUrl, TokenAlgorithm,
    environment_variable, init,
};
use portcullis::model::{
    Cors, KeyKind, ManagedBy, SwitchGuarded, SwitchOpaque, Timestamp, UpstreamAuthorization, UpstreamHost,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn now() -> Timestamp {
    Timestamp::parse("2026-01-01T00:00:00Z").unwrap()
}

/// A folder with these files, and a `portcullis.toml` and `tenants` in any case.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tenants")).unwrap();
    std::fs::write(folder.path().join("portcullis.toml"), "").unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn load(path: &Path, now: Timestamp) -> Result<Config, Problems> {
    portcullis::config::load(path, now, &Documents::default())
}

fn load_files(files: &[(&str, &str)]) -> Result<Config, Problems> {
    load(&folder(files).path().join("portcullis.toml"), now())
}

/// A key's digest, numbered.
fn digest(number: u8) -> String {
    format!("sha256:{}{number:02x}", "00".repeat(31))
}

const ENVIRONMENT: &str = "[organization]\nid = \"acme\"\n[environments.production]\n\
    base_url = \"http://127.0.0.1:8080/v1\"\n";

#[test]
fn the_reference_loads_and_says_the_defaults() {
    let config = load(&repository().join("conf/portcullis.toml"), now()).unwrap();
    let node = &config.node;
    let conf = repository().join("conf");
    assert_eq!(node.data_dir, conf.join("data"));
    assert_eq!(node.edge.bind, ["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!(node.control.bind, ["127.0.0.1:9080".parse().unwrap()]);
    assert_eq!(node.metrics_bind, ["127.0.0.1:9464".parse().unwrap()]);
    assert_eq!(node.store, StoreUrl::Sqlite(conf.join("data/portcullis.db")));
    assert_eq!(node.limits, EdgeLimits::default());
    assert_eq!((node.token_lifetime, node.token_algorithm), (Duration::from_secs(3600), TokenAlgorithm::EdDsa));
    assert_eq!(node.key_rotation, Some(Duration::from_secs(90 * 86_400)));
    assert_eq!((node.workers, &node.access_log, node.metrics_per_environment), (0, &AccessLog::Stdout, true));
    assert!(node.trusted_proxies.is_empty() && node.control.public_url.is_none());

    let empty = load_files(&[]).unwrap().node;
    let folder = empty.data_dir.parent().unwrap();
    let relative = |path: &Path| path.strip_prefix(folder).unwrap().to_owned();
    assert_eq!(relative(&empty.secret_key_file), Path::new("data/secret.key"));
    assert_eq!(relative(&empty.tenants_dir), Path::new("tenants"));
    assert_eq!(empty.key_rotation, node.key_rotation);
    assert_eq!((empty.edge.bind, empty.limits, empty.workers), (node.edge.bind.clone(), node.limits, node.workers));
}

#[test]
fn the_reference_tenant_loads() {
    let config = load(&repository().join("conf/portcullis.toml"), now()).unwrap();
    let [acme] = config.organizations.as_slice() else { panic!("one organization") };
    let [production] = acme.environments.as_slice() else { panic!("one environment") };
    assert_eq!((acme.id.as_str(), acme.name.as_str()), ("acme", "Acme"));
    assert_eq!(production.id.to_string(), "acme/production");
    assert_eq!(production.base_url.as_str(), "http://127.0.0.1:8080/v1/production");
    assert_eq!(production.upstream.urls[0].to_string(), "http://127.0.0.1:9000/api");
    let names: Vec<_> = production.permissions.iter().map(|permission| permission.name.as_str()).collect();
    assert_eq!(names, ["cards:read", "cards:write", "files:read"]);
    assert_eq!(production.permissions[0].operations[1].id.as_ref(), "GET /cards/{id}");
    assert_eq!((production.oauth_prefix.as_str(), production.token_header.as_str()), ("/oauth2", "authorization"));
    assert_eq!(production.platform.label, "Acme");
}

#[test]
fn the_commented_settings_of_the_reference_load_too() {
    let digest = digest(1);
    let text = std::fs::read_to_string(repository().join("conf/tenants/acme.toml")).unwrap();
    let uncommented: String = text
        .lines()
        .filter(|line| !line.starts_with("upstream") && !line.starts_with("# openapi"))
        .filter_map(|line| match line.strip_prefix("# ") {
            Some(rest)
                if rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) =>
            {
                Some(rest)
            }
            Some(_) => None,
            None => Some(line),
        })
        .filter(|line| !line.starts_with("ca_file") && !line.starts_with("networks_file"))
        .map(|line| format!("{line}\n"))
        .collect();
    let uncommented =
        uncommented.replace("sha256:...", &digest).replace("max_key_lifetime = \"90d\"", "max_key_lifetime = \"3y\"");
    let config =
        load_files(&[("tenants/acme.toml", &uncommented)]).unwrap_or_else(|error| panic!("{error}\n{uncommented}"));
    let acme = &config.organizations[0];
    assert_eq!(acme.block_legacy_keys, Some(true));
    let production = &acme.environments[0];
    assert_eq!((production.upstream.urls.len(), production.token_header.as_str()), (2, "x-api-token"));
    assert_eq!(production.keys.len(), 1);
}

#[test]
fn everything_can_be_set() {
    let node = "[node]\ndata_dir = \"d\"\n[listeners.edge]\nbind = [\"0.0.0.0:80\", \"[::]:80\"]\n\
        plaintext = \"behind_proxy\"\ntls = false\nproxy_protocol = \"required\"\n\
        [listeners.control]\nbind = \"127.0.0.1:0\"\npublic_url = \"https://Keys.example.com/\"\n\
        names = [\"Gate.internal\"]\n\
        [listeners.metrics]\nbind = []\n[store]\nurl = \"sqlite:/var/lib/p.db\"\n[edge]\nworkers = 2\n\
        trusted_proxies = [\"10.0.0.0/8\"]\n[edge.limits]\nheader_bytes = \"1KiB\"\nheader_fields = 250\n\
        target_bytes = \"64KiB\"\nheader_timeout = \"5m\"\n[tokens]\nlifetime = \"24h\"\nalgorithm = \"HS256\"\n\
        key_rotation = \"off\"\n\
        [log]\naccess = \"log/access.log\"\nformat = \"json\"\n[metrics]\nper_environment = false\n";
    let folder = folder(&[("portcullis.toml", node)]);
    let node = load(&folder.path().join("portcullis.toml"), now()).unwrap().node;
    assert_eq!((node.edge.bind.len(), node.edge.proxy_protocol), (2, true));
    assert_eq!(node.control.public_url.as_deref(), Some("https://keys.example.com"));
    assert_eq!(node.control.names, ["gate.internal"]);
    assert!(node.metrics_bind.is_empty() && !node.metrics_per_environment);
    assert_eq!(node.store, StoreUrl::Sqlite("/var/lib/p.db".into()));
    assert_eq!(node.secret_key_file, folder.path().join("d/secret.key"));
    assert_eq!(
        (node.limits.head.header_bytes, node.limits.head.target_bytes, node.limits.head.header_fields),
        (1024, 65536, 250)
    );
    assert_eq!((node.token_lifetime, node.token_algorithm), (Duration::from_secs(86_400), TokenAlgorithm::Hs256));
    assert_eq!(node.key_rotation, None);
    assert_eq!(node.access_log, AccessLog::File(folder.path().join("log/access.log")));
    assert_eq!(node.log_format, LogFormat::Json);
}

#[test]
fn an_environment_can_say_everything() {
    let tenant = format!(
        "{ENVIRONMENT}token_header = \"X-Api-Token\"\noauth_prefix = \"/_auth/oauth2\"\ncors = \"forward\"\nbody_limit = \"1KiB\"\n\
         openapi = \"spec.json\"\n[environments.production.upstream]\nurl = \"https://api.internal\"\n\
         timeouts = {{ connect = \"1s\", read = \"2s\", write = \"3s\", idle = \"4s\", upgraded_idle = \"5s\" }}\n\
         host = \"caller\"\nauthorization = \"forward\"\nset_headers = {{ \"x-token\" = \"hunter2\" }}\n\
         protocol = \"http1\"\n[environments.production.permissions]\n\"list\" = \"POST /list\"\n\
         \"own\" = [\"GET /list\", \"* /any\"]\n[environments.production.paths]\nencoded_slash = \"opaque\"\n\
         semicolon = \"refuse\"\n"
    );
    let spec = r#"{"openapi":"3.1.0","paths":{"/list":{"get":{"operationId":"list","tags":["A"]}}}}"#;
    let config = load_files(&[("tenants/a.toml", &tenant), ("tenants/spec.json", spec)]).unwrap();
    let production = &config.organizations[0].environments[0];
    assert_eq!(production.upstream.timeouts.upgraded_idle, Duration::from_secs(5));
    assert_eq!(production.upstream.host, UpstreamHost::Caller);
    assert_eq!(production.upstream.authorization, UpstreamAuthorization::Forward);
    assert!(!format!("{:?}", production.upstream).contains("hunter2"), "header values are not printed");
    assert_eq!(production.paths.encoded_slash, SwitchOpaque::Opaque);
    assert_eq!(production.paths.semicolon, SwitchGuarded::Refuse);
    assert_eq!((production.cors, production.body_limit), (Cors::Forward, Some(1024)));
    assert_eq!((production.oauth_prefix.as_str(), production.token_header.as_str()), ("/_auth/oauth2", "x-api-token"));
    let shown: Vec<String> = production
        .permissions
        .iter()
        .map(|p| format!("{} {:?}", p.name, p.operations.iter().map(|o| o.id.as_ref()).collect::<Vec<_>>()))
        .collect();
    assert_eq!(shown, [r#"list ["list", "POST /list"]"#, r#"own ["list", "* /any"]"#]);
}

#[test]
fn declared_keys_are_whole() {
    let (one, two) = (digest(0xff), format!("sha256:{}", "80".repeat(32)));
    let tenant = format!(
        "{ENVIRONMENT}upstream = \"http://127.0.0.1:9000\"\nroles = {{ events = [\"api:read\"] }}\n\
         [[environments.production.keys]]\nclient_id = \"one\"\nname = \"One\"\nsecret_digest = \"{one}\"\n\
         permissions = [\"api:write\", \"portcullis:tokens:introspect\", \"portcullis:keys:view\"]\n\
         expires_at = 2020-01-01T02:00:00+02:00\n\
         allowlist = {{ networks = [\"::ffff:203.0.113.42\"], platform = true }}\n\
         [[environments.production.keys]]\nclient_id = \"two\"\nname = \"Two\"\nsecret_digest = \"{two}\"\n\
         role = \"events\"\nexpires_at = \"2027-01-31T00:00:00Z\"\n"
    );
    let config = load_files(&[("tenants/a.toml", &tenant)]).unwrap();
    let production = &config.organizations[0].environments[0];
    assert!(production.permissions.is_empty(), "the catalogue makes the two default permissions");
    let [first, second] = production.keys.as_slice() else { panic!("two keys") };
    assert_eq!(first.expires_at.unwrap().to_string(), "2020-01-01T00:00:00Z");
    assert_eq!(first.allowlist.as_ref().unwrap().networks()[0].to_string(), "203.0.113.42");
    assert!(matches!(&first.kind, KeyKind::FineGrained { permissions } if permissions.len() == 3));
    assert_eq!((first.managed_by, first.created_at, first.created_by.as_str()), (ManagedBy::File, now(), "file"));
    assert_eq!((first.secret_version.0, second.secret_version.0), (1, 0x4040_4040_4040_4041));
    assert_eq!(second.kind, KeyKind::Legacy { role: "events".to_owned() });
    assert_eq!(second.environment, production.id);
}

#[test]
fn tenant_files_are_read_in_order_and_editors_files_are_not() {
    let organization = |id: &str| format!("[organization]\nid = \"{id}\"\n");
    let config = load_files(&[
        ("tenants/b.toml", &organization("first")),
        ("tenants/a.toml", &organization("second")),
        ("tenants/.#a.toml", "not toml"),
        ("tenants/a.toml~", "not toml"),
    ])
    .unwrap();
    let ids: Vec<_> = config.organizations.iter().map(|organization| organization.id.as_str()).collect();
    assert_eq!(ids, ["second", "first"]);
}

#[test]
fn a_file_that_is_not_there_is_one_problem() {
    let folder = tempfile::tempdir().unwrap();
    let problems = load(&folder.path().join("portcullis.toml"), now()).unwrap_err();
    assert!(problems.0[0].to_string().contains("portcullis.toml:1: cannot be read"), "{problems}");
}

#[test]
fn bytes_that_are_not_text_name_their_line() {
    let folder = folder(&[]);
    std::fs::write(folder.path().join("tenants/a.toml"), b"[organization]\nid = \"caf\xe9\"\n").unwrap();
    let problems = load(&folder.path().join("portcullis.toml"), now()).unwrap_err();
    assert_eq!(problems.0.len(), 1, "{problems}");
    assert_eq!(problems.0[0].line, 2);
}

const TEN_MISTAKES: &str = r#"[listeners.edge]
bind = ["0.0.0.0:8080"]
[store]
url = "postgres://db/portcullis"
[edge]
workers = "four"
trusted_proxies = ["10.1.0.0/8"]
[edge.limits]
header_bytes = "2MiB"
header_timeout = "10"
[tokens]
lifetime = "25h"
algorithm = "none"
[logs]
access = "off"
[metrics]
per_environment = 1
"#;

#[test]
fn ten_mistakes_are_named_at_once() {
    let problems = load_files(&[("portcullis.toml", TEN_MISTAKES)]).unwrap_err();
    let lines: Vec<usize> = problems.0.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 4, 6, 7, 9, 10, 12, 13, 14, 17], "{problems}");
}

#[test]
fn every_bad_configuration_is_named_where_it_stands() {
    let cases = cases::cases();
    let judged = |case: &cases::Case| {
        let folder = folder(&[]);
        case.write(folder.path());
        let problems = load(&folder.path().join("portcullis.toml"), now());
        let problems = problems.err().ok_or_else(|| format!("`{}` loads", case.title))?;
        let told = |problem: &Problem| (problem.file.display().to_string(), problem.line, problem.message.clone());
        case.judge(&problems.0.iter().map(told).collect::<Vec<_>>())
    };
    let failures: Vec<String> = cases.iter().filter_map(|case| judged(case).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    let titles: BTreeSet<&str> = cases.iter().map(|case| case.title.as_str()).collect();
    assert!(titles.len() >= 200 && titles.len() == cases.len(), "{} titles of {} cases", titles.len(), cases.len());
}

#[test]
fn whatever_is_cut_from_a_file_is_no_panic_and_the_lines_exist() {
    let digest = digest(1);
    let text = std::fs::read_to_string(repository().join("conf/tenants/acme.toml")).unwrap();
    let text = text.replace("# [[env", "[[env").replace("# allowlist", "allowlist").replace("sha256:...", &digest);
    let folder = folder(&[]);
    let node = folder.path().join("portcullis.toml");
    let lines = text.lines().count();
    let cuts =
        (0..text.len()).step_by(3).flat_map(|at| [text[..at].to_owned(), text[..at].to_owned() + &text[at + 1..]]);
    for cut in cuts {
        std::fs::write(folder.path().join("tenants/a.toml"), &cut).unwrap();
        if let Err(problems) = load(&node, now()) {
            assert!(!problems.0.is_empty(), "a refusal says why: {cut}");
            assert!(problems.0.iter().all(|problem| (1..=lines + 1).contains(&problem.line)), "{problems}");
        }
    }
}

#[test]
fn init_writes_what_load_takes() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("new");
    let files = init(&dir, "http://127.0.0.1:9000/api", None).unwrap();
    assert_eq!(files, [dir.join("portcullis.toml"), dir.join("tenants/main.toml")]);
    let config = load(&files[0], now()).unwrap();
    let production = &config.organizations[0].environments[0];
    assert_eq!(production.id.to_string(), "main/production");
    assert_eq!(production.base_url.as_str(), "http://127.0.0.1:8080/production");
    assert_eq!(production.upstream.urls[0].to_string(), "http://127.0.0.1:9000/api");
    assert!(production.permissions.is_empty());
}

#[test]
fn init_copies_the_openapi_document() {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("spec.json");
    std::fs::write(&spec, r#"{"openapi":"3.0.3","paths":{"/a":{"get":{"operationId":"listA"}}}}"#).unwrap();
    let files = init(folder.path(), "https://api.internal", Some(&spec)).unwrap();
    assert_eq!(files.len(), 3);
    let config = load(&files[0], now()).unwrap();
    assert_eq!(config.organizations[0].environments[0].permissions[0].name.as_str(), "listA");
}

#[test]
fn init_overwrites_nothing_and_writes_nothing_by_halves() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    assert!(matches!(init(dir, "not a url", None), Err(InitError::Upstream(_))));
    assert!(matches!(init(dir, "http://x", Some(&dir.join("gone"))), Err(InitError::OpenApi { .. })));
    let yaml = dir.join("spec.yaml");
    std::fs::write(&yaml, "openapi: 3.1.0\n").unwrap();
    assert!(matches!(init(dir, "http://x", Some(&yaml)), Err(InitError::OpenApi { .. })));
    std::fs::create_dir(dir.join("tenants")).unwrap();
    std::fs::write(dir.join("tenants/main.toml"), "mine").unwrap();
    assert!(matches!(init(dir, "http://x", None), Err(InitError::Exists(_))));
    assert!(!dir.join("portcullis.toml").exists());
    assert_eq!(std::fs::read_to_string(dir.join("tenants/main.toml")).unwrap(), "mine");
}

#[test]
fn only_our_own_variables_are_read() {
    assert_eq!(environment_variable("PATH"), None);
    assert_eq!(environment_variable("PORTCULLIS_SURELY_NOT_SET"), None);
}

#[test]
fn every_setting_that_waits_for_a_restart_is_named() {
    let folder = folder(&[]);
    let file = folder.path().join("portcullis.toml");
    let started = load(&file, now()).unwrap().node;
    let named = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let read = load(&file, now()).unwrap_or_else(|problems| panic!("{problems}"));
        started.needs_restart(&read.node)
    };
    assert!(named("").is_empty() && named("[tenants]\ndir = \"./tenants\"").is_empty(), "tenants are read anew");
    assert_eq!(named("[node]\ndata_dir = \"d\""), ["node.data_dir", "store.url", "secrets.key_file"]);
    let changed = [
        ("node", "data_dir", "'d'"),
        ("listeners.edge", "bind", "'127.0.0.1:1'"),
        ("listeners.control", "bind", "'127.0.0.1:1'"),
        ("listeners.control", "public_url", "'https://keys.example.com'"),
        ("listeners.control", "names", "['gate.internal']"),
        ("listeners.metrics", "bind", "'127.0.0.1:1'"),
        ("store", "url", "'sqlite:x.db'"),
        ("secrets", "key_file", "'x.key'"),
        ("tenants", "watch", "false"),
        ("edge", "workers", "3"),
        ("edge", "trusted_proxies", "['10.0.0.0/8']"),
        ("edge.limits", "header_bytes", "'1KiB'"),
        ("edge.limits", "header_fields", "7"),
        ("edge.limits", "target_bytes", "'64B'"),
        ("edge.limits", "header_timeout", "'1s'"),
        ("edge.limits", "body_bytes", "'1MiB'"),
        ("edge.limits", "body_idle_timeout", "'1s'"),
        ("edge.limits", "body_rate", "'off'"),
        ("edge.limits", "connections", "7"),
        ("edge.limits", "connections_per_address", "'off'"),
        ("edge.limits", "handshake_timeout", "'1s'"),
        ("edge.limits", "idle_timeout", "'1s'"),
        ("edge.limits", "streams", "7"),
        ("edge.limits", "requests_in_flight", "7"),
        ("edge.limits", "requests_in_flight_per_key", "7"),
        ("listeners.edge", "proxy_protocol", "'required'\n[edge]\ntrusted_proxies = ['10.0.0.0/8']"),
        ("edge", "drain_timeout", "'1s'"),
        ("edge", "readiness_delay", "'1s'"),
        ("tokens", "lifetime", "'1m'"),
        ("tokens", "algorithm", "'HS256'"),
        ("tokens", "key_rotation", "'off'"),
        ("log", "access", "'off'"),
        ("log", "format", "'json'"),
        ("metrics", "per_environment", "false"),
    ];
    for (section, key, value) in changed {
        let name = format!("{section}.{key}");
        assert!(named(&format!("[{section}]\n{key} = {value}")).contains(&name.as_str()), "{name}");
    }
    // Believed of somebody alone, who has to be named.
    let believed = "[listeners.edge]\nproxy_protocol = 'required'\n[edge]\ntrusted_proxies = ['10.0.0.0/8']";
    assert_eq!(named(believed), ["listeners.edge.proxy_protocol", "edge.trusted_proxies"]);
    // Consent to plain text is no setting of the running node, and the folder of tenants is read anew.
    let told = "listeners.edge.proxy_protocol";
    let others = ["tenants.dir", "listeners.edge.plaintext", "listeners.control.plaintext", told];
    for name in settings_of_the_reference() {
        let known = changed.iter().any(|(section, key, _)| name == format!("{section}.{key}"));
        // Which of TLS' settings wait is told by a test of theirs.
        let elsewhere = others.contains(&name.as_str()) || name.starts_with("listeners.edge.tls.");
        assert!(known || elsewhere, "`{name}`: does it wait for a restart?");
    }
}

/// Every setting of `conf/portcullis.toml`, those in comments too.
fn settings_of_the_reference() -> Vec<String> {
    let text = std::fs::read_to_string(repository().join("conf/portcullis.toml")).unwrap();
    let (mut section, mut names) = ("", Vec::new());
    for line in text.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        match line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, _)) => section = name,
            None => match line.split_once(" = ") {
                Some((key, _)) if !key.contains(' ') => names.push(format!("{section}.{key}")),
                Some(_) | None => {}
            },
        }
    }
    names
}

/// What Amazon publishes: 11,411 networks.
pub(crate) fn many_networks() -> Option<String> {
    let file = repository().join("../shared/data/networks/cidr_aws.txt");
    let text = std::fs::read_to_string(&file).ok();
    if text.is_none() {
        eprintln!("skipped: `{}` is not there", file.display());
    }
    text
}

#[test]
fn eleven_thousand_networks_are_read_quickly_from_a_file_and_from_a_list() {
    let Some(text) = many_networks() else { return };
    let count = text.lines().filter(|line| !line.trim().is_empty()).count();
    let upstream = "upstream = \"http://127.0.0.1:9000\"\n";
    let inline: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let named = format!(
        "{ENVIRONMENT}{upstream}platform_addresses = {{ networks_file = \"aws.txt\", networks = [\"192.0.2.0/24\"] }}\n"
    );
    let listed = format!("{ENVIRONMENT}{upstream}platform_addresses = {{ networks = {inline:?} }}\n");
    for (tenant, count) in [(named, count + 1), (listed, count)] {
        let folder = folder(&[("tenants/acme.toml", &tenant), ("tenants/aws.txt", &text)]);
        let began = std::time::Instant::now();
        let config = load(&folder.path().join("portcullis.toml"), now()).unwrap();
        let read = began.elapsed();
        let platform = &config.organizations[0].environments[0].platform;
        assert_eq!((platform.networks.len(), platform.label.as_str()), (count, "acme"));
        let set = platform.network_set();
        eprintln!("{count} networks: read in {read:?}, flattened in {:?}", began.elapsed() - read);
        assert!(set.contains("3.5.140.1".parse().unwrap()) && !set.contains("203.0.113.1".parse().unwrap()));
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
}
