//! From one process of a node to the next under load: a good one loses no request, and one that fails changes nothing.

use crate::harness::{Answer, RecordingUpstream, ask_control, eventually};
use crate::process::{Folder, Node, PATIENCE, Process, Wire, portcullis};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tungstenite::{Message, WebSocket};

const PERMISSIONS: &str = r#""cards:read" = ["GET /cards", "GET /long", "GET /socket"]"#;

/// A node that is told to let what it serves end, however long that takes, and whatever came after it.
struct Bench {
    folder: Folder,
    node: Node,
    upstream: RecordingUpstream,
    token: String,
    successors: Vec<u32>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        for pid in &self.successors {
            let _ = Command::new("kill").args(["-s", "KILL", &pid.to_string()]).status();
        }
    }
}

/// How `portcullis upgrade` ended.
struct Upgraded {
    good: bool,
    words: String,
}

impl Bench {
    fn new() -> Self {
        Self::started(|_| ())
    }

    fn started(prepare: impl FnOnce(&mut Command)) -> Self {
        let upstream = RecordingUpstream::start();
        let folder = Folder::new(&upstream.url(), PERMISSIONS);
        folder.edit("portcullis.toml", "[log]", "[edge]\ndrain_timeout = \"5m\"\n[log]");
        let mut command = folder.command("serve");
        prepare(&mut command);
        let node = Node::start(&folder.path("data"), command);
        let key = node.control().create("driver", &["cards:read"]).unwrap();
        let token = node.edge().token(&key);
        Self { folder, node, upstream, token, successors: Vec::new() }
    }

