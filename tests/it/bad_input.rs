//! What a control API gets sent by mistake or by malice, over the wire to a real node: each gets a clear answer, soon,
//! and nothing of it is done.

use crate::process::{Answer, Control, Folder, KEYS, Node};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Every answer comes within it, in a debug build on a busy machine.
const SOON: Duration = Duration::from_secs(10);
const PERMISSIONS: usize = 1000;

/// A node with a thousand permissions and one key.
struct Scene {
    _folder: Folder,
    node: Node,
    key: String,
    before: Value,
}

impl Scene {
    fn start() -> Self {
        let mut permissions = String::new();
        for number in 0..PERMISSIONS {
            writeln!(permissions, "\"things{number}:read\" = \"GET /things{number}\"").unwrap();
        }
        // Nothing is ever asked of this upstream.
        let folder = Folder::new("http://127.0.0.1:9", &permissions);
        let node = folder.start();
        let key = node.control().create("kept", &["things0:read"]).unwrap().id;
        let before = state(&mut node.control());
        Self { _folder: folder, node, key, before }
    }

    /// Sends it as a create, with the usual members where `body` does not name them.
    fn create(&self, body: &Value) -> Answer {
        let mut whole = json!({"name": "bad", "permissions": ["things0:read"]});
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        self.post(KEYS, &whole)
    }

    fn rotate(&self, body: &Value) -> Answer {
        self.post(&format!("{KEYS}/{}/rotate", self.key), body)
    }

    fn post(&self, target: &str, body: &Value) -> Answer {
        let began = Instant::now();
        let answer = self.node.control().post(target, body).unwrap();
        assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
        answer
    }

    /// One error of a field; its message.
    #[track_caller]
    fn assert_invalid(&self, answer: Answer, pointer: &str, code: &str) -> String {
        let problem = self.assert_refused(answer, 422, "invalid");
        let errors = problem["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{problem}");
        assert_eq!((&errors[0]["pointer"], &errors[0]["code"]), (&json!(pointer), &json!(code)), "{problem}");
        errors[0]["message"].as_str().unwrap().to_owned()
    }

    /// A refusal, and nothing done; the problem.
    #[track_caller]
    fn assert_refused(&self, answer: Answer, status: u16, code: &str) -> Value {
        let answer = answer.expect(status);
        assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{answer}");
        let problem = answer.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert!(answer.body.len() < 64 * 1024, "the answer has {} bytes", answer.body.len());
        assert_eq!(state(&mut self.node.control()), self.before);
        problem
    }
}

/// Everything that a change would change.
fn state(control: &mut Control) -> Value {
    let status = control.get("/v1/status").unwrap().expect(200).json();
    json!([status["store_revision"], status["tables_revision"], control.every_key()])
}

/// `count` addresses, all different.
fn networks(count: u32) -> Vec<String> {
    (0..count).map(|number| std::net::Ipv4Addr::from(0x0a00_0000 + number).to_string()).collect()
}

#[test]
fn an_allowlist_of_a_million_lines_is_told_the_limit() {
    let scene = Scene::start();
    let allowlist = json!({"networks": networks(1_000_000), "platform": false});
    let answers = [
        scene.create(&json!({"allowlist": allowlist})),
        scene.rotate(&json!({"expires_at": null, "allowlist": allowlist})),
    ];
    for answer in answers {
        let problem = scene.assert_refused(answer, 413, "body_too_large");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("8 MiB") && detail.contains("100000 networks"), "{detail}");
    }
}

#[test]
fn a_body_of_too_many_values_is_told_the_limit() {
    let scene = Scene::start();
    for body in [json!({"allowlist": {"networks": vec!["::"; 250_000]}}), json!({"x": vec![json!([]); 1_000_000]})] {
        let problem = scene.assert_refused(scene.post(KEYS, &body), 413, "body_too_large");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("250000 values") && detail.contains("100000 networks"), "{detail}");
    }
}

/// As long as an entry can be, none like another, in no order.
fn longest_networks(count: u32) -> Vec<String> {
    let spread = |number: u32| number.wrapping_mul(2_654_435_761);
    let line = |number: u32| {
        let mixed = spread(number);
        format!("2001:0db8:85a3:0000:1319:8a2e:{:04x}:{:04x}/128", mixed >> 16, mixed & 0xffff)
    };
    (0..count).map(line).collect()
}

