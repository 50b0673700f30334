//! A client that sends exactly the bytes it is given.

use super::{BASE_PATH, Gateway, HOST};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

/// How the reading of an answer, or of a connection, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer closed.
    Closed,
    /// The answer is complete and the connection was not seen to end.
    Open,
    /// The peer reset the connection.
    Reset,
    /// Nothing came for 10 s.
    Silent,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct RawResponse {
    pub status: u16,
    /// As on the wire, status line included.
    pub head: String,
    pub headers: Vec<(String, String)>,
    /// Decoded where it was chunked.
    pub body: Vec<u8>,
    /// The statuses of the 1xx answers before it.
    pub interim: Vec<u16>,
    /// Whether the body ended before it was complete.
    pub truncated: bool,
    /// How the connection went on.
    pub end: End,
    /// What came after the answer, up to the end of the connection.
    pub leftover: Vec<u8>,
}

impl RawResponse {
    /// The one field of that name.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let first = found.next();
        assert!(found.next().is_none(), "`{name}` is repeated:\n{}", self.head);
        first.map(|(_, value)| value.as_str())
    }

    pub fn closed(&self) -> bool {
        self.end == End::Closed
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.head, self.text()))
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.text());
        self
    }
}

/// A connection that can be used several times.
pub struct Connection {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    buffer: Vec<u8>,
}

impl Connection {
    #[track_caller]
    pub fn open(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).unwrap())
    }

    /// From that address of this machine (`127.0.0.9`).
    #[track_caller]
    pub fn open_from(to: SocketAddr, source: &str) -> Self {
        let source = SocketAddr::new(source.parse().unwrap(), 0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(source).unwrap();
            socket.connect(to).await.unwrap().into_std().unwrap()
        });
        stream.set_nonblocking(false).unwrap();
        Self::over(stream)
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, tls: None, buffer: Vec::new() }
    }

    /// Shakes hands on a connection, believing this authority (PEM) alone.
    pub fn secure(mut self, authority: &str, name: &str, protocols: &[&[u8]]) -> std::io::Result<Self> {
        self.start_tls(client_config(authority, protocols), name)?;
        Ok(self)
    }

    /// Shakes hands with a configuration of the caller's own.
    pub fn start_tls(&mut self, config: ClientConfig, name: &str) -> std::io::Result<()> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut self.stream)?;
        }
        self.tls = Some(Box::new(tls));
        Ok(())
    }

    /// The protocol that both sides agreed on in TLS.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.tls.as_ref()?.alpn_protocol()
    }

    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends; a peer that has closed already is judged by what it answered.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let written = match &mut self.tls {
            None => self.stream.write_all(bytes.as_ref()),
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.stream).write_all(bytes.as_ref()),
        };
        match written {
            Err(error) if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                panic!("sending: {error}")
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// Sends a request and reads its answer, and the end of the connection if the answer announces it.
    #[track_caller]
    pub fn exchange(&mut self, request: &[u8]) -> RawResponse {
        self.send(request);
        let mut response = self.read_response_to(request.starts_with(b"HEAD "));
        let closing = response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
            || response.head.starts_with("HTTP/1.0");
        if closing && response.end == End::Open {
            let (leftover, end) = self.read_to_end();
            response.leftover = leftover;
            response.end = end;
        }
        response
    }

    #[track_caller]
    pub fn read_response(&mut self) -> RawResponse {
        self.read_response_to(false)
    }

    /// Reads one final answer.
    #[track_caller]
    pub fn read_response_to(&mut self, head_request: bool) -> RawResponse {
        let mut interim = Vec::new();
        loop {
            let mut response = self.read_head();
            if (100..200).contains(&response.status) && response.status != 101 {
                interim.push(response.status);
                continue;
            }
            response.interim = interim;
            if !head_request && !matches!(response.status, 101 | 204 | 304) {
                self.read_body(&mut response);
            }
            return response;
        }
    }

    /// Reads a head, and leaves the body.
    #[track_caller]
    pub fn read_head(&mut self) -> RawResponse {
        let (head, end) = self.read_until(b"\r\n\r\n");
        assert_eq!(end, End::Open, "no whole head: {:?}", String::from_utf8_lossy(&head));
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
        let status = lines.next().unwrap().split(' ').nth(1).and_then(|word| word.parse().ok());
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line}"));
            (name.to_owned(), value.trim().to_owned())
        });
        RawResponse {
            status: status.unwrap_or_else(|| panic!("no status: {head}")),
            headers: headers.collect(),
            head: head.clone(),
            body: Vec::new(),
            interim: Vec::new(),
            truncated: false,
            end: End::Open,
            leftover: Vec::new(),
        }
    }

    fn read_body(&mut self, response: &mut RawResponse) {
        let chunked = response.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        if chunked {
            while let Some(chunk) = self.read_chunk(response) {
                response.body.extend(chunk);
            }
        } else if let Some(length) = response.header("content-length") {
            let length: usize = length.parse().unwrap();
            let (body, end) = self.read_exactly(length);
            response.truncated = body.len() < length;
            response.body = body;
            response.end = end;
        } else {
            let (body, end) = self.read_to_end();
            response.body = body;
            response.end = end;
        }
    }

    /// The next chunk of a chunked body; `None` after the last one, or where the connection ended.
    pub fn read_chunk(&mut self, response: &mut RawResponse) -> Option<Vec<u8>> {
        let (line, end) = self.read_until(b"\r\n");
        let size = std::str::from_utf8(&line).ok().and_then(|line| usize::from_str_radix(line.trim(), 16).ok());
        let (Some(size), End::Open) = (size, end) else {
            response.truncated = true;
            response.end = end;
            return None;
        };
        let (mut chunk, end) = self.read_exactly(size + 2);
        response.end = end;
        response.truncated = end != End::Open;
        chunk.truncate(size);
        (!chunk.is_empty()).then_some(chunk)
    }

    /// Reads up to and including `mark`.
    pub fn read_until(&mut self, mark: &[u8]) -> (Vec<u8>, End) {
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|window| window == mark) {
                return (self.buffer.drain(..at + mark.len()).collect(), End::Open);
            }
            let end = self.read_more();
            if end != End::Open {
                return (std::mem::take(&mut self.buffer), end);
            }
        }
    }

    pub fn read_exactly(&mut self, length: usize) -> (Vec<u8>, End) {
        while self.buffer.len() < length {
            let end = self.read_more();
            if end != End::Open {
                return (std::mem::take(&mut self.buffer), end);
            }
        }
        (self.buffer.drain(..length).collect(), End::Open)
    }

    /// Reads until the connection ends, or nothing comes for 10 s.
    pub fn read_to_end(&mut self) -> (Vec<u8>, End) {
        loop {
            let end = self.read_more();
            if end != End::Open {
                return (std::mem::take(&mut self.buffer), end);
            }
        }
    }

    fn read_more(&mut self) -> End {
        let mut bytes = [0; 65536];
        let read = match &mut self.tls {
            None => self.stream.read(&mut bytes),
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.stream).read(&mut bytes),
        };
        match read {
            Ok(0) => End::Closed,
            Ok(count) => {
                self.buffer.extend_from_slice(&bytes[..count]);
                End::Open
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => End::Silent,
            Err(error) if error.kind() == ErrorKind::Interrupted => End::Open,
            // A TLS connection that ended without saying so.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => End::Closed,
            Err(_) => End::Reset,
        }
    }
}

