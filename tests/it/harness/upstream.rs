//! An upstream that keeps every byte it gets and answers by script. "Refused" means that it got none.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

/// What is answered on a path.
pub enum Answer {
    /// These bytes, and the connection stays open.
    Bytes(Vec<u8>),
    /// These bytes, then the connection is closed.
    BytesThenClose(Vec<u8>),
    /// The connection is closed without an answer.
    Close,
    /// A later request of a connection is not answered: the connection is closed. A first one gets the default.
    CloseIfReused,
    /// 200 with the request's body.
    Echo,
    /// No answer until the peer goes.
    Hang,
    /// A chunked 200: each text that is received is a chunk, and the sender's end is the end.
    Stream(mpsc::Receiver<Vec<u8>>),
    /// A WebSocket that sends every message back.
    WebSocketEcho,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which connection, counted from 0.
    pub connection: usize,
    pub method: String,
    pub target: String,
    /// The head as on the wire.
    pub head: String,
    pub headers: Vec<(String, String)>,
    /// Decoded where it was chunked.
    pub body: Vec<u8>,
}

impl Seen {
    /// The one field of that name.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.all(name);
        assert!(found.len() < 2, "`{name}` is repeated:\n{}", self.head);
        found.first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }
}

#[derive(Default)]
struct Record {
    /// Raw bytes, a connection each.
    connections: Vec<Vec<u8>>,
    requests: Vec<Seen>,
    /// By target without its query, prefix included.
    answers: HashMap<String, Arc<Mutex<Answer>>>,
}

/// The upstream. Its threads wait for connections until the test binary ends.
#[derive(Clone)]
pub struct RecordingUpstream {
    address: SocketAddr,
    record: Arc<Mutex<Record>>,
}

impl RecordingUpstream {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = Self { address: listener.local_addr().unwrap(), record: Arc::default() };
        let accepting = upstream.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let upstream = accepting.clone();
                std::thread::spawn(move || upstream.serve(stream));
            }
        });
        upstream
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Scripts a target (prefix included, query left out).
    pub fn on(&self, target: &str, answer: Answer) {
        self.record.lock().unwrap().answers.insert(target.to_owned(), Arc::new(Mutex::new(answer)));
    }

    /// How many bytes came in all; a refusal adds none.
    pub fn bytes_received(&self) -> usize {
        self.record.lock().unwrap().connections.iter().map(Vec::len).sum()
    }

    /// The raw bytes of each connection.
    pub fn connections(&self) -> Vec<Vec<u8>> {
        self.record.lock().unwrap().connections.clone()
    }

    pub fn requests(&self) -> Vec<Seen> {
        self.record.lock().unwrap().requests.clone()
    }

    /// The request that came last.
    #[track_caller]
    pub fn last(&self) -> Seen {
        self.record.lock().unwrap().requests.last().expect("a request upstream").clone()
    }

    fn serve(&self, stream: TcpStream) {
        let connection = {
            let mut record = self.record.lock().unwrap();
            record.connections.push(Vec::new());
            record.connections.len() - 1
        };
        let tap = Tap { stream: stream.try_clone().unwrap(), upstream: self.clone(), connection };
        let mut reader = BufReader::new(tap);
        let mut reused = false;
        // Whatever breaks here, the gateway has closed or the script says so.
        while let Ok(Some(request)) = read_request(&mut reader, connection, &stream) {
            let answer = self.answer_to(&request);
            if !matches!(respond(&request, answer, reused, &mut reader, &stream), Ok(true)) {
                break;
            }
            reused = true;
        }
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }

    fn answer_to(&self, request: &Seen) -> Option<Arc<Mutex<Answer>>> {
        let mut record = self.record.lock().unwrap();
        record.requests.push(request.clone());
        let path = request.target.split('?').next().unwrap();
        record.answers.get(path).cloned()
    }
}

/// Reads a connection and keeps what it read.
struct Tap {
    stream: TcpStream,
    upstream: RecordingUpstream,
    connection: usize,
}

