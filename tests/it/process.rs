//! Processes of their own and raw wires to them, for the tests in which the process is the subject: what survives a
//! kill, what a start says, what a demo prints, and what ten thousand rotations do.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a start, an answer or an end is waited for. It only decides how long a failure takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The host of every base URL here: the port of the edge can then change from start to start.
pub(crate) const HOST: &str = "gate.test";
pub(crate) const KEYS: &str = "/v1/organizations/acme/environments/production/keys";

/// A configuration in a folder that goes away with it.
pub(crate) struct Folder {
    root: tempfile::TempDir,
}

impl Folder {
    /// One organization, one environment: `http://gate.test/v1` in front of `upstream`, with these permissions (TOML).
    pub(crate) fn new(upstream: &str, permissions: &str) -> Self {
        let folder = Self { root: tempfile::tempdir().unwrap() };
        folder.write(
            "portcullis.toml",
            "[listeners.edge]\nbind = [\"127.0.0.1:0\"]\n[listeners.control]\nbind = [\"127.0.0.1:0\"]\n\
             [listeners.metrics]\nbind = [\"127.0.0.1:0\"]\n[log]\naccess = \"off\"\n",
        );
        std::fs::create_dir(folder.path("tenants")).unwrap();
        folder.write(
            "tenants/acme.toml",
            &format!(
                "[organization]\nid = \"acme\"\nname = \"Acme\"\n[environments.production]\n\
                 base_url = \"http://{HOST}/v1\"\nupstream = \"{upstream}\"\n\
                 [environments.production.permissions]\n{permissions}\n"
            ),
        );
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Exchanges one text of a file for another.
    #[track_caller]
    pub(crate) fn edit(&self, name: &str, old: &str, new: &str) {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(old), "no `{old}` in {name}:\n{text}");
        self.write(name, &text.replace(old, new));
    }

    /// `portcullis COMMAND --config FILE`.
    pub(crate) fn command(&self, command: &str) -> Command {
        portcullis(&[command, "--config", self.path("portcullis.toml").to_str().unwrap()])
    }

    /// Starts a node on it and waits until it listens.
    pub(crate) fn start(&self) -> Node {
        Node::start(&self.path("data"), self.command("serve"))
    }
}

/// The binary with nothing of the caller's own settings, and no terminal.
pub(crate) fn portcullis(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(args).stdin(Stdio::null());
    for name in ["PORTCULLIS_SERVER", "PORTCULLIS_TOKEN", "PORTCULLIS_CA_FILE", "RUST_LOG"] {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1");
    command
}

/// A child process that ends with the test, and all that it wrote to stderr.
pub(crate) struct Process {
    child: Child,
    stderr: Arc<Mutex<String>>,
    lines: mpsc::Receiver<String>,
}

impl Process {
    /// Starts it. Its stdout stays as `command` has it.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = mpsc::channel();
        let (kept, pipe) = (Arc::clone(&stderr), child.stderr.take().unwrap());
        // It reads until the process ends.
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
                // Nobody waits for lines any more once the test is over.
                let _ = sender.send(line);
            }
        });
        Self { child, stderr, lines }
    }

    pub(crate) fn stdout(&mut self) -> std::process::ChildStdout {
        self.child.stdout.take().unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// What it wrote to stderr until it ended.
    pub(crate) fn all_of_stderr(&self) -> String {
        // The sender goes when the pipe is at its end.
        self.lines.iter().for_each(drop);
        self.stderr()
    }

    /// The first line from here on that holds `words`.
    #[track_caller]
    pub(crate) fn line_with(&self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(words) => return line,
                Ok(_) => (),
                Err(why) => panic!("no `{words}` on stderr ({why}):\n{}", self.stderr()),
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line on stderr; `None` at its end.
    #[track_caller]
    pub(crate) fn next_line(&self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("nothing on stderr for {PATIENCE:?}:\n{}", self.stderr()),
        }
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "no process to send {name} to: {}", self.stderr());
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end, `within` at most.
    #[track_caller]
    pub(crate) fn ended(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "still running after {within:?}:\n{}", self.stderr());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// SIGKILL: nothing is told, nothing is finished.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running node.
pub(crate) struct Node {
    pub(crate) process: Process,
    pub(crate) edge: SocketAddr,
    pub(crate) control: SocketAddr,
    pub(crate) metrics: SocketAddr,
    /// From the start of the process to the line that says where it listens.
    pub(crate) start_took: Duration,
    bootstrap_token: String,
}

impl Node {
    #[track_caller]
    pub(crate) fn start(data: &Path, mut command: Command) -> Self {
        let before = Instant::now();
        let process = Process::spawn(command.stdout(Stdio::null()));
        let line = process.line_with("listening edge=");
        let start_took = before.elapsed();
        let address = |name: &str| -> SocketAddr {
            let named = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            named
                .and_then(|text| text.trim_matches(['"', ',']).parse().ok())
                .unwrap_or_else(|| panic!("no {name} address in `{line}`"))
        };
        let (edge, control, metrics) = (address("edge"), address("control"), address("metrics"));
        let bootstrap_token = std::fs::read_to_string(data.join("bootstrap-token")).unwrap().trim().to_owned();
        Self { process, edge, control, metrics, start_took, bootstrap_token }
    }

    pub(crate) fn operator_token(&self) -> &str {
        &self.bootstrap_token
    }

    /// A connection to the edge.
    pub(crate) fn edge(&self) -> Wire {
        Wire::new(self.edge, HOST)
    }

    /// The control API as the operator.
    pub(crate) fn control(&self) -> Control {
        let wire = Wire::new(self.control, &self.control.to_string());
        Control { wire, authorization: format!("Bearer {}", self.bootstrap_token) }
    }
}

/// An API key whose secret we were shown.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Key {
    pub(crate) fn of(shown: &Value) -> Self {
        let text = |name: &str| shown[name].as_str().unwrap_or_else(|| panic!("no {name} in {shown}")).to_owned();
        Self { id: text("client_id"), secret: text("client_secret") }
    }
}

