//! Second readers: real HTTP servers upstream read of each request what Portcullis decided on. Odd requests, all accepted:
//! whatever their path, query, fields and body mean, gateway and server have to agree on it.

use crate::harness::{BASE_PATH, Gateway, HOST, PATIENCE};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A server that ends with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/edge/readers").join(name)
}

/// Starts one that prints its port; `None`, and a word why, where the program is not there.
fn start(program: &str, name: &str) -> Option<Server> {
    let spawned = Command::new(program).arg(script(name)).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = spawned else {
        eprintln!("skipped: `{program}` is not here (make setup installs it)");
        return None;
    };
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().parse().unwrap_or_else(|_| panic!("`{program}` said {line:?}"));
    Some(Server { child, port })
}

/// nginx on a port that was free just now.
fn start_nginx(folder: &std::path::Path) -> Option<Server> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = std::fs::read_to_string(script("nginx.conf")).unwrap().replace("PORT", &port.to_string());
    std::fs::write(folder.join("nginx.conf"), config).unwrap();
    let program = ["nginx", "/usr/sbin/nginx"].into_iter().find(|program| {
        Command::new(program).arg("-v").stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    });
    let Some(program) = program else {
        eprintln!("skipped: `nginx` is not here (make setup installs it)");
        return None;
    };
    let mut command = Command::new(program);
    let child =
        command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf")).stdin(Stdio::null()).spawn().unwrap();
    let server = Server { child, port };
    let began = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < PATIENCE, "nginx does not listen");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Some(server)
}

/// A request that is odd and sound: its method, what stands behind the base URL, fields, the body as sent and as meant.
struct Odd {
    method: &'static str,
    path: String,
    fields: String,
    wire: String,
    body: String,
}

fn odd(method: &'static str, path: &str, fields: &str, wire: &str, body: &str) -> Odd {
    let [path, fields, wire, body] = [path, fields, wire, body].map(str::to_owned);
    Odd { method, path, fields, wire, body }
}

const PATHS: [&str; 30] = [
    "/cards",
    "/cards?",
    "/cards?a=1&a=2&b",
    "/cards??",
    "/cards?a?b=/c/../d;//e",
    "/cards?%2e%2e%2f%00%0d%0a",
    "/cards?q={}|^`[]\\@:!$()*,~'",
    "/cards?q=%23%3f",
    "/cards?x=http://evil.test/",
    "/c%61rds",
    "/cards/7",
    "/cards/%37",
    "/cards/a%20b%C3%A9",
    "/cards/%7e~%41A",
    "/cards/a+b:c@d!$&'()*,=",
    "/cards/a;v=1",
    "/cards/a.json",
    "/cards/.hidden",
    "/cards/...",
    "/cards/a..",
    "/cards/%25zz",
    "/cards/%2541",
    "/cards/%3f",
    "/cards/%23",
    "/cards/%3Fa=b",
    "/cards/%20",
    "/cards/c%c3%a4rd",
    "/files/a/b/",
    "/files/a.b/..c/d..",
    "/files/%e2%80%ae/x%7f%01",
];