impl Read for Tap {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.upstream.record.lock().unwrap().connections[self.connection].extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

fn read_request(reader: &mut BufReader<Tap>, connection: usize, stream: &TcpStream) -> std::io::Result<Option<Seen>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head)? == 0 {
            return Ok(None);
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    let mut seen = Seen { connection, method, target, head, headers, body: Vec::new() };
    let expects = seen.header("expect").is_some();
    if expects {
        (&*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if seen.header("transfer-encoding").is_some() {
        seen.body = read_chunks(reader)?;
    } else if let Some(length) = seen.header("content-length") {
        let mut body = vec![0; length.parse().unwrap_or(0)];
        reader.read_exact(&mut body)?;
        seen.body = body;
    }
    Ok(Some(seen))
}

fn read_chunks(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = line.trim().split(';').next().and_then(|size| usize::from_str_radix(size, 16).ok());
        let mut chunk = vec![0; size.ok_or(std::io::ErrorKind::InvalidData)?];
        reader.read_exact(&mut chunk)?;
        reader.read_line(&mut String::new())?;
        if chunk.is_empty() {
            return Ok(body);
        }
        body.extend(chunk);
    }
}

/// Answers; whether the connection stays open.
fn respond(
    request: &Seen,
    answer: Option<Arc<Mutex<Answer>>>,
    reused: bool,
    reader: &mut BufReader<Tap>,
    mut stream: &TcpStream,
) -> std::io::Result<bool> {
    let Some(answer) = answer else { return default_answer(request, stream) };
    let answer = answer.lock().unwrap();
    match &*answer {
        Answer::Bytes(bytes) => {
            let bytes = bytes.clone();
            drop(answer);
            stream.write_all(&bytes)?;
            Ok(true)
        }
        Answer::BytesThenClose(bytes) => {
            stream.write_all(bytes)?;
            Ok(false)
        }
        Answer::Close => Ok(false),
        Answer::CloseIfReused => {
            drop(answer);
            if reused { Ok(false) } else { default_answer(request, stream) }
        }
        Answer::Echo => {
            drop(answer);
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len())?;
            stream.write_all(&request.body)?;
            Ok(true)
        }
        Answer::Hang => {
            drop(answer);
            reader.read_to_end(&mut Vec::new())?;
            Ok(false)
        }
        Answer::Stream(chunks) => {
            write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for chunk in chunks {
                stream.write_all(&[format!("{:x}\r\n", chunk.len()).as_bytes(), &chunk, b"\r\n"].concat())?;
            }
            stream.write_all(b"0\r\n\r\n")?;
            Ok(true)
        }
        Answer::WebSocketEcho => {
            drop(answer);
            echo_messages(request, stream)
        }
    }
}

fn default_answer(request: &Seen, mut stream: &TcpStream) -> std::io::Result<bool> {
    let body = if request.method == "HEAD" { "" } else { "{\"from\":\"upstream\"}" };
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n{body}")?;
    Ok(true)
}

fn echo_messages(request: &Seen, mut stream: &TcpStream) -> std::io::Result<bool> {
    let accept = tungstenite::handshake::derive_accept_key(request.header("sec-websocket-key").unwrap().as_bytes());
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )?;
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, None);
    while let Ok(message) = socket.read() {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).is_err() {
            break;
        }
    }
    Ok(false)
}

/// The instrument is tried before it measures.
#[test]
fn upstream_and_client_understand_each_other() {
    use super::{Connection, End};
    let upstream = RecordingUpstream::start();
    upstream.on("/echo", Answer::Echo);
    upstream.on("/cut", Answer::BytesThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut".to_vec()));
    let mut connection = Connection::open_from(upstream.address(), "127.0.0.9");
    assert_eq!(connection.stream().local_addr().unwrap().ip().to_string(), "127.0.0.9");
    let first = b"PUT /echo?x HTTP/1.1\r\nContent-Length: 2\r\n\r\nab";
    assert_eq!(connection.exchange(first).text(), "ab");
    let second = b"PUT /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    assert_eq!(connection.exchange(second).text(), "abc");
    assert_eq!(connection.exchange(b"HEAD / HTTP/1.1\r\n\r\n").header("content-length"), Some("19"));
    let cut = connection.exchange(b"GET /cut HTTP/1.1\r\nX: y\r\n\r\n");
    assert_eq!((cut.text().as_str(), cut.truncated, cut.end), ("cut", true, End::Closed));
    let bodies: Vec<Vec<u8>> = upstream.requests().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies, [b"ab".to_vec(), b"abc".to_vec(), Vec::new(), Vec::new()]);
    assert_eq!((upstream.last().header("x"), upstream.connections().len()), (Some("y"), 1));
    assert!(upstream.connections()[0].starts_with(&[first.as_slice(), second].concat()));
    assert_eq!(upstream.bytes_received(), upstream.connections()[0].len());
}
