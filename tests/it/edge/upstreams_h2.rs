//! Upstreams of HTTP/2: what arrives there, streams that were never taken up, and trailers.

use super::upstreams_tls::config;
use crate::harness::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, block};
use crate::harness::{Authority, BASE_PATH, Gateway, HOST, Http2, writer};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Arrived {
    method: String,
    uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<HeaderMap>,
}

/// More than all buffers between an upstream and a caller who takes nothing.
const LARGE: usize = 32 << 20;

/// An upstream of HTTP/2. It refuses the first streams, so many as it is told.
pub(super) struct H2Upstream {
    pub(super) address: SocketAddr,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl H2Upstream {
    pub(super) fn start(refusals: usize) -> Self {
        Self::start_with(refusals, None)
    }

    fn start_with(refusals: usize, tls: Option<ServerConfig>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let upstream = Self { address: listener.local_addr().unwrap(), arrived: Arc::default() };
        let (arrived, refusals) = (Arc::clone(&upstream.arrived), Arc::new(AtomicUsize::new(refusals)));
        let tls = tls.map(|tls| TlsAcceptor::from(Arc::new(tls)));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let (arrived, refusals, tls) = (Arc::clone(&arrived), Arc::clone(&refusals), tls.clone());
                    tokio::spawn(async move {
                        match tls {
                            None => serve_all(stream, &refusals, &arrived).await,
                            Some(tls) => {
                                let Ok(stream) = tls.accept(stream).await else { return };
                                serve_all(stream, &refusals, &arrived).await;
                            }
                        }
                    });
                }
            });
        });
        upstream
    }

    fn gateway(&self) -> Gateway {
        Gateway::builder().upstream_whole(&format!("url = \"http://{}/api\"\nprotocol = \"h2c\"", self.address)).start()
    }

    #[track_caller]
    pub(super) fn last(&self) -> Arrived {
        self.arrived.lock().unwrap().last().expect("a request").clone()
    }
}

async fn serve_all(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    refusals: &AtomicUsize,
    arrived: &Arc<Mutex<Vec<Arrived>>>,
) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let left = refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_ok() {
            respond.send_reset(Reason::REFUSED_STREAM);
        } else {
            tokio::spawn(serve(request, respond, Arc::clone(arrived)));
        }
    }
}

/// Answers with the request's body, as it comes, and trailers.
async fn serve(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, arrived: Arc<Mutex<Vec<Arrived>>>) {
    let (parts, mut stream) = request.into_parts();
    let Ok(mut answer) = respond.send_response(Response::builder().status(200).body(()).unwrap(), false) else {
        return;
    };
    if parts.uri.path().ends_with("/large") {
        let _ = answer.send_data(Bytes::from(vec![b'x'; LARGE]), true);
        // It goes as far as windows let it.
        return;
    }
    let mut body = Vec::new();
    while let Some(Ok(data)) = stream.data().await {
        body.extend_from_slice(&data);
        let _ = stream.flow_control().release_capacity(data.len());
        let _ = answer.send_data(data, false);
    }
    let trailers = stream.trailers().await.ok().flatten();
    let (method, uri, headers) = (parts.method.to_string(), parts.uri, parts.headers);
    arrived.lock().unwrap().push(Arrived { method, uri, headers, body, trailers });
    let mut trailers = HeaderMap::new();
    for (name, value) in [("grpc-status", "0"), ("portcullis-error", "token_missing"), ("set-cookie", "a=b")] {
        trailers.insert(name, HeaderValue::from_static(value));
    }
    let _ = answer.send_trailers(trailers);
}

#[test]
fn a_request_in_http_1_arrives_in_http_2() {
    let upstream = H2Upstream::start(0);
    let gateway = upstream.gateway();
    let token = gateway.writer_token();
    let request =
        gateway.get("/cards?a=1&b").bearer(&token).header("TE", "gzip").header("Portcullis-Operation", "evil");
    request.send().expect(200);
    let seen = upstream.last();
    let authority = upstream.address.to_string();
    assert_eq!((seen.method.as_str(), seen.uri.authority().map(|it| it.as_str())), ("GET", Some(authority.as_str())));
    assert_eq!(seen.uri.path_and_query().unwrap().as_str(), "/api/cards?a=1&b");
    assert_eq!(seen.headers.get_all("portcullis-operation").iter().collect::<Vec<_>>(), ["GET /cards"]);
    assert_eq!(seen.headers["portcullis-client-id"], "writer");
    for name in ["host", "te", "connection", "authorization", "keep-alive", "transfer-encoding"] {
        assert!(!seen.headers.contains_key(name), "{name}: {:?}", seen.headers);
    }
    let body = "x".repeat(300_000);
    let response = gateway.post("/cards").bearer(&token).body("text/plain", &body).send().expect(200);
    assert_eq!((response.text() == body, upstream.last().body.len()), (true, body.len()));
}