fn corpus() -> Vec<Odd> {
    let mut all: Vec<Odd> = PATHS.iter().map(|path| odd("GET", path, "", "", "")).collect();
    for fields in [
        "X-Odd:\r\n",
        "X-Odd: \t a \t\r\n",
        "X-Odd: a\tb  c\r\n",
        "X-Odd: \"a, b\", 'c'; d=\"\\\"\"\r\n",
        "x-oDD: A\r\nX-More: 1\r\nX-More: 2\r\n",
        "X-Odd: : :\r\n",
        "X-Odd: a\r\nPortcullis-Client-Id: evil\r\nportcullis_client_id: evil\r\nPortcullis.Client.Id: evil\r\n",
        "X-Odd: a\r\nConnection: close, x-hop\r\nX-Hop: evil\r\nTE: trailers\r\n",
        "X-Odd: a\r\nForwarded: for=evil\r\nX-Forwarded-For: evil\r\nX-Real-IP: evil\r\nX-Original-URL: /evil\r\n",
        "!#$%&'*+-.^_`|~: token\r\nX-Odd: a\r\n",
    ] {
        all.push(odd("GET", "/cards", fields, "", ""));
    }
    all.push(odd("GET", "/cards", &format!("X-Odd: {}\r\n", "y".repeat(7000)), "", ""));
    let chunked = "Transfer-Encoding: chunked\r\n";
    all.extend([
        odd("POST", "/cards", "Content-Length: 0\r\n", "", ""),
        odd("POST", "/cards", "Content-Length: 005\r\n", "hello", "hello"),
        odd("POST", "/cards", "content-LENGTH: 5 \r\n", "hello", "hello"),
        odd("GET", "/cards", "Content-Length: 5\r\n", "hello", "hello"),
        odd("DELETE", "/cards/7", "Content-Length: 2\r\n", "\r\n", "\r\n"),
        odd(
            "POST",
            "/cards",
            "Content-Length: 39\r\n",
            "GET /api/admin HTTP/1.1\r\nHost: evil\r\n\r\n",
            "GET /api/admin HTTP/1.1\r\nHost: evil\r\n\r\n",
        ),
        odd("PUT", "/files/a", chunked, "0\r\n\r\n", ""),
        odd("PUT", "/files/a", chunked, "1\r\na\r\n1\r\nb\r\n01\r\nc\r\n0\r\n\r\n", "abc"),
        odd("PUT", "/files/a", chunked, "5;name=\"v\";x\r\nhello\r\n0;last\r\n\r\n", "hello"),
        odd("PUT", "/files/a", chunked, "A\r\n0\r\n\r\nGET /\r\n0\r\n\r\n", "0\r\n\r\nGET /"),
        odd("PUT", "/files/a", chunked, "2\r\nab\r\n0\r\nX-Trailer: evil\r\nPortcullis-Client-Id: evil\r\n\r\n", "ab"),
        odd("PUT", "/files/a", "transfer-encoding: CHUNKED\r\n", "1\r\na\r\n0000\r\n\r\n", "a"),
    ]);
    all
}

/// Sends one and reads the answer.
fn told(gateway: &Gateway, token: &str, odd: &Odd) -> String {
    let Odd { method, path, fields, wire, .. } = odd;
    let head = format!("{method} {BASE_PATH}{path} HTTP/1.1\r\nHost: {HOST}\r\n");
    let response = gateway.raw(format!("{head}Authorization: Bearer {token}\r\n{fields}\r\n{wire}"));
    assert_eq!(response.status, 200, "{method} {path} {fields:?}\n{}\n{}", response.head, response.text());
    response.text()
}

/// Each request is read as the one that was sent, once, and with our word on who sent it.
fn reads_alike(server: &Server, lenient: bool) {
    let gateway = Gateway::builder().upstream_url(&format!("http://127.0.0.1:{}/api", server.port)).start();
    let token = gateway.writer_token();
    for (number, odd) in (1..).zip(corpus()) {
        let seen: Value = serde_json::from_str(&told(&gateway, &token, &odd)).unwrap();
        let shown = format!("{} {} {:?} {:?}\n{seen}", odd.method, odd.path, odd.fields, odd.wire);
        assert_eq!(seen["method"], odd.method, "{shown}");
        assert_eq!(seen["target"], format!("/api{}", odd.path), "{shown}");
        assert_eq!(seen["body"], odd.body, "{shown}");
        assert_eq!(seen["count"], number, "a request more or less: {shown}");
        assert_eq!(seen["trailers"], Value::Array(Vec::new()), "{shown}");
        let fields: Vec<(&str, &str)> = seen["fields"].as_array().unwrap().iter().map(pair).collect();
        let all =
            |name: &str| fields.iter().filter(|(other, _)| *other == name).map(|(_, value)| *value).collect::<Vec<_>>();
        assert_eq!(all("portcullis-client-id"), ["writer"], "{shown}");
        assert_eq!(all("host").len(), 1, "{shown}");
        let ours = fields.iter().filter(|(name, _)| name.replace(['_', '.'], "-").starts_with("portcullis-"));
        assert_eq!(ours.count(), 4, "{shown}");
        assert!(fields.iter().all(|(_, value)| !value.contains("evil")), "{shown}");
        for name in ["x-odd", "x-more"] {
            let sent: Vec<&str> = odd.fields.split_terminator("\r\n").filter_map(|line| value_of(line, name)).collect();
            let trimmed: Vec<&str> =
                all(name).into_iter().map(|value| if lenient { value.trim() } else { value }).collect();
            assert_eq!(trimmed, sent, "{shown}");
        }
    }
}

fn pair(field: &Value) -> (&str, &str) {
    (field[0].as_str().unwrap(), field[1].as_str().unwrap())
}

fn value_of<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let (other, value) = line.split_once(':')?;
    other.eq_ignore_ascii_case(name).then(|| value.trim())
}

