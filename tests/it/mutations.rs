//! Mutated requests (R11): whatever is sent, nothing goes upstream that no token allows, and what goes is what was decided.
//!
//! Two environments, each before an upstream of its own. Cases of the first class hold credentials that open nothing:
//! its upstream gets not one byte. Cases of the second hold a reader's token: its upstream reads strictly, by code of its
//! own, and finds nothing but whole requests that the reader may make, each once, each in the access log.
//!
//! `PORTCULLIS_MUTATIONS` says how many (20 000), `PORTCULLIS_SEED` from where, `PORTCULLIS_CASES=7,9` runs those alone, on one
//! connection, and shows them: a failure says which.

mod client;
mod generator;
mod settings;
mod tokens;
mod upstream;

use crate::process::{Folder, HOST, Key, Node, Wire};
use client::{Client, Ending};
use generator::{Class, Generator, Random};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::BufRead;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use upstream::{JudgingUpstream, digest};

const CASES: u64 = 20_000;
const SEED: u64 = 0x0070_6f72_7463_756c;
const CLIENTS: u8 = 16;
/// After so many there is enough to think about.
const MOST_FAULTS: usize = 20;
/// What the node may grow by after its first third, in KiB.
const MOST_GROWTH: u64 = 32 * 1024;

const PERMISSIONS: &str = r#"
"cards:read" = ["GET /cards", "GET /cards/{id}"]
"cards:admin" = "GET /cards/blocked"
"cards:write" = ["POST /cards", "PUT /cards/{id}", "DELETE /cards/{id}"]
"files:read" = "GET /files/{path...}"
"other:do" = "POST /somewhere/else"
"#;

fn setting(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a longer run is asked for by environment variables")]
    std::env::var(name).ok()
}

fn number(name: &str) -> Option<u64> {
    setting(name).map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// A node with an environment that the cases may open, one that they may not, and one that tokens are borrowed from.
struct Scene {
    folder: Folder,
    node: Node,
    closed: JudgingUpstream,
    open: JudgingUpstream,
    generator: Generator,
}

impl Scene {
    fn start(seed: u64) -> Self {
        let reader = Arc::new(Mutex::new(String::new()));
        // No client id at all: every request that comes is one too many.
        let closed = JudgingUpstream::start(Arc::default());
        let open = JudgingUpstream::start(Arc::clone(&reader));
        let folder = Folder::new("http://127.0.0.1:9", "");
        let mut tenant = "[organization]\nid = \"acme\"\nname = \"Acme\"\n".to_owned();
        for (name, upstream) in [("closed", &closed), ("elsewhere", &closed), ("open", &open)] {
            tenant.push_str(&format!(
                "[environments.{name}]\nbase_url = \"http://{HOST}/v1/{name}\"\nupstream = \"http://{}/api\"\n\
                 [environments.{name}.permissions]\n{PERMISSIONS}",
                upstream.address
            ));
        }
        folder.write("tenants/acme.toml", &tenant);
        folder.edit("portcullis.toml", "access = \"off\"", "access = \"access.log\"\n[tokens]\nlifetime = \"24h\"");
        let node = folder.start();
        let (id, token) = usable(&node, "open", "reader", &["cards:read"]);
        *reader.lock().unwrap() = id;
        let powerless = powerless(&node, &token);
        let generator = Generator { seed, powerless, reader: token };
        Self { folder, node, closed, open, generator }
    }
}

fn keys(environment: &str) -> String {
    format!("/v1/organizations/acme/environments/{environment}/keys")
}

/// A key, and a token of it.
fn usable(node: &Node, environment: &str, name: &str, permissions: &[&str]) -> (String, String) {
    let body = json!({"name": name, "permissions": permissions});
    let key = Key::of(&node.control().post(&keys(environment), &body).unwrap().expect(201).json());
    let form = format!("grant_type=client_credentials&client_id={}&client_secret={}", key.id, key.secret);
    let fields = [("Content-Type", "application/x-www-form-urlencoded")];
    let mut wire = Wire::new(node.edge, HOST);
    let target = format!("/v1/{environment}/oauth2/token");
    let answer = wire.send("POST", &target, &fields, form.as_bytes()).unwrap().expect(200).json();
    (key.id, answer["access_token"].as_str().unwrap().to_owned())
}

/// Credentials that open nothing in the closed environment, each for a reason of its own.
fn powerless(node: &Node, readers: &str) -> Vec<String> {
    let every = ["cards:read", "cards:admin", "cards:write", "files:read"];
    let change = |id: &str, verb: &str, body: &Value| {
        node.control().post(&format!("{}/{id}/{verb}", keys("closed")), body).unwrap().expect(200);
    };
    let (revoked, of_revoked) = usable(node, "closed", "revoked", &every);
    change(&revoked, "revoke", &json!({}));
    let (rotated, of_rotated) = usable(node, "closed", "rotated", &every);
    change(&rotated, "rotate", &json!({"expires_at": null}));
    let (homebody, of_homebody) = usable(node, "closed", "homebody", &every);
    let allowlist = json!({"allowlist": {"networks": ["192.0.2.1"]}});
    let path = format!("{}/{homebody}", keys("closed"));
    node.control().send("PATCH", &path, &allowlist).unwrap().expect(200);
    let (_, of_another) = usable(node, "closed", "another", &["other:do"]);
    let (_, of_elsewhere) = usable(node, "elsewhere", "elsewhere", &every);
    let parts: Vec<&str> = readers.split('.').collect();
    let forged = [
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], parts[1].chars().rev().collect::<String>(), parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], of_another.rsplit('.').next().unwrap()),
    ];
    let known = [of_revoked, of_rotated, of_homebody, of_another, of_elsewhere, String::new(), "x".to_owned()];
    known.into_iter().chain(forged).collect()
}