#[test]
fn a_caller_s_trailers_go_nowhere() {
    let upstream = H2Upstream::start(0);
    let gateway = upstream.gateway();
    let token = gateway.writer_token();
    let request = format!(
        "POST {BASE_PATH}/cards HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\
         Trailer: Portcullis-Client-Id\r\n\r\n2\r\nab\r\n0\r\nPortcullis-Client-Id: evil\r\n\
         Portcullis_Operation: evil\r\nAuthorization: Bearer evil\r\n\r\n"
    );
    gateway.raw(request).expect(200);
    let seen = upstream.last();
    assert_eq!((seen.body.as_slice(), seen.trailers), (b"ab".as_slice(), None));
    assert_eq!(seen.headers["portcullis-client-id"], "writer");
    assert!(!seen.headers.contains_key("authorization") && !seen.headers.contains_key("trailer"));
}

#[test]
fn a_stream_that_was_refused_is_sent_again_whatever_its_method() {
    let upstream = H2Upstream::start(1);
    let gateway = upstream.gateway();
    let token = gateway.writer_token();
    let response = gateway.post("/cards").bearer(&token).body("text/plain", "once").send().expect(200);
    assert_eq!(response.text(), "once");
    assert_eq!(upstream.arrived.lock().unwrap().len(), 1);
}

/// One connection to the upstream is everybody's: whoever takes nothing of its answer must not keep the others from theirs.
#[test]
fn callers_who_take_nothing_stop_nobody_else() {
    let upstream = H2Upstream::start(0);
    let gateway = upstream.gateway();
    let token = gateway.writer_token();
    let idle: Vec<_> = (0..6)
        .map(|_| {
            let mut connection = gateway.connect();
            connection.send(gateway.get("/files/large").bearer(&token).bytes());
            assert_eq!(connection.read_head().status, 200);
            connection
        })
        .collect();
    // Until every buffer on the way is full.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let body = "x".repeat(100_000);
    for _ in 0..3 {
        let response = gateway.post("/cards").bearer(&token).body("text/plain", &body).send().expect(200);
        assert!(response.text() == body && !response.truncated);
    }
    drop(idle);
}

#[test]
fn an_upstream_that_refuses_every_stream_gets_502() {
    let upstream = H2Upstream::start(usize::MAX);
    let gateway = upstream.gateway();
    let response = gateway.get("/cards").bearer(&gateway.reader_token()).send();
    super::assert_refusal(&response, 502, "upstream_protocol");
}

/// A gateway with TLS in front of it, what its callers believe, and a token of the writer's.
fn secure(upstream: &H2Upstream) -> (Gateway, Authority, String) {
    secure_with(upstream, "")
}

fn secure_with(upstream: &H2Upstream, node: &str) -> (Gateway, Authority, String) {
    let authority = Authority::new();
    let table = format!("url = \"http://{}/api\"\nprotocol = \"h2c\"", upstream.address);
    let certificate = authority.certificate(&[HOST]);
    let gateway = Gateway::builder().node(node).upstream_whole(&table).tls(&[&certificate]).start();
    let key = writer();
    let mut connection = gateway.connect().secure(&authority.pem(), HOST, &[]).unwrap();
    let request = gateway.post("/oauth2/token").basic(&key.id, &key.secret).form("grant_type=client_credentials");
    let answer = request.send_on(&mut connection).expect(200).json();
    (gateway, authority, format!("Bearer {}", answer["access_token"].as_str().unwrap()))
}

/// The head of a call of this content type.
fn call<'h>(token: &'h str, kind: &'h str) -> [(&'static str, &'h str); 7] {
    [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", HOST),
        (":path", "/v1/production/cards"),
        ("authorization", token),
        ("content-type", kind),
        ("te", "trailers"),
    ]
}