#[test]
fn the_longest_allowlist_works_with_every_address_written_out() {
    let scene = Scene::start();
    let allowlist = json!({"allowlist": {"networks": longest_networks(100_000)}});
    let began = Instant::now();
    let made = scene.create(&json!({"name": "v6", "allowlist": allowlist["allowlist"]})).expect(201).json();
    assert_eq!(made["allowlist"]["networks"].as_array().unwrap().len(), 100_000);
    let target = format!("{KEYS}/{}", scene.key);
    let edited = scene.node.control().send("PATCH", &target, &allowlist).unwrap().expect(200).json();
    assert_eq!(edited["allowlist"], made["allowlist"]);
    let rotation = json!({"expires_at": null, "allowlist": allowlist["allowlist"]});
    scene.rotate(&rotation).expect(200);
    eprintln!("three changes of 100000 networks in {:.1?}", began.elapsed());
    let one_more = json!({"allowlist": {"networks": longest_networks(100_001)}});
    for answer in [
        scene.node.control().send("PATCH", &target, &one_more).unwrap(),
        scene.post(KEYS, &json!({"name": "x", "permissions": ["things0:read"], "allowlist": one_more["allowlist"]})),
    ] {
        let problem = answer.expect(422).json();
        assert_eq!(problem["errors"][0]["code"], "allowlist_too_long", "{problem}");
    }
}

#[test]
fn a_hundred_thousand_mistakes_are_told_as_a_hundred_of_a_kind() {
    let scene = Scene::start();
    let names = (0..100_000).map(|number| (format!("odd{number}"), json!(1)));
    let bodies = [
        json!({"allowlist": {"networks": vec!["10.0.0.1/8"; 100_000]}}),
        json!({"allowlist": {"networks": vec![json!(1); 100_000]}}),
        json!({"may_grant": vec!["no:such"; 100_000]}),
        Value::Object(names.collect()),
    ];
    for body in bodies {
        let problem = scene.assert_refused(scene.create(&body), 422, "invalid");
        let count = problem["errors"].as_array().unwrap().len();
        assert!((100..=202).contains(&count), "{count}");
    }
}

#[test]
fn an_allowlist_past_its_length_is_told_the_limit() {
    let scene = Scene::start();
    // The shortest there is, so that they fit into a body.
    let allowlist = json!({"networks": vec!["::1"; 100_001]});
    let message = scene.assert_invalid(
        scene.create(&json!({"allowlist": allowlist})),
        "/allowlist/networks",
        "allowlist_too_long",
    );
    assert!(message.contains("100000"), "{message}");
}

#[test]
fn one_wrong_line_among_fifty_thousand_is_named() {
    let scene = Scene::start();
    let mut lines = networks(50_000);
    lines[49_998] = "198.51.100.7/24".to_owned();
    let answer = scene.create(&json!({"allowlist": {"networks": lines}}));
    let message = scene.assert_invalid(answer, "/allowlist/networks/49998", "network_invalid");
    assert!(message.contains("198.51.100.0/24"), "{message}");
}

#[test]
fn a_body_of_ten_megabytes_is_refused_and_the_next_request_answered() {
    let scene = Scene::start();
    let long = "x".repeat(10 * 1024 * 1024);
    for target in [KEYS.to_owned(), format!("{KEYS}/{}/rotate", scene.key), format!("{KEYS}/{}/revoke", scene.key)] {
        scene.assert_refused(scene.post(&target, &json!({"name": long})), 413, "body_too_large");
    }
    scene.node.control().create("good", &["things0:read"]).unwrap();
}

#[test]
fn a_body_at_the_limit_is_read_and_one_past_it_is_not() {
    const LIMIT: usize = 8 * 1024 * 1024;
    let scene = Scene::start();
    let of_size = |size: usize| {
        let empty = json!({"name": ""}).to_string().len();
        json!({"name": "x".repeat(size - empty)})
    };
    let problem = scene.assert_refused(scene.post(KEYS, &of_size(LIMIT)), 422, "invalid");
    assert_eq!(problem["errors"][0]["code"], "name_invalid");
    scene.assert_refused(scene.post(KEYS, &of_size(LIMIT + 1)), 413, "body_too_large");
}