/// The control API over one connection that is kept.
pub(crate) struct Control {
    wire: Wire,
    authorization: String,
}

impl Control {
    pub(crate) fn get(&mut self, target: &str) -> std::io::Result<Answer> {
        self.wire.send("GET", target, &[("Authorization", &self.authorization)], b"")
    }

    pub(crate) fn post(&mut self, target: &str, body: &Value) -> std::io::Result<Answer> {
        self.send("POST", target, body)
    }

    pub(crate) fn send(&mut self, method: &str, target: &str, body: &Value) -> std::io::Result<Answer> {
        self.send_bytes(method, target, body.to_string().as_bytes())
    }

    /// A body that calls itself JSON.
    pub(crate) fn send_bytes(&mut self, method: &str, target: &str, body: &[u8]) -> std::io::Result<Answer> {
        let fields = [("Authorization", self.authorization.as_str()), ("Content-Type", "application/json")];
        self.wire.send(method, target, &fields, body)
    }

    /// A new key; the error is a connection that broke before the answer was whole.
    pub(crate) fn create(&mut self, name: &str, permissions: &[&str]) -> std::io::Result<Key> {
        let answer = self.post(KEYS, &json!({"name": name, "permissions": permissions}))?;
        Ok(Key::of(&answer.expect(201).json()))
    }

    /// The same key with its new secret.
    pub(crate) fn rotate(&mut self, id: &str) -> std::io::Result<Key> {
        let answer = self.post(&format!("{KEYS}/{id}/rotate"), &json!({"expires_at": null}))?;
        Ok(Key::of(&answer.expect(200).json()))
    }

    pub(crate) fn revoke(&mut self, id: &str) -> std::io::Result<Value> {
        Ok(self.post(&format!("{KEYS}/{id}/revoke"), &json!({}))?.expect(200).json())
    }

    /// Every key there is, over as many pages as it takes.
    pub(crate) fn every_key(&mut self) -> Vec<Value> {
        let mut keys = Vec::new();
        let mut target = format!("{KEYS}?limit=100");
        loop {
            let mut page = self.get(&target).unwrap().expect(200).json();
            keys.append(page["data"].as_array_mut().unwrap());
            match page["next_cursor"].as_str() {
                Some(cursor) => target = format!("{KEYS}?limit=100&cursor={cursor}"),
                None => return keys,
            }
        }
    }
}

/// HTTP/1.1 over one connection that is kept for as long as the other side keeps it.
pub(crate) struct Wire {
    address: SocketAddr,
    host: String,
    stream: Option<BufReader<TcpStream>>,
    /// How many connections it took so far.
    pub(crate) connections: u32,
}

impl Wire {
    pub(crate) fn new(address: SocketAddr, host: &str) -> Self {
        Self { address, host: host.to_owned(), stream: None, connections: 0 }
    }