/// A client that believes this authority (PEM) alone.
pub fn client_config(authority: &str, protocols: &[&[u8]]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

/// A request that is put together.
#[derive(Clone)]
pub struct Request<'g> {
    gateway: &'g Gateway,
    method: String,
    target: String,
    host: String,
    headers: String,
    body: Vec<u8>,
    source: Option<String>,
}

impl<'g> Request<'g> {
    pub(super) fn new(gateway: &'g Gateway, method: &str, path: &str) -> Self {
        let target = format!("{BASE_PATH}{path}");
        let (method, host) = (method.to_owned(), HOST.to_owned());
        Self { gateway, method, target, host, headers: String::new(), body: Vec::new(), source: None }
    }

    /// Another target than one below the base URL.
    pub fn target(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        let _ = write!(self.headers, "{name}: {value}\r\n");
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub fn basic(self, id: &str, secret: &str) -> Self {
        use base64::Engine;
        let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
        self.header("Authorization", &format!("Basic {credentials}"))
    }

    pub fn body(mut self, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        let length = self.body.len().to_string();
        self.header("Content-Type", content_type).header("Content-Length", &length)
    }

    pub fn form(self, body: &str) -> Self {
        self.body("application/x-www-form-urlencoded", body)
    }

    /// The address of this machine that it is sent from.
    pub fn from(mut self, source: &str) -> Self {
        self.source = Some(source.to_owned());
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let Self { method, target, host, headers, .. } = self;
        let head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
        [head.as_bytes(), &self.body].concat()
    }

    /// Sends it on a connection of its own.
    #[track_caller]
    pub fn send(&self) -> RawResponse {
        let mut connection = match &self.source {
            None => self.gateway.connect(),
            Some(source) => self.gateway.connect_from(source),
        };
        connection.exchange(&self.bytes())
    }

    #[track_caller]
    pub fn send_on(&self, connection: &mut Connection) -> RawResponse {
        connection.exchange(&self.bytes())
    }
}