#[test]
fn names_that_play_tricks_are_refused() {
    let scene = Scene::start();
    let control = (0..0x20).chain(0x7f..0xa0);
    let formatting = [0x061c, 0x200b, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2060, 0x2066, 0x2069, 0xfeff];
    let unseen = [0xad, 0x115f, 0x1160, 0x180e, 0x3164, 0xffa0, 0xfe00, 0xe0001, 0xe0061, 0xe007f, 0xe0100];
    for code in control.chain(formatting).chain(unseen) {
        let odd = char::from_u32(code).unwrap();
        for name in [format!("a{odd}b"), format!("sales{odd}\u{5d0}\u{5d1}")] {
            let message = scene.assert_invalid(scene.create(&json!({"name": name})), "/name", "name_invalid");
            assert!(!message.contains(odd), "U+{code:04X} is echoed");
        }
    }
    for code in [0x061c, 0x200e, 0x200f, 0x202a, 0x202e, 0x2066, 0x2069] {
        let odd = format!("to{}day", char::from_u32(code).unwrap());
        scene.assert_invalid(scene.create(&json!({"description": odd})), "/description", "description_invalid");
        let body = json!({"name": odd});
        let edited = scene.node.control().send("PATCH", &format!("{KEYS}/{}", scene.key), &body).unwrap();
        scene.assert_invalid(edited, "/name", "name_invalid");
        let organization = scene.node.control().send("PUT", "/v1/organizations/other", &body).unwrap();
        scene.assert_invalid(organization, "/name", "name_invalid");
    }
    // Not text at all.
    for body in [&b"{\"name\":\"\xff\"}"[..], br#"{"name":"\ud800"}"#, b"{\"name\":\"a\nb\"}", b"\xef\xbb\xbf{}", b"{"]
    {
        let answer = scene.node.control().send_bytes("POST", KEYS, body).unwrap();
        scene.assert_refused(answer, 400, "malformed");
    }
}

#[test]
fn names_that_look_alike_are_one_name() {
    let scene = Scene::start();
    let create = |name: &str| scene.create(&json!({"name": name}));
    let made = create("Kärtchen ﬁle").expect(201).json();
    assert_eq!(made["name"], "Kärtchen ﬁle");
    for name in ["ka\u{308}rtchen file", "KÄRTCHEN\u{a0}FILE", "Ｋärtchen ﬁle"] {
        assert_eq!(create(name).expect(409).json()["code"], "name_taken", "{name}");
    }
    let found = scene.node.control().get(&format!("{KEYS}?q=ka%CC%88rtchen%20f")).unwrap().expect(200).json();
    assert_eq!(found["data"][0]["client_id"], made["client_id"]);
}

#[test]
fn what_was_sent_is_told_without_its_tricks() {
    let scene = Scene::start();
    let tricks = "\u{0}\u{1b}[31m\u{202e}\u{2066}\u{e0041}\u{3164}";
    let long = "x".repeat(5000);
    for odd in [format!("2027-01-31T00:00:00Z{tricks}"), format!("{tricks}{long}")] {
        for body in [
            json!({"expires_at": odd}),
            json!({"allowlist": {"networks": [odd]}}),
            json!({"permissions": [odd]}),
            json!({"preset": odd}),
            json!({"permissions": null, "type": "legacy", "role": odd}),
            json!({odd.as_str(): 1}),
            json!({"allowlist": {odd.as_str(): 1, "platform": true}}),
        ] {
            assert_plain(&scene.create(&body).expect(422).body);
        }
        let encoded: String = odd.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for query in [format!("{encoded}=1"), format!("limit=1&unused_since={encoded}"), format!("{encoded}&{encoded}")]
        {
            assert_plain(&scene.node.control().get(&format!("{KEYS}?{query}")).unwrap().expect(422).body);
        }
    }
    let twice = "{\"a\u{202e}\":1,\"a\u{202e}\":2}";
    assert_plain(&scene.node.control().send_bytes("POST", KEYS, twice.as_bytes()).unwrap().expect(400).body);
}

/// Nothing in it that nobody sees, and little of what was sent.
#[track_caller]
fn assert_plain(body: &[u8]) {
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(!text.contains(portcullis::model::is_invisible) && !text.contains("\\u00"), "{text:?}");
    assert!(text.len() < 1500, "{} bytes", text.len());
}

#[test]
fn expiries_that_cannot_be() {
    let scene = Scene::start();
    for (instant, code) in [
        ("2020-01-31T00:00:00Z", "expiry_in_the_past"),
        ("0000-01-01T00:00:00Z", "expiry_in_the_past"),
        ("1969-12-31T23:59:59.999Z", "expiry_in_the_past"),
        ("10000-01-01T00:00:00Z", "expiry_invalid"),
        ("+010000-01-01T00:00:00Z", "expiry_invalid"),
        ("9999-12-30T22:00:01Z", "expiry_invalid"),
        ("9999-12-31T23:59:59Z", "expiry_invalid"),
        ("9999-12-31T23:59:59-00:01", "expiry_invalid"),
        ("-000001-01-01T00:00:00Z", "expiry_invalid"),
        ("2027-02-29T00:00:00Z", "expiry_invalid"),
        ("2027-01-31", "expiry_invalid"),
        ("90d", "expiry_invalid"),
        ("", "expiry_invalid"),
        ("2027-01-31T00:00:00Z\u{0}", "expiry_invalid"),
    ] {
        for answer in [scene.create(&json!({"expires_at": instant})), scene.rotate(&json!({"expires_at": instant}))] {
            let message = scene.assert_invalid(answer, "/expires_at", code);
            let year_is_odd =
                instant.starts_with(['-', '+']) || instant.starts_with("9999") || instant.starts_with("10000");
            assert_eq!(message.contains("out of range: instants go from"), year_is_odd, "{instant}: {message}");
        }
    }
    for not_text in [json!(1_900_000_000), json!({"at": "2027-01-31T00:00:00Z"}), json!(["2027-01-31T00:00:00Z"])] {
        scene.assert_invalid(scene.create(&json!({"expires_at": not_text})), "/expires_at", "invalid_type");
    }
    let far = scene.create(&json!({"expires_at": "9999-12-30T22:00:00Z"})).expect(201).json();
    assert_eq!(far["expires_at"], "9999-12-30T22:00:00Z");
}

#[test]
fn one_unknown_permission_among_a_thousand_is_named() {
    let scene = Scene::start();
    let mut permissions: Vec<String> = (0..PERMISSIONS).map(|number| format!("things{number}:read")).collect();
    permissions[637] = "things637:reed".to_owned();
    let answer = scene.create(&json!({"permissions": permissions}));
    let message = scene.assert_invalid(answer, "/permissions/637", "permission_unknown");
    assert!(message.contains("things637:reed"), "{message}");
    // A thousand unknown ones are told as a hundred.
    let unknown: Vec<String> = (0..PERMISSIONS).map(|number| format!("nothings{number}:read")).collect();
    let problem = scene.assert_refused(scene.create(&json!({"permissions": unknown})), 422, "invalid");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 100);
    // All of them known: one key with a thousand permissions.
    permissions[637] = "things637:read".to_owned();
    let made = scene.create(&json!({"permissions": permissions})).expect(201).json();
    assert_eq!(made["permissions"].as_array().unwrap().len(), PERMISSIONS);
}