/// A call as gRPC makes it: both sides speak at once, and how it went stands in the trailers.
#[test]
fn a_call_of_grpc_passes_from_end_to_end() {
    let upstream = H2Upstream::start(0);
    let (gateway, authority, token) = secure(&upstream);
    let mut client = Http2::open(gateway.edge(), &authority.pem(), HOST);
    let stream = client.head(&call(&token, "application/grpc"), false);
    for word in ["ping", "pong"] {
        client.frame(DATA, 0, stream, word.as_bytes());
        while !client.so_far(stream).text().ends_with(word) {
            assert!(client.read(), "{:?}", client.so_far(stream));
        }
    }
    // Trailers of the caller's end the stream, and are none that the upstream gets.
    let evil = [("portcullis-client-id", "evil"), ("portcullis_operation", "evil"), ("authorization", "Bearer evil")];
    client.frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&evil));
    let reply = client.reply(stream);
    assert_eq!((reply.status, reply.text().as_str(), reply.header("grpc-status")), (200, "pingpong", Some("0")));
    assert_eq!((reply.header("portcullis-error"), reply.header("set-cookie")), (None, None));
    let seen = upstream.last();
    assert_eq!((seen.body.as_slice(), seen.trailers), (b"pingpong".as_slice(), None));
    assert_eq!(
        (&seen.headers["te"], &seen.headers["content-type"]),
        (&"trailers".parse().unwrap(), &"application/grpc".parse().unwrap())
    );
    assert_eq!(seen.headers.get_all("portcullis-client-id").iter().collect::<Vec<_>>(), ["writer"]);
    assert_eq!(seen.uri.authority().unwrap().as_str(), upstream.address.to_string());
    assert!(!seen.headers.contains_key("authorization") && !seen.headers.contains_key("host"));
}

/// What else would be a body that stands still.
#[test]
fn calls_of_grpc_may_be_silent_and_other_bodies_may_not() {
    let upstream = H2Upstream::start(0);
    let (gateway, authority, token) = secure_with(&upstream, "[edge.limits]\nbody_idle_timeout = \"1s\"");
    for (kind, is_call) in [("application/grpc+proto", true), ("application/grpcooo", false)] {
        let mut client = Http2::open(gateway.edge(), &authority.pem(), HOST);
        let stream = client.head(&call(&token, kind), false);
        client.frame(DATA, 0, stream, b"ping");
        // Somebody looks every five seconds.
        std::thread::sleep(std::time::Duration::from_secs(7));
        client.frame(DATA, END_STREAM, stream, b"pong");
        let reply = client.reply(stream);
        assert_eq!(reply.text() == "pingpong" && reply.reset.is_none(), is_call, "{kind}: {reply:?}");
    }
}

#[test]
fn a_call_without_a_token_opens_no_stream() {
    let upstream = H2Upstream::start(0);
    let (gateway, authority, _) = secure(&upstream);
    let mut client = Http2::open(gateway.edge(), &authority.pem(), HOST);
    let path = "/v1/production/cards";
    let head = [(":method", "POST"), (":scheme", "https"), (":authority", HOST), (":path", path), ("te", "trailers")];
    let reply = client.ask(&head);
    assert_eq!((reply.status, reply.header("portcullis-error")), (401, Some("token_missing")));
    assert!(upstream.arrived.lock().unwrap().is_empty());
}

#[test]
fn http_2_by_tls_is_agreed_on() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).unwrap();
    let certificate = authority.certificate(&["127.0.0.1"]);
    for (spoken, status) in [(b"h2".as_slice(), 200), (b"http/1.1", 502)] {
        let mut tls = config(&certificate, None);
        tls.alpn_protocols = vec![spoken.to_vec()];
        let upstream = H2Upstream::start_with(0, Some(tls));
        let table = format!("url = \"https://{}/api\"\nprotocol = \"h2\"\nca_file = {ca_file:?}", upstream.address);
        let gateway = Gateway::builder().upstream_whole(&table).start();
        gateway.get("/cards").bearer(&gateway.reader_token()).send().expect(status);
        assert_eq!(upstream.arrived.lock().unwrap().len(), usize::from(status == 200));
    }
}