    /// Its connection, which is there.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream.unwrap().into_inner()
    }

    /// One request and its whole answer. Nothing is ever sent twice.
    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in fields {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == "POST" || method == "PATCH" {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        match stream.get_mut().write_all(&[request.as_bytes(), body].concat()) {
            // Whoever has answered already need not read the rest.
            Err(error) if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                return Err(error);
            }
            Ok(()) | Err(_) => (),
        }
        let answer = Answer::read(&mut stream, method)?;
        if !answer.closes {
            self.stream = Some(stream);
        }
        Ok(answer)
    }

    fn connect(&mut self) -> std::io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        self.connections += 1;
        Ok(BufReader::new(stream))
    }

    /// `GET` with a bearer token.
    #[track_caller]
    pub(crate) fn get(&mut self, target: &str, token: &str) -> Answer {
        self.send("GET", target, &[("Authorization", &format!("Bearer {token}"))], b"").unwrap()
    }

    /// Asks the token endpoint, with the credentials in the body.
    #[track_caller]
    pub(crate) fn ask_token(&mut self, key: &Key) -> Answer {
        let Key { id, secret } = key;
        let body = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let fields = [("Content-Type", "application/x-www-form-urlencoded")];
        self.send("POST", "/v1/oauth2/token", &fields, body.as_bytes()).unwrap()
    }

    /// A token.
    #[track_caller]
    pub(crate) fn token(&mut self, key: &Key) -> String {
        self.ask_token(key).expect(200).json()["access_token"].as_str().unwrap().to_owned()
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    closes: bool,
}

impl Answer {
    fn read(stream: &mut impl BufRead, method: &str) -> std::io::Result<Self> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        let status = head.get(9..12).and_then(|text| text.parse().ok());
        let status: u16 = status.unwrap_or_else(|| panic!("not an answer: {head:?}"));
        let mut answer = Self { status, head, body: Vec::new(), closes: false };
        answer.closes = answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if method == "HEAD" || matches!(status, 204 | 304) {
            return Ok(answer);
        }
        if answer.field("transfer-encoding").is_some() {
            answer.body = read_chunks(stream)?;
        } else if let Some(length) = answer.field("content-length") {
            answer.body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut answer.body)?;
        } else {
            answer.closes = true;
            stream.read_to_end(&mut answer.body)?;
        }
        Ok(answer)
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|why| panic!("no JSON ({why}): {self}"))
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// Refused, and by us: status, header, and the same code in the problem where it is one.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.field("portcullis-error")), (status, Some(code)), "{self}");
        if self.field("content-type") == Some("application/problem+json") {
            assert_eq!(self.json()["code"], code, "{self}");
        }
        self
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.head, self.text())
    }
}

fn read_chunks(stream: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim(), 16);
        let size = size.map_err(|_| std::io::Error::from(std::io::ErrorKind::UnexpectedEof))?;
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk)?;
        if size == 0 {
            return Ok(body);
        }
        body.extend(&chunk[..size]);
    }
}

/// An API of our own behind the gate: it answers 200 to everything and remembers what it was asked.
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Api {
    /// It answers at once.
    pub(crate) fn start() -> Self {
        Self::answering(|stream| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    }

    /// It takes requests and never answers.
    pub(crate) fn silent() -> Self {
        Self::answering(|_| Ok(()))
    }

    fn answering(answer: fn(&mut TcpStream) -> std::io::Result<()>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        // It accepts until the test binary ends.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                // A gate that goes away is the test's to judge.
                std::thread::spawn(move || serve_connection(stream, &kept, answer));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The request lines it got so far, without the version.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits for its first request.
    #[track_caller]
    pub(crate) fn wait_for_a_request(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.seen.lock().unwrap().is_empty() {
            assert!(Instant::now() < deadline, "no request reached the API");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Requests without a body, one after the other. At most a hundred are remembered.
fn serve_connection(
    mut stream: TcpStream,
    seen: &Mutex<Vec<String>>,
    answer: fn(&mut TcpStream) -> std::io::Result<()>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let mut kept = seen.lock().unwrap();
        if kept.len() < 100 {
            kept.push(head.split(' ').take(2).collect::<Vec<_>>().join(" "));
        }
        drop(kept);
        answer(&mut stream)?;
    }
}

/// SplitMix64: enough to choose moments and keys by.
pub(crate) struct Dice(u64);

impl Dice {
    /// Seeded by `PORTCULLIS_TEST_SEED`, or anew each time; the seed is printed.
    pub(crate) fn roll() -> Self {
        use std::hash::{BuildHasher, Hasher};
        #[expect(clippy::disallowed_methods, reason = "to run a failed test again with its seed")]
        let given = std::env::var("PORTCULLIS_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish());
        eprintln!("PORTCULLIS_TEST_SEED={seed}");
        Self(seed)
    }

    /// The same numbers every time.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// Another of its own, for another thread.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }
}