/// Spellings that a switch allows are part of one value, and arrive as they were sent.
fn reads_as_opaque(server: &Server) {
    let opaque = "encoded_slash = \"opaque\"\nencoded_backslash = \"opaque\"\ndouble_encoding = \"opaque\"\n\
                  semicolon = \"opaque\"\nempty_segments = \"literal\"";
    let url = format!("http://127.0.0.1:{}/api", server.port);
    let gateway = Gateway::builder().upstream_url(&url).paths(opaque).start();
    let token = gateway.writer_token();
    for (path, operation) in [
        ("/cards/a%2Fb", "GET /cards/{id}"),
        ("/cards/%2f", "GET /cards/{id}"),
        ("/cards/a%5cb", "GET /cards/{id}"),
        ("/cards/a%252Fb", "GET /cards/{id}"),
        ("/cards/%252e%252e", "GET /cards/{id}"),
        ("/cards/%2562locked", "GET /cards/{id}"),
        ("/cards/blocked;x", "GET /cards/{id}"),
        ("/cards/;x", "GET /cards/{id}"),
        ("/cards/;x%3By=%3f", "GET /cards/{id}"),
        ("/files//", "GET /files/{path...}"),
        ("/files//a//b/", "GET /files/{path...}"),
        ("/files/a;b=1//%2f%5C/c", "GET /files/{path...}"),
    ] {
        let seen: Value = serde_json::from_str(&told(&gateway, &token, &odd("GET", path, "", "", ""))).unwrap();
        assert_eq!(seen["target"], format!("/api{path}"), "{seen}");
        let said = seen["fields"].as_array().unwrap().iter().map(pair);
        let said: Vec<&str> =
            said.filter(|(name, _)| *name == "portcullis-operation").map(|(_, value)| value).collect();
        assert_eq!(said, [operation], "{path}");
    }
}

#[test]
fn node_reads_what_was_decided() {
    if let Some(server) = start("node", "echo.js") {
        reads_alike(&server, false);
        reads_as_opaque(&server);
    }
}

#[test]
fn python_reads_what_was_decided() {
    if let Some(server) = start("python3", "echo.py") {
        reads_alike(&server, true);
        reads_as_opaque(&server);
    }
}

/// nginx resolves, decodes and routes by itself: it finds the operation that was decided.
#[test]
fn nginx_routes_as_was_decided() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = start_nginx(folder.path()) else { return };
    let gateway = Gateway::builder().upstream_url(&format!("http://127.0.0.1:{}/api", server.port)).start();
    let token = gateway.writer_token();
    for odd in corpus().iter().filter(|odd| odd.method == "GET") {
        let text = told(&gateway, &token, odd);
        let lines: Vec<&str> = text.split('\n').collect();
        let path = odd.path.split('?').next().unwrap();
        let route = match path {
            "/cards" | "/c%61rds" => "cards",
            _ if path.starts_with("/cards/") => "card",
            _ => "file",
        };
        assert_eq!(lines[..4], [route, "GET", &format!("/api{}", odd.path), "writer"], "{text}");
        let sent = odd.fields.split_terminator("\r\n").find_map(|line| value_of(line, "x-odd")).unwrap_or_default();
        assert_eq!(lines[4].trim(), sent, "{text}");
    }
}

/// A server that leaves a body unread takes it for its next request, unless the connection ends with the answer.
#[test]
fn a_body_that_is_not_read_is_no_request() {
    let Some(server) = start("python3", "deaf.py") else { return };
    let gateway = Gateway::builder().upstream_url(&format!("http://127.0.0.1:{}/api", server.port)).start();
    let token = gateway.writer_token();
    let smuggled = "POST /api/evil HTTP/1.1\r\nHost: evil\r\nPortcullis-Client-Id: evil\r\nContent-Length: 0\r\n\r\n";
    let length = format!("Content-Length: {}\r\n", smuggled.len());
    let chunked = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    let mut asked = Vec::new();
    for (method, path) in [("GET", "/cards"), ("HEAD", "/cards/7"), ("DELETE", "/cards/7")] {
        told(&gateway, &token, &odd(method, path, &length, smuggled, ""));
        told(&gateway, &token, &odd(method, path, "Transfer-Encoding: chunked\r\n", &chunked, ""));
        asked.extend([format!("{method} /api{path}"), format!("{method} /api{path}")]);
    }
    asked.push("GET /api/cards".to_owned());
    assert_eq!(told(&gateway, &token, &odd("GET", "/cards", "", "", "")).split('\n').collect::<Vec<_>>(), asked);
}