    fn upgrade_with(&mut self, more: &[&str]) -> Upgraded {
        let output = self.folder.command("upgrade").args(more).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.stdout.is_empty(), "{output:?}");
        let pid = words.lines().find_map(|line| line.strip_prefix("process ")?.strip_suffix(" has taken over"));
        self.successors.extend(pid.and_then(|pid| pid.parse::<u32>().ok()));
        Upgraded { good: output.status.success(), words }
    }

    #[track_caller]
    fn upgrade(&mut self) -> u32 {
        let Upgraded { good, words } = self.upgrade_with(&[]);
        assert!(good, "{words}\n{}", self.node.process.stderr());
        *self.successors.last().unwrap()
    }

    /// A successor of the test's own, which says only what it is told to.
    fn fake(&self) -> Fake {
        let stream = UnixStream::connect(self.folder.path("data/node.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Fake { stream: BufReader::new(stream) }
    }

    /// The same, once it has gone so far. It takes as long as it likes.
    #[track_caller]
    fn fake_until(&self, until: Until) -> Fake {
        let mut fake = self.fake();
        fake.hello(60_000);
        fake.hears("sockets");
        if until >= Until::Ready {
            fake.say(r#"{"say":"ready"}"#);
        }
        if until >= Until::Go {
            fake.hears("go");
        }
        if until >= Until::Serving {
            fake.say(r#"{"say":"serving"}"#);
        }
        fake
    }

    fn served(&self) {
        self.node.edge().get("/v1/cards", &self.token).expect(200);
    }

    /// The node says why it goes on, and does.
    #[track_caller]
    fn goes_on(&mut self, why: &str) {
        let line = self.node.process.line_with("this node goes on serving");
        assert!(line.contains(why), "no `{why}` in `{line}`");
        assert!(self.node.process.is_running());
        self.served();
    }

    #[track_caller]
    fn old_one_ends(&mut self) {
        let status = self.node.process.ended(PATIENCE);
        assert_eq!(status.code(), Some(0), "{status}\n{}", self.node.process.stderr());
    }
}

struct Fake {
    stream: BufReader<UnixStream>,
}

/// How far a successor goes that does what it should.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Until {
    Sockets,
    Ready,
    Go,
    Serving,
}

impl Fake {
    fn say(&mut self, words: &str) {
        self.stream.get_mut().write_all(format!("{words}\n").as_bytes()).unwrap();
    }

    /// The same with descriptors beside it.
    fn say_with(&mut self, words: &str, descriptors: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
        let line = format!("{words}\n");
        let sent = sendmsg(self.stream.get_ref(), &[IoSlice::new(line.as_bytes())], &mut control, SendFlags::empty());
        assert_eq!(sent, Ok(line.len()));
    }

    fn hello(&mut self, within_ms: u32) {
        self.say(&json!({"say": "hello", "protocol": 1, "version": "x", "pid": 1, "within_ms": within_ms}).to_string());
    }

    /// What is said next; `null` is nothing any more.
    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or(Value::Null)
    }

    #[track_caller]
    fn hears(&mut self, word: &str) -> Value {
        let said = self.hear();
        assert_eq!(said["say"], word, "{said}");
        said
    }
}

/// Callers that never send anything twice: kept connections, new ones, a long download, a WebSocket.
struct Load {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    failed: Arc<Mutex<Vec<String>>>,
    callers: Vec<JoinHandle<()>>,
    pieces: mpsc::Sender<Vec<u8>>,
    download: JoinHandle<std::io::Result<String>>,
    socket: WebSocket<TcpStream>,
}

impl Load {
    fn on(bench: &Bench) -> Self {
        let (over, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let failed = Arc::<Mutex<Vec<String>>>::default();
        let (pieces, received) = mpsc::channel();
        bench.upstream.on("/long", Answer::Stream(received));
        bench.upstream.on("/socket", Answer::WebSocketEcho);
        let authorization = format!("Bearer {}", bench.token);
        let address = bench.node.edge;
        let caller = |keeps: bool| {
            let (over, answered, failed) = (Arc::clone(&over), Arc::clone(&answered), Arc::clone(&failed));
            let (mut wire, authorization) = (bench.node.edge(), authorization.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    match wire.send("GET", "/v1/cards", &[("Authorization", &authorization)], b"") {
                        Ok(answer) if answer.status == 200 => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Ok(answer) => failed.lock().unwrap().push(answer.to_string()),
                        Err(error) => failed.lock().unwrap().push(format!("keeps {keeps}: {error}")),
                    }
                    if !keeps {
                        wire = Wire::new(address, crate::process::HOST);
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
            })
        };
        let callers = [true, true, true, false, false].map(caller).into();
        let download = {
            let (mut wire, authorization) = (bench.node.edge(), authorization.clone());
            std::thread::spawn(move || {
                let answer = wire.send("GET", "/v1/long", &[("Authorization", &authorization)], b"")?;
                Ok(answer.text())
            })
        };
        // On a machine that is busy pingora may take the end of an empty request for the end of what it became, see
        // "Learned the hard way" in ARCHITECTURE.md: what is tested here begins with a socket that is open.
        let socket = eventually("a WebSocket is open", || {
            let mut socket = open_socket(address, &authorization);
            socket.send(Message::text("open")).ok()?;
            socket.read().ok().filter(|message| message.to_text().is_ok_and(|text| text == "open"))?;
            Some(socket)
        });
        Self { over, answered, failed, callers, pieces, download, socket }
    }

    /// What began before is still served by whoever began it.
    fn echo(&mut self, text: &str) {
        self.pieces.send(text.as_bytes().to_vec()).unwrap();
        self.socket.send(Message::text(text)).unwrap();
        assert_eq!(self.socket.read().unwrap().into_text().unwrap().as_str(), text);
    }

    /// So many more are answered from here on.
    fn await_more(&self, more: usize) {
        let wanted = self.answered.load(Ordering::Relaxed) + more;
        eventually("requests are answered", || (self.answered.load(Ordering::Relaxed) >= wanted).then_some(()));
    }

    /// How many were answered; none failed.
    #[track_caller]
    fn end(self, downloaded: &str) -> usize {
        self.over.store(true, Ordering::Relaxed);
        self.callers.into_iter().for_each(|caller| caller.join().unwrap());
        drop(self.pieces);
        assert_eq!(self.download.join().unwrap().unwrap(), downloaded);
        let failed = self.failed.lock().unwrap();
        assert!(failed.is_empty(), "{} failed: {failed:?}", failed.len());
        self.answered.load(Ordering::Relaxed)
    }
}

fn open_socket(address: SocketAddr, authorization: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = tungstenite::http::Request::get(format!("ws://{}/v1/socket", crate::process::HOST))
        .header("Host", crate::process::HOST)
        .header("Authorization", authorization)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", tungstenite::handshake::client::generate_key())
        .body(())
        .unwrap();
    tungstenite::client(request, stream).unwrap().0
}

#[test]
fn upgrades_under_load_lose_no_request() {
    let mut bench = Bench::new();
    let mut load = Load::on(&bench);
    load.await_more(20);
    load.echo("0");
    for round in ["1", "2", "3"] {
        bench.upgrade();
        load.await_more(50);
        load.echo(round);
    }
    // The first one is there for what began with it, the others had nothing left.
    assert!(bench.node.process.is_running());
    let stderr = bench.node.process.stderr();
    assert_eq!(stderr.matches("has taken over; what is still").count(), 3, "{stderr}");
    assert_eq!(stderr.matches(" taken over\n").count(), 3, "{stderr}");
    load.socket.close(None).unwrap();
    while load.socket.read().is_ok() {}
    let answered = load.end("0123");
    assert!(answered > 170, "{answered}");
    bench.old_one_ends();
    bench.served();
    // Changes go on where they were.
    bench.node.control().create("after", &["cards:read"]).unwrap();
}

#[test]
fn whatever_fails_before_it_serves_changes_nothing() {
    let mut bench = Bench::new();
    let load = Load::on(&bench);
    load.await_more(20);
    // It exits at once, and says nothing to the node.
    let ended = bench.upgrade_with(&["--binary", "/bin/false"]);
    assert!(!ended.good && ended.words.contains("ended with 1"), "{}", ended.words);
    // It is no program at all.
    let ended = bench.upgrade_with(&["--binary", "/nonexistent/portcullis"]);
    assert!(!ended.good && ended.words.contains("cannot be started"), "{}", ended.words);
    // It refuses its configuration.
    bench.folder.edit("portcullis.toml", "[log]", "[nonsense]\n[log]");
    let ended = bench.upgrade_with(&[]);
    assert!(!ended.good && ended.words.contains("nonsense"), "{}", ended.words);
    bench.folder.edit("portcullis.toml", "[nonsense]\n[log]", "[log]");
    // It finds out after it has the sockets that it cannot have an address.
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    bench.folder.edit(
        "portcullis.toml",
        "[listeners.metrics]\nbind = [",
        &format!("[listeners.metrics]\nbind = [\"{taken}\", "),
    );
    let ended = bench.upgrade_with(&[]);
    assert!(!ended.good && ended.words.contains("in use"), "{}", ended.words);
    bench.goes_on("in use");
    bench.folder.edit("portcullis.toml", &format!("\"{taken}\", "), "");
    for (words, why) in [
        ("GET / HTTP/1.1", "nobody understands"),
        (r#"{"say":"ready"}"#, "says hello first"),
        (r#"{"say":"hello","protocol":2,"version":"9.9.9","pid":1,"within_ms":1000}"#, "handshake 2"),
    ] {
        let mut fake = bench.fake();
        fake.say(words);
        assert!(fake.hears("refused")["reason"].as_str().unwrap().contains(why));
        bench.goes_on(why);
    }
    load.await_more(50);
    load.end("");
    assert_eq!(bench.upgrade(), *bench.successors.last().unwrap());
}

#[test]
fn a_successor_that_breaks_off_changes_nothing_wherever_it_does() {
    let mut bench = Bench::new();
    let load = Load::on(&bench);
    load.await_more(20);
    // With the sockets in its hands.
    let mut fake = bench.fake();
    fake.hello(60_000);
    let sockets = fake.hears("sockets");
    let listeners = sockets["descriptors"].as_array().unwrap().iter().filter(|one| one["is"] == "listener").count();
    assert_eq!(listeners, 3, "{sockets}");
    drop(fake);
    bench.goes_on("it ended");
    // It hangs.
    let mut fake = bench.fake();
    fake.hello(300);
    fake.hears("sockets");
    bench.goes_on("not ready within 300ms");
    fake.hears("refused");
    assert_eq!(fake.hear(), Value::Null);
    // Between ready and the end of its probation.
    drop(bench.fake_until(Until::Ready));
    bench.goes_on("it ended");
    // It changes its mind.
    let mut fake = bench.fake_until(Until::Ready);
    fake.say(r#"{"say":"failed","reason":"out of paper"}"#);
    bench.goes_on("out of paper");
    // Told to go, it does not.
    drop(bench.fake_until(Until::Go));
    bench.goes_on("it ended");
    // It serves, and dies of its first requests.
    drop(bench.fake_until(Until::Serving));
    bench.goes_on("it ended");
    load.await_more(50);
    load.end("");
    bench.upgrade();
    bench.old_one_ends();
    bench.served();
}

#[test]
fn a_successor_that_is_killed_before_its_turn_costs_nothing() {
    let mut bench = Bench::new();
    let load = Load::on(&bench);
    load.await_more(20);
    for milliseconds in [0, 400, 900] {
        let mut command = bench.folder.command("serve");
        let mut successor = Process::spawn(command.arg("--take-over"));
        successor.line_with("taking over from process");
        std::thread::sleep(Duration::from_millis(milliseconds));
        assert!(!successor.stderr().contains("listening edge="), "too late: {}", successor.stderr());
        successor.kill();
        bench.goes_on("it ended");
    }
    load.await_more(50);
    load.end("");
}

#[test]
fn a_successor_that_wakes_too_late_ends() {
    let mut bench = Bench::new();
    let mut command = bench.folder.command("serve");
    let mut successor = Process::spawn(command.arg("--take-over"));
    bench.node.process.line_with("the next process is ready");
    // It is told to go, and does nothing for longer than it may.
    successor.signal("STOP");
    bench.goes_on("it said nothing in time");
    successor.signal("CONT");
    let status = successor.ended(PATIENCE);
    assert_eq!(status.code(), Some(0), "{status}");
    let words = successor.all_of_stderr();
    assert!(
        words.contains("the node before goes on: it was to be serving") && !words.contains(" taken over\n"),
        "{words}"
    );
    bench.served();
    bench.upgrade();
    bench.old_one_ends();
}

/// A node before that says only what it is told to, and a service manager of both.
struct Before {
    folder: Folder,
    node: UnixListener,
    manager: UnixDatagram,
}

impl Before {
    fn new() -> Self {
        let folder = Folder::new("http://127.0.0.1:9", PERMISSIONS);
        std::fs::create_dir(folder.path("data")).unwrap();
        let node = UnixListener::bind(folder.path("data/node.sock")).unwrap();
        let manager = UnixDatagram::bind(folder.path("notify")).unwrap();
        manager.set_nonblocking(true).unwrap();
        Self { folder, node, manager }
    }

    /// A real successor that is ready, and the line to it.
    fn successor(&self) -> (Process, Fake) {
        let successor = Process::spawn(self.folder.command("serve").arg("--take-over"));
        let fake = self.line(None, || ());
        (successor, fake)
    }

    /// What a node before that is this process says it hands over.
    fn sockets(&self, pid: u32, descriptors: &Value) -> Value {
        json!({"say": "sockets", "version": "x", "pid": pid, "descriptors": descriptors,
            "notify_socket": self.folder.path("notify")})
    }

    /// The line to a real successor that is ready, and writes there once it may go. While it loads, something happens.
    fn line(&self, outputs: Option<&File>, meanwhile: impl FnOnce()) -> Fake {
        let stream = self.node.accept().unwrap().0;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut fake = Fake { stream: BufReader::new(stream) };
        fake.hears("hello");
        meanwhile();
        let descriptors = if outputs.is_some() { json!([{"is": "stdout"}, {"is": "stderr"}]) } else { json!([]) };
        let sockets = self.sockets(std::process::id(), &descriptors);
        match outputs {
            Some(file) => fake.say_with(&sockets.to_string(), &[file.as_fd(), file.as_fd()]),
            None => fake.say(&sockets.to_string()),
        }
        fake.hears("ready");
        fake
    }

    /// One that serves, beside a node before that does.
    fn side_by_side(&self) -> (Process, Fake) {
        let (successor, mut fake) = self.successor();
        fake.say(r#"{"say":"go"}"#);
        fake.hears("serving");
        (successor, fake)
    }
}

#[track_caller]
fn ends_well(mut successor: Process) -> String {
    let status = successor.ended(PATIENCE);
    let words = successor.all_of_stderr();
    assert!(status.success(), "{status}\n{words}");
    words
}

/// It may serve, and two must not.
#[test]
fn a_line_that_closes_is_not_the_end_of_the_node_before() {
    let before = Before::new();
    for goes in [false, true] {
        let (mut successor, mut fake) = before.successor();
        if goes {
            fake.say(r#"{"say":"go"}"#);
            fake.hears("serving");
        }
        drop(fake);
        let status = successor.ended(PATIENCE);
        let words = successor.all_of_stderr();
        assert_eq!(status.success(), goes, "{words}");
        assert!(words.contains("goes on: it closed the line"), "{words}");
        assert!(!words.contains("served from here") && !words.contains(" taken over\n"), "{words}");
    }
    assert!(before.manager.recv(&mut [0; 64]).is_err(), "the service manager was told of what came to nothing");
}

/// One that is not watched would be lost where the process is the first one of a container.
#[test]
fn a_start_that_is_told_to_end_is_over() {
    let before = Before::new();
    for signal in ["TERM", "INT"] {
        let mut successor = Process::spawn(before.folder.command("serve").arg("--take-over"));
        let mut fake = Fake { stream: BufReader::new(before.node.accept().unwrap().0) };
        fake.hears("hello");
        successor.signal(signal);
        assert_eq!(successor.ended(PATIENCE).code(), Some(0), "{signal}: it was caught");
        assert!(successor.all_of_stderr().contains("told to end before it served"));
    }
}

/// It would take the successor along when it ends.
#[test]
fn the_first_process_of_a_container_has_no_successor() {
    let before = Before::new();
    let mut successor = Process::spawn(before.folder.command("serve").arg("--take-over"));
    let mut fake = Fake { stream: BufReader::new(before.node.accept().unwrap().0) };
    fake.hears("hello");
    fake.say(&before.sockets(1, &json!([])).to_string());
    assert!(fake.hears("failed")["reason"].as_str().unwrap().contains("process 1 of its container"));
    assert_eq!(successor.ended(PATIENCE).code(), Some(1));
    assert!(successor.all_of_stderr().contains("replace the container"));
}

/// Whoever tells all processes of a name to read their files again tells one that is on its way too.
#[test]
fn signals_that_end_nobody_end_no_successor_that_loads() {
    let before = Before::new();
    let successor = Process::spawn(before.folder.command("serve").arg("--take-over"));
    let mut fake = before.line(None, || ["HUP", "QUIT", "USR1", "USR2"].iter().for_each(|name| successor.signal(name)));
    fake.say(r#"{"say":"go"}"#);
    fake.hears("serving");
    successor.line_with("USR1 is ignored");
    successor.line_with("reloaded (HUP)");
}

/// It has taken connections, and is not cut off by whoever started it.
#[test]
fn a_successor_that_was_refused_serves_what_it_took() {
    let before = Before::new();
    before.folder.edit("portcullis.toml", "[log]", "[edge]\ndrain_timeout = \"5m\"\n[log]");
    let out = before.folder.path("out");
    let mut upgrade = Process::spawn(&mut before.folder.command("upgrade"));
    let mut fake = before.line(Some(&File::create(&out).unwrap()), || ());
    fake.say(r#"{"say":"go"}"#);
    fake.hears("serving");
    let said = || std::fs::read_to_string(&out).unwrap();
    let edge = said().split("edge=").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    let mut kept = Wire::new(edge, crate::process::HOST);
    kept.send("GET", "/v1/cards", &[], b"").unwrap().refused(401, "token_missing");
    // The next one is on its way when nothing comes of the upgrade.
    let mut taken = kept.into_stream();
    taken.write_all(b"GET /v1/cards HTTP/1.1\r\n").unwrap();
    fake.say(r#"{"say":"refused","reason":"no"}"#);
    upgrade.line_with("ends once what it serves is over");
    assert_eq!(upgrade.ended(PATIENCE).code(), Some(1));
    taken.write_all(format!("Host: {}\r\nConnection: close\r\n\r\n", crate::process::HOST).as_bytes()).unwrap();
    let mut answer = String::new();
    taken.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}\n{}", said());
}

#[test]
fn a_successor_that_is_told_to_end_before_its_turn_ends_alone() {
    let before = Before::new();
    let (mut successor, mut fake) = before.successor();
    successor.signal("TERM");
    fake.say(r#"{"say":"go"}"#);
    // A signal takes a moment: where its turn was sooner, the node as a whole is meant.
    let mut said = fake.hear();
    if said["say"] == "serving" {
        said = fake.hear();
    }
    let reason = said["reason"].as_str().unwrap_or_default().to_owned();
    assert!(said["say"] == "ending" || (said["say"] == "failed" && reason.contains("was told to end")), "{said}");
    successor.ended(PATIENCE);
    assert!(!successor.all_of_stderr().contains(" taken over\n"));
}

#[test]
fn a_successor_that_is_told_to_end_side_by_side_says_so() {
    let before = Before::new();
    let (successor, mut fake) = before.side_by_side();
    successor.signal("TERM");
    fake.hears("ending");
    fake.say(r#"{"say":"ending"}"#);
    let words = ends_well(successor);
    assert!(words.contains("the node before ends as well") && !words.contains(" taken over\n"), "{words}");

    let (successor, mut fake) = before.side_by_side();
    let words = successor.stderr();
    let control =
        words.split("control=").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap().parse().unwrap();
    let token = std::fs::read_to_string(before.folder.path("data/bootstrap-token")).unwrap();
    let (status, told) = ask_control(control, token.trim(), "POST", "/v1/drain", &json!({}));
    assert_eq!((status, &told), (202, &json!({"draining": true})));
    fake.hears("ending");
    // It had its turn before that was heard: nobody takes over from it, and its private socket is gone.
    fake.say(r#"{"say":"yours"}"#);
    ends_well(successor);
}

#[test]
fn a_node_ends_with_a_successor_that_was_told_to_end_side_by_side() {
    let mut bench = Bench::new();
    let mut fake = bench.fake_until(Until::Serving);
    fake.say(r#"{"say":"ending"}"#);
    fake.hears("ending");
    bench.old_one_ends();
    let words = bench.node.process.all_of_stderr();
    assert!(words.contains("this one drains as well") && !words.contains("goes on serving"), "{words}");
}

/// A service manager that stops a unit tells all of its processes, also the one that ends anyway.
#[test]
fn a_node_that_has_handed_over_and_is_told_to_end_lets_requests_end() {
    let mut bench = Bench::new();
    let download = Download::through(&bench);
    bench.upgrade();
    bench.node.process.signal("TERM");
    bench.node.process.line_with("draining already");
    download.ends_whole();
    bench.old_one_ends();
    bench.served();
}

/// A download through a node, which goes on until it gets its last piece.
struct Download {
    pieces: mpsc::Sender<Vec<u8>>,
    received: JoinHandle<std::io::Result<String>>,
}

impl Download {
    fn through(bench: &Bench) -> Self {
        let (pieces, given) = mpsc::channel();
        bench.upstream.on("/long", Answer::Stream(given));
        let (mut wire, authorization) = (bench.node.edge(), format!("Bearer {}", bench.token));
        let received = std::thread::spawn(move || {
            wire.send("GET", "/v1/long", &[("Authorization", &authorization)], b"").map(|answer| answer.text())
        });
        eventually("it is upstream", || (!bench.upstream.requests().is_empty()).then_some(()));
        Self { pieces, received }
    }

    #[track_caller]
    fn ends_whole(self) {
        self.pieces.send(b"whole".to_vec()).unwrap();
        drop(self.pieces);
        assert_eq!(self.received.join().unwrap().unwrap(), "whole");
    }
}

/// Nobody takes connections then: whoever starts the node again must not wait for what the old process still serves.
#[test]
fn a_node_whose_successor_was_lost_ends_at_the_first_signal_and_says_so() {
    for signal in [true, false] {
        let mut bench = Bench::new();
        let download = Download::through(&bench);
        let mut fake = bench.fake_until(Until::Serving);
        fake.hears("yours");
        bench.node.process.line_with("has taken over; what is still");
        drop(fake);
        match signal {
            true => bench.node.process.signal("TERM"),
            false => download.ends_whole(),
        }
        let status = bench.node.process.ended(PATIENCE);
        let words = bench.node.process.all_of_stderr();
        assert_eq!(status.code(), Some(1), "{words}");
        assert!(words.contains("the process that took over has ended"), "{words}");
        assert_eq!(words.contains("the signal ends the drain"), signal, "{words}");
    }
}

#[test]
fn a_successor_that_ends_in_order_is_not_lost() {
    let mut bench = Bench::new();
    let download = Download::through(&bench);
    let pid = bench.upgrade().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    let program = Path::new("/proc").join(pid).join("exe");
    eventually("the successor is gone", || program.read_link().is_err().then_some(()));
    bench.node.process.signal("TERM");
    bench.node.process.line_with("draining already");
    download.ends_whole();
    bench.old_one_ends();
}

/// What is begun at the control API of the node before, and reaches it once another one has its work.
#[test]
fn what_a_node_is_told_once_it_has_handed_over_is_refused() {
    let mut bench = Bench::new();
    let (node, token) = (&bench.node, bench.node.operator_token());
    let begin = |target: &&str| {
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{"
        );
        let mut stream = TcpStream::connect(node.control).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let begun: Vec<TcpStream> = ["/v1/drain", "/v1/reload", "/v1/signing-keys/rotate"].iter().map(begin).collect();
    // Connections are taken in their order.
    bench.node.control().get("/v1/status").unwrap().expect(200);
    bench.upgrade();
    for mut stream in begun {
        stream.write_all(b"}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let head = answer.to_lowercase();
        assert!(head.starts_with("http/1.1 503 ") && head.contains("\r\nconnection: close\r\n"), "{answer}");
        assert!(answer.contains("another process has taken over"), "{answer}");
    }
    bench.old_one_ends();
    assert!(!bench.node.process.stderr().contains("a drain was asked for"));
    bench.served();
}

#[test]
fn a_reload_during_an_upgrade_is_not_undone() {
    let mut bench = Bench::new();
    bench.folder.edit("portcullis.toml", "[log]", "[tenants]\nwatch = false\n[log]");
    let mut command = bench.folder.command("serve");
    let successor = Process::spawn(command.arg("--take-over"));
    // Its files are read.
    successor.line_with("taking over from process");
    bench.folder.edit("tenants/acme.toml", "\"GET /cards\", ", "");
    bench.node.process.signal("HUP");
    bench.node.process.line_with("reloaded (HUP)");
    assert_ne!(bench.node.edge().get("/v1/cards", &bench.token).status, 200);
    successor.line_with("taken over");
    bench.old_one_ends();
    assert_ne!(bench.node.edge().get("/v1/cards", &bench.token).status, 200, "{}", successor.stderr());
}

#[test]
fn signing_keys_are_those_of_whoever_has_the_work() {
    let mut bench = Bench::new();
    let keys = |bench: &Bench| {
        let listed = bench.node.control().get("/v1/signing-keys").unwrap().expect(200).json();
        let keys = listed["data"].as_array().unwrap_or_else(|| panic!("{listed}")).clone();
        keys.iter().map(|key| (key["algorithm"].as_str().unwrap().to_owned(), key["ends_at"].is_null())).collect()
    };
    let before: Vec<(String, bool)> = keys(&bench);
    assert!(before.len() == 1 && before[0].1, "{before:?}");
    bench.folder.edit("portcullis.toml", "[log]", "[tokens]\nalgorithm = \"ES256\"\n[log]");
    // It has loaded everything, and then breaks off.
    let mut command = bench.folder.command("serve");
    let mut successor = Process::spawn(command.arg("--take-over"));
    bench.node.process.line_with("the next process is ready");
    assert_eq!(keys(&bench), before);
    successor.kill();
    bench.goes_on("it ended");
    assert_eq!(keys(&bench), before);
    bench.upgrade();
    bench.old_one_ends();
    eventually("a key of the new kind is made", || {
        let mut after = keys(&bench);
        after.sort();
        (after == [("ES256".to_owned(), true), ("EdDSA".to_owned(), false)]).then_some(())
    });
    bench.served();
}

/// Slow callers all round an upgrade: what they began is answered by whoever took it.
#[test]
fn heads_that_are_on_their_way_are_answered() {
    let mut bench = Bench::new();
    let (address, token) = (bench.node.edge, bench.token.clone());
    let over = Arc::<AtomicBool>::default();
    let opening = {
        let over = Arc::clone(&over);
        std::thread::spawn(move || {
            let mut callers = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let head = format!(
                    "GET /v1/cards HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n",
                    crate::process::HOST
                );
                callers.push(std::thread::spawn(move || {
                    let (half, rest) = head.split_at(head.len() - 2);
                    let mut stream = TcpStream::connect(address)?;
                    stream.write_all(half.as_bytes())?;
                    std::thread::sleep(Duration::from_secs(4));
                    stream.write_all(rest.as_bytes())?;
                    let mut answer = String::new();
                    BufReader::new(stream).read_line(&mut answer).map(|_| answer)
                }));
                std::thread::sleep(Duration::from_millis(100));
            }
            callers
        })
    };
    bench.upgrade();
    std::thread::sleep(Duration::from_secs(1));
    over.store(true, Ordering::Relaxed);
    let answers: Vec<_> = opening.join().unwrap().into_iter().map(|caller| caller.join().unwrap()).collect();
    let good = |answer: &std::io::Result<String>| answer.as_ref().is_ok_and(|line| line.starts_with("HTTP/1.1 200"));
    assert!(answers.len() > 10 && answers.iter().all(good), "{answers:?}");
    bench.old_one_ends();
}

#[test]
fn one_at_a_time() {
    let mut bench = Bench::new();
    let mut first = bench.fake();
    first.hello(60_000);
    first.hears("sockets");
    // One that says nothing is in nobody's way.
    let _silent = bench.fake();
    let second = bench.upgrade_with(&[]);
    assert!(!second.good && second.words.contains("another upgrade is under way"), "{}", second.words);
    drop(first);
    bench.goes_on("another upgrade");
    bench.goes_on("it ended");
    bench.upgrade();
    bench.old_one_ends();
    bench.served();
}

#[test]
fn addresses_that_are_new_are_bound_and_those_that_are_not_wanted_end_with_the_old_one() {
    let mut bench = Bench::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bench.folder.edit(
        "portcullis.toml",
        "[listeners.metrics]\nbind = [\"127.0.0.1:0\"]",
        &format!("[listeners.metrics]\nbind = [\"{free}\"]"),
    );
    bench.upgrade();
    bench.old_one_ends();
    bench.served();
    Wire::new(free, "localhost").send("GET", "/readyz", &[], b"").unwrap().expect(200);
    assert!(TcpStream::connect(bench.node.metrics).is_err(), "nobody accepts there, and it is still open");
    bench.node.control().get("/v1/status").unwrap().expect(200);
}

#[test]
fn there_has_to_be_a_node() {
    let bench = Bench::new();
    let socket = bench.folder.path("data/node.sock");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&socket), mode(&bench.folder.path("data"))), (0o600, 0o700));
    bench.node.process.signal("TERM");
    let mut bench = bench;
    bench.old_one_ends();
    assert!(!socket.exists(), "it was left behind");
    let ended = bench.upgrade_with(&[]);
    assert!(!ended.good && ended.words.contains("no node runs on"), "{}", ended.words);
    // What a kill leaves behind is in nobody's way.
    let mut killed = bench.folder.start();
    killed.process.kill();
    assert!(socket.exists());
    bench.node = bench.folder.start();
    bench.upgrade();
    bench.old_one_ends();
    bench.served();
    let pid = bench.successors.pop().unwrap().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    eventually("the successor is gone", || (!socket.exists()).then_some(()));
}

#[test]
fn a_node_that_is_told_to_end_takes_its_successor_along() {
    let mut bench = Bench::new();
    let mut fake = bench.fake_until(Until::Sockets);
    bench.node.process.signal("TERM");
    assert!(fake.hears("refused")["reason"].as_str().unwrap().contains("told to end"));
    bench.old_one_ends();
}

#[test]
fn while_two_serve_what_one_changes_reaches_the_other_at_once() {
    let bench = Bench::new();
    let _fake = bench.fake_until(Until::Sockets);
    // Another process on the same store.
    let other = bench.folder.start();
    let mut slowest = Duration::ZERO;
    for round in 0..10 {
        let key = other.control().create(&format!("key {round}"), &["cards:read"]).unwrap();
        let token = eventually("the key is known here", || {
            let answer = bench.node.edge().ask_token(&key);
            (answer.status == 200).then(|| answer.json()["access_token"].as_str().unwrap().to_owned())
        });
        let mut edge = bench.node.edge();
        edge.get("/v1/cards", &token).expect(200);
        other.control().revoke(&key.id).unwrap();
        let revoked = Instant::now();
        while edge.get("/v1/cards", &token).status != 401 {
            assert!(revoked.elapsed() < PATIENCE);
        }
        slowest = slowest.max(revoked.elapsed());
    }
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
}

#[test]
fn a_service_manager_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut bytes = [0; 1024];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let mut bench = Bench::started(|command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    let ready = |pid: u32| format!("MAINPID={pid}\nREADY=1\nSTATUS=serving");
    assert_eq!(told(), ready(bench.node.process.id()));
    bench.node.process.signal("HUP");
    let reloading = told();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(told(), "READY=1\nSTATUS=serving");
    // It is not told of one that fails; the socket is known to a successor that was started by somebody else.
    assert!(!bench.upgrade_with(&["--binary", "/bin/false"]).good);
    let pid = bench.upgrade();
    assert_eq!(told(), ready(pid));
    bench.old_one_ends();
    assert!(Command::new("kill").args(["-s", "TERM", &pid.to_string()]).status().unwrap().success());
    assert_eq!(told(), "STOPPING=1\nSTATUS=draining");
}

/// Whoever runs `portcullis upgrade` may be a service itself.
#[test]
fn the_service_that_asks_for_an_upgrade_does_not_become_the_node() {
    let before = Before::new();
    let path = before.folder.path("another");
    let another = UnixDatagram::bind(&path).unwrap();
    another.set_nonblocking(true).unwrap();
    let mut upgrade = Process::spawn(before.folder.command("upgrade").env("NOTIFY_SOCKET", &path));
    let mut fake = before.line(Some(&File::create(before.folder.path("out")).unwrap()), || ());
    fake.say(r#"{"say":"go"}"#);
    fake.hears("serving");
    fake.say(r#"{"say":"yours"}"#);
    assert!(upgrade.ended(PATIENCE).success());
    let words = upgrade.all_of_stderr();
    let pid = words.lines().find_map(|line| line.strip_prefix("process ")?.strip_suffix(" has taken over")).unwrap();
    let _successor = Detached(pid.to_owned());
    let mut bytes = [0; 1024];
    let length = eventually("a service manager is told", || {
        before.manager.recv(&mut bytes).or_else(|_| another.recv(&mut [0; 1024]).map(|_| 0)).ok()
    });
    let told = String::from_utf8_lossy(&bytes[..length]).into_owned();
    assert_eq!(told, format!("MAINPID={pid}\nREADY=1\nSTATUS=serving"));
}

/// A successor that nobody waits for.
struct Detached(String);

impl Drop for Detached {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-s", "KILL", &self.0]).status();
    }
}

/// What systemd does: descriptors from 3 on, and the process id that they are meant for.
#[test]
fn sockets_that_a_service_manager_opened_are_used() {
    let opened = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = opened.local_addr().unwrap();
    let folder = Folder::new("http://127.0.0.1:9", PERMISSIONS);
    folder.edit(
        "portcullis.toml",
        "[listeners.edge]\nbind = [\"127.0.0.1:0\"]",
        &format!("[listeners.edge]\nbind = [\"{address}\"]"),
    );
    let start = |names: &str| {
        let script = "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_portcullis"), "serve", "--config"]);
        command.arg(folder.path("portcullis.toml")).env("NO_COLOR", "1").env("LISTEN_FDNAMES", names);
        // Its stdin for a moment: the standard library passes nothing else on.
        command.stdin(std::os::fd::OwnedFd::from(opened.try_clone().unwrap()));
        command
    };
    let mut refused = Process::spawn(&mut start("http"));
    assert!(!refused.ended(PATIENCE).success());
    assert!(refused.all_of_stderr().contains("FileDescriptorName=edge"));
    let node = Node::start(&folder.path("data"), start("edge"));
    assert_eq!(node.edge, address);
    node.edge().get("/v1/cards", "none").refused(401, "token_invalid");
}

#[test]
fn a_successor_writes_where_the_node_before_it_did() {
    let mut bench = Bench::started(|_| ());
    bench.upgrade();
    bench.old_one_ends();
    let pid = bench.successors.last().unwrap().to_string();
    assert!(Command::new("kill").args(["-s", "HUP", &pid]).status().unwrap().success());
    bench.node.process.line_with("reloaded (HUP)");
}

#[test]
fn by_hand_it_keeps_its_own_terminal() {
    let mut bench = Bench::new();
    let mut successor = portcullis(&["serve", "--take-over", "--config"]);
    let successor = Process::spawn(successor.arg(bench.folder.path("portcullis.toml")));
    successor.line_with("listening edge=");
    successor.line_with("taken over");
    bench.old_one_ends();
    bench.served();
}
