//! An upstream that holds every byte it gets to what a reader may have sent through a gateway: a strict reader of its
//! own, which shares no line with the product.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// How much of a path is compared with the log's line.
const COMPARED: usize = 900;
const MOST_FAULTS: usize = 20;

/// What came.
#[derive(Default)]
pub(super) struct Record {
    pub(super) bytes: AtomicU64,
    /// Request ids, each with a digest of method and path.
    pub(super) heads: Mutex<HashMap<String, u64>>,
    /// What should not have come.
    pub(super) faults: Mutex<Vec<String>>,
}

impl Record {
    fn fault(&self, words: String) {
        let mut faults = self.faults.lock().unwrap();
        if faults.len() < MOST_FAULTS {
            faults.push(words);
        }
    }
}

pub(super) struct JudgingUpstream {
    pub(super) address: SocketAddr,
    pub(super) record: Arc<Record>,
}

impl JudgingUpstream {
    /// `client_id` is the only key whose requests may come.
    pub(super) fn start(client_id: Arc<Mutex<String>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let record = Arc::new(Record::default());
        let kept = Arc::clone(&record);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (record, client_id) = (Arc::clone(&record), Arc::clone(&client_id));
                std::thread::spawn(move || {
                    let reader = client_id.lock().unwrap().clone();
                    serve(stream, &record, &reader, address);
                });
            }
        });
        Self { address, record: kept }
    }
}

/// Digest of a method and the path below the base URL.
pub(super) fn digest(method: &str, path: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (method, &path[..path.len().min(COMPARED)]).hash(&mut hasher);
    hasher.finish()
}

/// Counts what it reads.
struct Counted<'r>(TcpStream, &'r Record);

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

fn serve(mut stream: TcpStream, record: &Record, reader: &str, address: SocketAddr) {
    stream.set_nodelay(true).unwrap();
    let mut input = BufReader::new(Counted(stream.try_clone().unwrap(), record));
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match input.read_until(b'\n', &mut head) {
                Ok(1..) if head.len() < 128 * 1024 => {}
                // A head that breaks off was never whole, and so was nothing.
                Ok(_) | Err(_) if head.is_empty() => return,
                Ok(_) | Err(_) => return record.fault(format!("a head breaks off: {}", shown(&head))),
            }
        }
        let request = match judge(&head, reader, address) {
            Ok(request) => request,
            Err(why) => return record.fault(format!("{why}: {}", shown(&head))),
        };
        let again = record.heads.lock().unwrap().insert(request.id, digest(&request.method, &request.path));
        if again.is_some() {
            return record.fault(format!("one request came twice: {}", shown(&head)));
        }
        if request.expects && stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_err() {
            return;
        }
        match read_body(&mut input, &request.body) {
            Ok(()) => {}
            // The caller went away in the middle.
            Err(error) if error.kind() != std::io::ErrorKind::InvalidData => return,
            Err(error) => return record.fault(format!("{error}: {}", shown(&head))),
        }
        let body = if request.method == "HEAD" { "" } else { "{\"from\":\"upstream\"}" };
        if write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{body}").is_err() {
            return;
        }
    }
}

fn shown(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(1500)]))
}

enum Body {
    None,
    Length(usize),
    Chunked,
}

struct Upstreamed {
    id: String,
    method: String,
    /// Below the upstream's prefix, without query.
    path: Vec<u8>,
    body: Body,
    expects: bool,
}

/// A well-formed head of something that the reader may do, with the identity that is ours to state.
fn judge(head: &[u8], reader: &str, address: SocketAddr) -> Result<Upstreamed, String> {
    let mut lines = head.strip_suffix(b"\r\n\r\n").ok_or("no end")?.split(|byte| *byte == b'\n');
    let line = lines.next().and_then(|line| line.strip_suffix(b"\r")).ok_or("a line ends without CRLF")?;
    let (method, path) = request_line(line)?;
    let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
    let rest: Vec<&[u8]> = lines.collect();
    for (at, line) in rest.iter().enumerate() {
        let line = match line.strip_suffix(b"\r") {
            Some(line) => line,
            // The last one lost its end above.
            None if at + 1 == rest.len() => line,
            None => return Err("a line ends without CRLF".to_owned()),
        };
        fields.push(field(line)?);
    }
    let all = |name: &str| -> Vec<&[u8]> {
        fields.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_slice()).collect()
    };
    let one = |name: &str| -> Result<&[u8], String> {
        let found = all(name);
        if found.len() == 1 { Ok(found[0]) } else { Err(format!("`{name}` is there {} times", found.len())) }
    };
    let nested = path.iter().filter(|byte| **byte == b'/').count() > 1;
    let operation = if nested { "GET /cards/{id}" } else { "GET /cards" };
    for (name, wanted) in [
        ("host", address.to_string()),
        ("portcullis-client-id", reader.to_owned()),
        ("portcullis-organization", "acme".to_owned()),
        ("portcullis-environment", "open".to_owned()),
        ("portcullis-operation", operation.to_owned()),
    ] {
        if one(name)? != wanted.as_bytes() {
            return Err(format!("`{name}` is not `{wanted}`"));
        }
    }
    strangers(&fields)?;
    let id = String::from_utf8(one("x-request-id")?.to_vec()).map_err(|_| "the request id is no text")?;
    let body = match (all("content-length").as_slice(), all("transfer-encoding").as_slice()) {
        ([], []) => Body::None,
        ([length], []) => Body::Length(number(length, 10).ok_or("a length that is none")?),
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => Body::Chunked,
        _ => return Err("the body has two ends, or none".to_owned()),
    };
    Ok(Upstreamed { id, method, path, body, expects: !all("expect").is_empty() })
}