/// What all clients found.
#[derive(Default)]
struct Found {
    endings: Mutex<BTreeMap<(Class, Ending), u64>>,
    faults: Mutex<Vec<String>>,
    done: AtomicU64,
}

impl Found {
    fn fault(&self, words: String) {
        let mut faults = self.faults.lock().unwrap();
        if faults.len() < MOST_FAULTS {
            faults.push(words);
        }
    }
}

/// Runs every `CLIENTS`th case. A client keeps to one class: what is left on a connection is of that class too.
fn drive(generator: &Generator, edge: SocketAddr, found: &Found, which: u8, cases: u64) {
    let class = if which.is_multiple_of(2) { Class::Closed } else { Class::Open };
    let mut client = Client::new(edge, Ipv4Addr::new(127, 1, 1, which + 1));
    let mut index = u64::from(which);
    while index < cases && found.faults.lock().unwrap().len() < MOST_FAULTS {
        one(generator, found, &mut client, class, index);
        found.done.fetch_add(1, Ordering::Relaxed);
        index += u64::from(CLIENTS);
    }
}

fn one(generator: &Generator, found: &Found, client: &mut Client, class: Class, index: u64) {
    let case = generator.case(class, index);
    let keep = !Random::of(!generator.seed, index).one_in(4);
    let outcome = client.run(index, &case, keep);
    *found.endings.lock().unwrap().entry((class, outcome.ending)).or_default() += 1;
    let why = match outcome {
        _ if outcome.ending == Ending::Silent => "neither answered nor closed".to_owned(),
        _ if class == Class::Closed && outcome.from_upstream => "the upstream answered".to_owned(),
        client::Outcome { odd: Some(odd), .. } => format!("an odd answer: {odd:?}"),
        client::Outcome { .. } => return,
    };
    let cases: Vec<String> = client.carried.iter().map(u64::to_string).collect();
    let bytes = String::from_utf8_lossy(&case.bytes).chars().take(2000).collect::<String>();
    found.fault(format!("case {index}, on a connection with {}: {why}\n{bytes:?}", cases.join(",")));
}

/// Kibibytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Waits until a third is done, then until all are, and says how it goes: what is resident at both times.
fn watch(scene: &Scene, found: &Found, cases: u64) -> (u64, u64) {
    let pid = scene.node.process.id();
    let mut said = 0;
    let mut until = |share: u64| {
        loop {
            let done = found.done.load(Ordering::Relaxed);
            if done >= share || found.faults.lock().unwrap().len() >= MOST_FAULTS {
                return resident(pid);
            }
            if done / 50_000 > said {
                said = done / 50_000;
                eprintln!("{done} cases, {} KiB resident", resident(pid));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    (until(cases / 3), until(cases))
}

#[test]
fn mutated_requests_open_nothing() {
    let seed = number("PORTCULLIS_SEED").unwrap_or(SEED);
    let cases = number("PORTCULLIS_MUTATIONS").unwrap_or(CASES);
    let scene = Scene::start(seed);
    let found = Found::default();
    let began = Instant::now();
    let again = format!("PORTCULLIS_SEED={seed} PORTCULLIS_MUTATIONS={cases}");
    if let Some(given) = setting("PORTCULLIS_CASES") {
        replay(&scene, &found, &given);
    } else {
        let (warm, end) = std::thread::scope(|scope| {
            let (generator, edge, found) = (&scene.generator, scene.node.edge, &found);
            for which in 0..CLIENTS {
                scope.spawn(move || drive(generator, edge, found, which, cases));
            }
            watch(&scene, found, cases)
        });
        let speed = cases as f64 / began.elapsed().as_secs_f64();
        eprintln!(
            "{again}: {cases} in {:.0?}, {speed:.0} a second; resident {warm} KiB, then {end} KiB",
            began.elapsed()
        );
        assert!(end < warm + MOST_GROWTH, "{again}: memory grew from {warm} to {end} KiB");
    }
    let endings = found.endings.lock().unwrap().clone();
    for ((class, ending), count) in &endings {
        eprintln!("  {class:?} {ending:?}: {count}");
    }
    let faults = found.faults.lock().unwrap().clone();
    assert!(faults.is_empty(), "{again}\n{}", faults.join("\n"));
    judge(scene, &again, setting("PORTCULLIS_CASES").is_none().then_some(cases));
}

/// Runs those cases alone, shows them and what came back.
fn replay(scene: &Scene, found: &Found, given: &str) {
    let cases: Vec<u64> = given.split(',').map(|index| index.trim().parse().expect("an index")).collect();
    let mut clients =
        [Class::Closed, Class::Open].map(|class| (class, Client::new(scene.node.edge, Ipv4Addr::new(127, 1, 1, 1))));
    for index in cases {
        let (class, client) = &mut clients[(index % 2) as usize];
        eprintln!("case {index}:\n{}\n", String::from_utf8_lossy(&scene.generator.case(*class, index).bytes));
        one(&scene.generator, found, client, *class, index);
    }
}

/// What the upstreams and the node have to say once all is over.
fn judge(scene: Scene, again: &str, cases: Option<u64>) {
    let Scene { folder, mut node, closed, open, .. } = scene;
    let faults = open.record.faults.lock().unwrap().clone();
    assert!(faults.is_empty(), "{again}\nupstream: {}", faults.join("\n"));
    let bytes = closed.record.bytes.load(Ordering::Relaxed);
    let closed_faults = closed.record.faults.lock().unwrap().clone();
    assert!(bytes == 0, "{again}\n{bytes} bytes went where nothing may go: {}", closed_faults.join("\n"));
    assert!(node.process.is_running(), "{again}\nthe node ended:\n{}", node.process.stderr());
    let metrics = quiet(&node);
    let stderr = node.process.stderr();
    assert!(!stderr.contains("panicked"), "{again}\n{stderr}");
    for line in metrics.lines().filter(|line| line.starts_with("portcullis_panics_total")) {
        assert!(line.ends_with(" 0"), "{again}\n{line}");
    }
    let dropped = metrics.lines().find_map(|line| line.strip_prefix("portcullis_access_log_dropped_total "));
    node.process.signal("TERM");
    let status = node.process.ended(Duration::from_secs(60));
    assert!(status.success(), "{again}\n{status}\n{}", node.process.stderr());
    let heads = open.record.heads.lock().unwrap();
    let logged = logged(&folder, again, &heads);
    eprintln!("{} requests upstream; {logged} lines of log, {} dropped", heads.len(), dropped.unwrap_or("0"));
    if dropped == Some("0") {
        let lost = heads.len() as u64 - logged.min(heads.len() as u64);
        assert!(lost == 0, "{again}\n{lost} requests upstream are in no line of the log");
    }
    if let Some(cases) = cases {
        // The mutations leave a good part sound, else they would prove little.
        assert!(
            heads.len() as u64 > cases / 20,
            "{again}\nonly {} of {cases} requests reached the upstream",
            heads.len()
        );
    }
}

/// Waits until nothing is in flight; the metrics then.
fn quiet(node: &Node) -> String {
    crate::harness::eventually("nothing is in flight", || {
        let text = Wire::new(node.metrics, "localhost").send("GET", "/metrics", &[], b"").ok()?;
        let text = String::from_utf8_lossy(&text.body).into_owned();
        text.lines().any(|line| line == "portcullis_requests_in_flight 0").then_some(text)
    })
}

/// Reads the access log: every line is JSON, what came upstream is in one line of it, with the same method and path, and
/// what it says was forwarded came. How many of the requests upstream it has.
fn logged(folder: &Folder, again: &str, heads: &std::collections::HashMap<String, u64>) -> u64 {
    let file = std::fs::File::open(folder.path("access.log")).unwrap();
    let mut met = std::collections::HashSet::new();
    for line in std::io::BufReader::new(file).split(b'\n') {
        let line = line.unwrap();
        let shown = String::from_utf8_lossy(&line);
        let parsed: Value = serde_json::from_slice(&line).unwrap_or_else(|error| panic!("{again}\n{error}: {shown}"));
        let text = |name: &str| parsed[name].as_str().unwrap_or_default();
        let path = text("path").strip_prefix("/v1/open").unwrap_or_default();
        let path = if path.is_empty() { "/" } else { path };
        match heads.get(text("request_id")) {
            Some(came) => {
                assert_eq!(*came, digest(text("method"), path.as_bytes()), "{again}\nanother path came than: {shown}");
                assert!(matches!(text("outcome"), "forwarded" | "failed"), "{again}\n{shown}");
                assert!(met.insert(text("request_id").to_owned()), "{again}\nlogged twice: {shown}");
            }
            None => assert_ne!(text("outcome"), "forwarded", "{again}\nit never came: {shown}"),
        }
    }
    met.len() as u64
}
