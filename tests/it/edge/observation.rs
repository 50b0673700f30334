//! What the log, the metrics and the probes tell, and what they never tell.

use crate::harness::{Answer, BASE_PATH, Gateway, eventually, reader, seconds_from_now, token_form, writer};
use portcullis::model::{ClientId, EnvironmentId, Identifier, Timestamp};
use portcullis::store::{SqliteStore, UsageStore};
use serde_json::Value;
use std::collections::BTreeMap;

#[test]
fn every_log_line_is_json() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    let odd = [
        gateway.get("/files/%22%0a%1b\"quoted\"").bearer(&token).bytes(),
        gateway.get("/files/a?q=\"%0d%0a{\"x\":1}'").bearer(&token).bytes(),
        gateway.get("/files/\u{1b}[31m").bearer(&token).bytes(),
        gateway.get("/files/a").bearer(&token).header("User-Agent", "a\"b\\c\u{1F980}").bytes(),
        [format!("GET {BASE_PATH}/files/").as_bytes(), b"\xff\xfe HTTP/1.1\r\nHost: gate.test\r\n\r\n"].concat(),
        b"\"\x1b[0m\n\"\r\n\r\n".to_vec(),
        gateway.get("/cards").host("evil\".test").bytes(),
        gateway.request("G\"T", "/cards").bytes(),
    ];
    for bytes in &odd {
        gateway.raw(bytes);
    }
    let last = gateway.get("/cards").send();
    gateway.log_line(last.header("x-request-id").unwrap());
    for line in gateway.stdout().lines() {
        let parsed: Result<Value, _> = serde_json::from_str(line);
        assert!(parsed.as_ref().is_ok_and(Value::is_object), "{line}");
        assert!(line.bytes().all(|byte| byte >= 0x20), "{line:?}");
    }
}

#[test]
fn a_log_line_tells_what_happened() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    let log = |response: &crate::harness::RawResponse| {
        gateway.log_line(response.header("x-request-id").expect("a request id")).to_string()
    };
    let served = log(&gateway.get("/cards?secret=1").bearer(&token).send().expect(200));
    assert!(served.contains("200") && served.contains("reader"), "{served}");
    // Queries hold credentials too often.
    assert!(!served.contains("secret=1"), "{served}");
    let refused = log(&gateway.post("/cards").bearer(&token).send().expect(403));
    assert!(refused.contains("permission_missing") && refused.contains("reader"), "{refused}");
    let malformed = log(&gateway.raw("GET / HTTP/1.1\r\n\r\n").expect(400));
    assert!(malformed.contains("malformed_request"), "{malformed}");
}

#[test]
fn the_log_can_be_a_file_or_off() {
    let gateway = Gateway::builder().node("[log]\naccess = \"access.log\"").start();
    let id = gateway.get("/cards").send().header("x-request-id").unwrap().to_owned();
    eventually("the file has the request", || {
        std::fs::read_to_string(gateway.dir().join("access.log")).ok().filter(|text| text.contains(&id))
    });
    assert_eq!(gateway.stdout(), "");
    let gateway = Gateway::builder().node("[log]\naccess = \"off\"").start();
    gateway.get("/cards").send();
    assert_eq!(gateway.stdout(), "");
}

#[test]
fn secrets_and_tokens_appear_nowhere() {
    let mut gateway = Gateway::start();
    let token = gateway.writer_token();
    let secret = writer().secret;
    let form = token_form(&writer().id, &secret);
    gateway.post("/oauth2/token").basic(&writer().id, &secret).form("grant_type=client_credentials").send().expect(200);
    gateway.post(&format!("/oauth2/token?{form}")).send().expect(400);
    gateway.post("/oauth2/token").form(&format!("{form}&{form}")).send().expect(400);
    gateway.get("/cards").bearer(&token).send().expect(200);
    gateway.get(&format!("/cards?access_token={token}&secret={secret}")).send().expect(401);
    gateway.get("/cards").bearer(&format!("{token}x")).send().expect(401);
    gateway.get("/cards").bearer(&token).bearer(&token).send().expect(400);
    gateway.get("/cards").header("X : y", "z").bearer(&token).send().expect(400);
    gateway.get("/cards").host("other.test").bearer(&token).send().expect(404);
    gateway.raw(format!("GET {BASE_PATH}/cards HTTP/1.1\nAuthorization: Bearer {token}\n\n")).expect(400);
    gateway.upstream.on("/api/cards", Answer::BytesThenClose(b"garbage\r\n\r\n".to_vec()));
    gateway.get("/cards").bearer(&token).send().expect(502);
    gateway.upstream.on("/api/cards", Answer::Close);
    let last = gateway.post("/cards").bearer(&token).send().expect(502);
    gateway.log_line(last.header("x-request-id").unwrap());
    let seen = [gateway.stdout(), gateway.stderr(), gateway.metrics()].concat();
    let bootstrap = gateway.bootstrap_token();
    let signature = token.rsplit('.').next().unwrap();
    for canary in [secret.as_str(), signature, &bootstrap] {
        assert!(!seen.contains(canary), "{canary} was told:\n{seen}");
    }
    // The store knows digests only. Its files are read when nothing writes them.
    gateway.kill9();
    for entry in std::fs::read_dir(gateway.dir().join("data")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_file() && name != "bootstrap-token" {
            let bytes = std::fs::read(entry.path()).unwrap();
            for canary in [secret.as_str(), signature, &bootstrap] {
                let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
                assert!(!found, "{canary} is in {name}");
            }
        }
    }
}

