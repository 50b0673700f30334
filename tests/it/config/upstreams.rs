//! Settings of upstreams: what can be said, and what is said about files that are none.

use super::{ENVIRONMENT, folder, load, load_files, now};
use crate::harness::Authority;
use portcullis::config::Config;
use portcullis::model::{Balance, Ejection, HealthCheck, Upstream, UpstreamAuthorization, UpstreamProtocol};
use std::time::Duration;

fn tenant(upstream: &str) -> String {
    format!("{ENVIRONMENT}[environments.production.upstream]\n{upstream}\n")
}

fn upstream(config: &Config) -> &Upstream {
    &config.organizations[0].environments[0].upstream
}

#[test]
fn everything_has_a_default_and_can_be_said() {
    let config = load_files(&[("tenants/a.toml", &tenant("url = \"http://a\""))]).unwrap();
    let plain = upstream(&config);
    assert_eq!((plain.protocol, plain.balance, &plain.health), (UpstreamProtocol::Http1, Balance::RoundRobin, &None));
    assert_eq!(plain.ejection, Ejection { after: 5, pause: Duration::from_secs(10) });
    let said = "urls = [\"http://a\", \"http://b\"]\nprotocol = \"h2c\"\nbalance = \"least_connections\"\n\
                eject_after = 0\neject_for = \"1m\"\nca_file = \"system\"\nclient_certificate = \"none\"\n\
                health = { path = \"/healthz?full\", interval = \"1m\", timeout = \"1m\", unhealthy_after = 1, \
                healthy_after = 100, status = \"204\" }";
    let config = load_files(&[("tenants/a.toml", &tenant(said))]).unwrap();
    let said = upstream(&config);
    assert_eq!((said.protocol, said.balance), (UpstreamProtocol::H2c, Balance::LeastConnections));
    assert_eq!(said.ejection, Ejection { after: 0, pause: Duration::from_secs(60) });
    let check = HealthCheck {
        path: "/healthz?full".to_owned(),
        interval: Duration::from_secs(60),
        timeout: Duration::from_secs(60),
        unhealthy_after: 1,
        healthy_after: 100,
        status: 204..=204,
    };
    assert_eq!(said.health, Some(check));
    let off = load_files(&[("tenants/a.toml", &tenant("url = \"http://a\"\nhealth = \"off\""))]).unwrap();
    assert_eq!(upstream(&off).health, None);
    let usual = "url = \"http://a\"\nhealth = { path = \"/\" }";
    let usual = load_files(&[("tenants/a.toml", &tenant(usual))]).unwrap();
    let check = upstream(&usual).health.as_ref().unwrap();
    assert_eq!((check.interval.as_secs(), check.timeout.as_secs()), (5, 2));
    assert_eq!((check.unhealthy_after, check.healthy_after, check.status.clone()), (3, 2, 200..=399));
}

#[test]
fn so_many_urls_and_one_more() {
    let urls = |count: u16| (0..count).map(|at| format!("\"http://a:{}\"", 9000 + at)).collect::<Vec<_>>().join(", ");
    let read = |count| load_files(&[("tenants/a.toml", &tenant(&format!("urls = [{}]", urls(count))))]);
    assert_eq!(upstream(&read(64).unwrap()).urls.len(), 64);
    assert!(read(65).unwrap_err().to_string().contains("`urls` has 65 of them, but it takes at most 64"));
}

#[test]
fn a_token_from_a_file_is_told_to_nobody() {
    let tenant = tenant("url = \"http://a\"\nauthorization = { bearer_file = \"token\" }");
    let config = load_files(&[("tenants/a.toml", &tenant), ("tenants/token", "\n canary-._~+/== \n")]).unwrap();
    let UpstreamAuthorization::Set(value) = &upstream(&config).authorization else { panic!("a token") };
    assert_eq!((value.as_bytes(), value.is_sensitive()), (b"Bearer canary-._~+/==".as_slice(), true));
    assert!(!format!("{config:?}").contains("canary"));
    for wrong in ["", "==", "a b", "a=b", "caf\u{e9}", "a\r\nX-Other: b"] {
        let problems = load_files(&[("tenants/a.toml", &tenant), ("tenants/token", wrong)]).expect_err(wrong);
        let [problem] = problems.0.as_slice() else { panic!("{problems}") };
        assert!(problem.file.ends_with("tenants/token") && problem.message.contains("bearer token"), "{problem}");
    }
}

/// The problems of an upstream whose files are `ca.pem`, `c.pem` and `k.pem`, without their folder.
fn problems(ca: &str, cert: &str, key: &str) -> Vec<String> {
    let said = "url = \"https://a\"\nca_file = \"ca.pem\"\nclient_certificate = { cert = \"c.pem\", key = \"k.pem\" }";
    let files = [
        ("tenants/a.toml", tenant(said)),
        ("tenants/ca.pem", ca.into()),
        ("tenants/c.pem", cert.into()),
        ("tenants/k.pem", key.into()),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let folder = folder(&files);
    match load(&folder.path().join("portcullis.toml"), now()) {
        Ok(config) => {
            let tls = &upstream(&config).tls;
            assert!(!tls.authorities.is_empty() && tls.client.is_some());
            assert!(!format!("{tls:?}").contains("key"));
            Vec::new()
        }
        Err(problems) => {
            let inside = format!("{}/tenants/", folder.path().display());
            problems.0.iter().map(|problem| problem.to_string().replace(&inside, "")).collect()
        }
    }
}

#[test]
fn files_of_certificates_are_read_before_they_are_used() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (ours, theirs) = (authority.certificate(&["client"]), other.certificate(&["client"]));
    let (ca, two) = (authority.pem(), format!("words\n{}{}", authority.pem(), other.pem()));
    assert!(problems(&two, &ours.chain, &ours.private_key).is_empty());
    assert!(problems(&ca, &format!("{}{ca}", ours.chain), &ours.private_key).is_empty());
    let lines = |text: &str| text.lines().count();
    let damaged = format!("{ca}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let cut = &ca[..ca.len() - 30];
    let encrypted = ours.private_key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let cases = [
        (
            damaged.as_str(),
            ours.chain.as_str(),
            ours.private_key.as_str(),
            format!("ca.pem:{}: is not a certificate", lines(&ca) + 1),
        ),
        (cut, &ours.chain, &ours.private_key, "ca.pem:1: is not PEM".to_owned()),
        (&ours.private_key, &ours.chain, &ours.private_key, "ca.pem:1: is no certificate".to_owned()),
        ("words", &ours.chain, &ours.private_key, "ca.pem:1: holds nothing in PEM".to_owned()),
        (&ca, &ours.private_key, &ours.private_key, "c.pem:1: holds no certificate".to_owned()),
        (&ca, &ours.chain, &ours.chain, "k.pem:1: holds no private key".to_owned()),
        (&ca, &ours.chain, &encrypted, "k.pem:1: holds an encrypted private key".to_owned()),
        (&ca, &ours.chain, &theirs.private_key, "`key` is not the key of the certificate".to_owned()),
    ];
    for (ca, cert, key, expected) in cases {
        let problems = problems(ca, cert, key);
        let [problem] = problems.as_slice() else { panic!("{expected}: {problems:?}") };
        assert!(problem.contains(&expected), "{expected}: {problem}");
    }
}