fn request_line(line: &[u8]) -> Result<(String, Vec<u8>), String> {
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, b"HTTP/1.1"] = words.as_slice() else { return Err("no request line".to_owned()) };
    if !matches!(*method, b"GET" | b"HEAD") {
        return Err("a method that the reader may not use".to_owned());
    }
    if target.iter().any(|byte| *byte <= b' ' || matches!(byte, 0x7f | b'#')) {
        return Err("a byte that no target holds".to_owned());
    }
    let path = target.split(|byte| *byte == b'?').next().unwrap();
    let path = path.strip_prefix(b"/api").ok_or("a path above the upstream's")?;
    if readable(path) {
        Ok((String::from_utf8_lossy(method).into_owned(), path.to_vec()))
    } else {
        Err("a path that the reader may not read".to_owned())
    }
}

/// `/cards` and `/cards/{id}`, segment by segment, however an upstream decodes them; `/cards/blocked` is another
/// permission's.
fn readable(path: &[u8]) -> bool {
    let segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    match segments.as_slice() {
        [b"", cards] => decoded(cards) == b"cards",
        [b"", cards, id] => decoded(cards) == b"cards" && path.is_ascii() && names_a_card(id),
        _ => false,
    }
}

fn names_a_card(id: &[u8]) -> bool {
    let once = decoded(id);
    let twice = decoded(&once);
    // `;v=1` and extensions, as lax upstreams take them off.
    let lax = |id: &[u8]| id.split(|byte| matches!(byte, b';' | b'.')).next().unwrap().eq_ignore_ascii_case(b"blocked");
    let separator = |id: &Vec<u8>| id.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0));
    !separator(&once)
        && !separator(&twice)
        && !matches!(twice.as_slice(), b"" | b"." | b"..")
        && [&once, &twice].iter().all(|read| !matches!(read.first(), Some(b';')) && !lax(read))
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let byte = (text[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten().and_then(|hex| number(hex, 16));
        out.push(byte.map_or(text[at], |byte| byte as u8));
        at += if byte.is_some() { 3 } else { 1 };
    }
    out
}

/// Digits and nothing else.
fn number(digits: &[u8], radix: u32) -> Option<usize> {
    let text = std::str::from_utf8(digits).ok()?;
    (!text.is_empty() && text.chars().all(|digit| digit.is_digit(radix)))
        .then(|| usize::from_str_radix(text, radix).ok())
        .flatten()
}

fn field(line: &[u8]) -> Result<(String, Vec<u8>), String> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or("a line without a colon")?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if name.is_empty() || !name.iter().all(token) {
        return Err("a name that is no token".to_owned());
    }
    if value.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
        return Err("a control byte in a value".to_owned());
    }
    Ok((String::from_utf8_lossy(name).to_ascii_lowercase(), value.trim_ascii().to_vec()))
}

/// Names that may not come at all, whatever stands for their hyphens.
fn strangers(fields: &[(String, Vec<u8>)]) -> Result<(), String> {
    const OURS: [&str; 4] =
        ["portcullis-client-id", "portcullis-organization", "portcullis-environment", "portcullis-operation"];
    // Those that end here by their own name; under another one they are headers like any other.
    const HOP_BY_HOP: [&str; 4] = ["http2-settings", "keep-alive", "proxy-connection", "trailer"];
    // What Connection names is not among them: a mutated Connection may name nothing any more.
    const NEVER: [&str; 8] = [
        "authorization",
        "x-forwarded-uri",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-url",
        "x-real-ip",
        "x-rewrite-url",
    ];
    for (name, value) in fields {
        let folded: String = name.chars().map(|sign| if sign.is_alphanumeric() { sign } else { '-' }).collect();
        let alias = folded != *name;
        let forged = folded.starts_with("portcullis-") && (alias || !OURS.contains(&name.as_str()));
        let forwarding =
            folded.starts_with("x-forwarded-") && (alias || !value.starts_with(b"127.") && value != b"http");
        let forwarding = forwarding && (alias || name != "x-forwarded-host");
        let ends_here = NEVER.contains(&folded.as_str()) || HOP_BY_HOP.contains(&name.as_str());
        if forged || forwarding || ends_here || (name == "x-request-id" && value == b"evil") {
            return Err(format!("`{name}` came from the caller"));
        }
    }
    Ok(())
}

fn read_body(input: &mut impl BufRead, body: &Body) -> std::io::Result<()> {
    let broken = |words: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, words.to_owned());
    match body {
        Body::None => Ok(()),
        Body::Length(length) => skip(input, *length),
        Body::Chunked => loop {
            let mut line = Vec::new();
            input.read_until(b'\n', &mut line)?;
            let Some(digits) = line.strip_suffix(b"\r\n") else {
                return Err(if line.ends_with(b"\n") {
                    broken("a chunk's line")
                } else {
                    std::io::ErrorKind::UnexpectedEof.into()
                });
            };
            let size = number(digits, 16).ok_or_else(|| broken("a chunk's size"))?;
            skip(input, size)?;
            let mut end = [0; 2];
            input.read_exact(&mut end)?;
            if end != *b"\r\n" {
                return Err(broken("a chunk's end, or a trailer"));
            }
            if size == 0 {
                return Ok(());
            }
        },
    }
}

fn skip(input: &mut impl BufRead, length: usize) -> std::io::Result<()> {
    let read = std::io::copy(&mut input.take(length as u64), &mut std::io::sink())?;
    if read == length as u64 { Ok(()) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
}