#[test]
fn targets_and_queries_that_are_nonsense() {
    let scene = Scene::start();
    let get = |target: &str| scene.node.control().get(target).unwrap();
    for (query, pointer, code) in [
        ("limit=0", "/limit", "parameter_invalid"),
        ("limit=101", "/limit", "parameter_invalid"),
        ("limit=-1", "/limit", "parameter_invalid"),
        ("limit=99999999999999999999", "/limit", "parameter_invalid"),
        ("limit=", "/limit", "parameter_invalid"),
        ("limit=1&limit=1", "/limit", "parameter_repeated"),
        ("status=alive", "/status", "parameter_invalid"),
        ("type=%ff", "/type", "parameter_invalid"),
        ("expires_before=10000-01-01T00:00:00Z", "/expires_before", "parameter_invalid"),
        ("a%2Fb=1", "/a~1b", "parameter_unknown"),
    ] {
        scene.assert_invalid(get(&format!("{KEYS}?{query}")), pointer, code);
    }
    for cursor in ["", "%00", "czo", "eDpwY3VsbF9h", &"A".repeat(20_000)] {
        scene.assert_refused(get(&format!("{KEYS}?cursor={cursor}")), 400, "malformed");
    }
    let long = "x".repeat(20_000);
    get(&format!("{KEYS}?q={long}")).expect(200);
    for id in [long.as_str(), "%00", "..%2f..", "%ff"] {
        scene.assert_refused(get(&format!("{KEYS}/{id}")), 404, "not_found");
    }
}