#[test]
fn metrics_are_there() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    gateway.get("/cards").bearer(&token).send().expect(200);
    gateway.post("/cards").bearer(&token).send().expect(403);
    gateway.post("/oauth2/token").form(&token_form(&reader().id, "wrong")).send().expect(401);
    gateway.raw("GET / HTTP/1.1\r\n\r\n").expect(400);
    let metrics = eventually("the requests are counted", || {
        Some(gateway.metrics()).filter(|text| text.contains("code=\"malformed_request\""))
    });
    for name in [
        "portcullis_requests_total{",
        "portcullis_denials_total{",
        "portcullis_request_duration_seconds_bucket{",
        "portcullis_overhead_seconds_bucket{",
        "portcullis_upstream_duration_seconds_bucket{",
        "portcullis_requests_in_flight ",
        "portcullis_connections{",
        "portcullis_token_requests_total{",
        "portcullis_token_duration_seconds_bucket{",
        "portcullis_token_cache_hits_total ",
        "portcullis_token_cache_misses_total ",
        "portcullis_keys{",
        "portcullis_tables_revision ",
        "portcullis_tables_age_seconds ",
        "portcullis_build_info{",
        "process_resident_memory_bytes ",
    ] {
        assert!(metrics.lines().any(|line| line.starts_with(name)), "no {name}:\n{metrics}");
    }
    let denied = "portcullis_denials_total{code=\"permission_missing\",environment=\"acme/production\"} 1";
    assert!(metrics.contains(denied), "{metrics}");
}

#[test]
fn what_requests_came_to_is_counted_by_the_hour() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    gateway.get("/cards").bearer(&token).send().expect(200);
    gateway.get("/cards").bearer(&token).send().expect(200);
    gateway.post("/cards").bearer(&token).send().expect(403);
    gateway.get("/cards").send().expect(401);
    gateway.post("/oauth2/token").form(&token_form(&reader().id, "wrong")).send().expect(401);
    gateway.upstream.on("/api/cards", Answer::Close);
    gateway.get("/cards").bearer(&token).send().expect(502);
    // Of nobody's environment.
    gateway.get("/cards").host("other.test").send().expect(404);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(SqliteStore::open(&gateway.dir().join("data/portcullis.db"))).unwrap();
    let name = |text| Identifier::parse(text).unwrap();
    let environment = EnvironmentId { organization: name("acme"), environment: name("production") };
    let now = Timestamp::parse(&seconds_from_now(-3600)).unwrap();
    let expected: BTreeMap<String, u64> =
        [("", 2), ("invalid_client", 1), ("permission_missing", 1), ("token_missing", 1), ("upstream_protocol", 1)]
            .map(|(code, count)| (code.to_owned(), count))
            .into();
    let mut found = BTreeMap::new();
    eventually("all are written", || {
        // The hour may turn meanwhile.
        let counted = runtime.block_on(store.traffic(&environment, now, 3)).unwrap();
        found = BTreeMap::new();
        counted.into_iter().for_each(|hour| *found.entry(hour.code).or_default() += hour.count);
        (found.values().sum::<u64>() == expected.values().sum::<u64>()).then_some(())
    });
    assert_eq!(found, expected);
    let key = [ClientId::parse(&reader().id).unwrap()];
    let used = runtime.block_on(store.hours_used(&key, now, 3)).unwrap();
    assert_eq!(used.iter().map(|hour| hour.count).sum::<u64>(), 3, "a key of a file is counted by the hour");
}

/// Nothing a caller chooses is a label.
#[test]
fn random_requests_make_no_series() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    let round = |n: usize| {
        let files = gateway.get(&format!("/files/{n}")).bearer(&token).header("User-Agent", &format!("agent {n}"));
        let verb = gateway.request(&format!("VERB{n}"), "/cards").bearer(&token);
        // From an address of its own: failures from one address are slowed down.
        let wrong = token_form(&format!("id_{n}"), "wrong");
        let wrong = gateway.post("/oauth2/token").form(&wrong).from(&format!("127.0.1.{n}"));
        let answers = [
            files.send().expect(200),
            gateway.get(&format!("/nowhere-{n}")).bearer(&token).send().expect(403),
            verb.send().expect(403),
            gateway.get("/cards").host(&format!("host-{n}.test")).send().expect(404),
            gateway.get("/cards").bearer(&format!("token-{n}")).send().expect(401),
            wrong.send().expect(401),
            gateway.raw(format!("GET /{n} HTTP/1.{n}\r\n\r\n")).expect(400),
        ];
        // What is logged is counted.
        for answer in answers {
            gateway.log_line(answer.header("x-request-id").unwrap());
        }
    };
    let series = || gateway.metrics().lines().filter(|line| !line.starts_with('#')).count();
    round(2);
    let before = series();
    for n in 3..33 {
        round(n);
    }
    assert_eq!(series(), before, "{}", gateway.metrics());
}

#[test]
fn probes() {
    let gateway = Gateway::start();
    for path in ["/livez", "/readyz", "/readyz?verbose"] {
        assert_eq!(gateway.probe(path).status, 200, "{path}");
    }
    assert_eq!(gateway.probe("/nowhere").status, 404);
    // They are no paths of the edge.
    gateway.get("").target("/metrics").send().expect(404);
}
