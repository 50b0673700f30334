//! Upstreams of HTTP/2: what arrives there, streams that were never taken up, and trailers.

use crate::harness::{BASE_PATH, Gateway, HOST};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Arrived {
    method: String,
    uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<HeaderMap>,
}

/// An upstream of HTTP/2 without TLS. It refuses the first streams, so many as it is told.
pub(super) struct H2Upstream {
    pub(super) address: SocketAddr,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl H2Upstream {
    pub(super) fn start(refusals: usize) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let upstream = Self { address: listener.local_addr().unwrap(), arrived: Arc::default() };
        let (arrived, refusals) = (Arc::clone(&upstream.arrived), Arc::new(Mutex::new(refusals)));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let (arrived, refusals) = (Arc::clone(&arrived), Arc::clone(&refusals));
                    tokio::spawn(async move {
                        let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                        while let Some(Ok((request, mut respond))) = connection.accept().await {
                            let refused = {
                                let mut left = refusals.lock().unwrap();
                                let refused = *left > 0;
                                *left = left.saturating_sub(1);
                                refused
                            };
                            if refused {
                                respond.send_reset(Reason::REFUSED_STREAM);
                            } else {
                                tokio::spawn(serve(request, respond, Arc::clone(&arrived)));
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

/// Answers with the request's body and trailers.
async fn serve(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, arrived: Arc<Mutex<Vec<Arrived>>>) {
    let (parts, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while let Some(Ok(data)) = stream.data().await {
        body.extend_from_slice(&data);
        let _ = stream.flow_control().release_capacity(data.len());
    }
    let trailers = stream.trailers().await.ok().flatten();
    let (method, uri, headers) = (parts.method.to_string(), parts.uri, parts.headers);
    arrived.lock().unwrap().push(Arrived { method, uri, headers, body: body.clone(), trailers });
    let Ok(mut answer) = respond.send_response(Response::builder().status(200).body(()).unwrap(), false) else {
        return;
    };
    let _ = answer.send_data(body.into(), false);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
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

#[test]
fn an_upstream_that_refuses_every_stream_gets_502() {
    let upstream = H2Upstream::start(usize::MAX);
    let gateway = upstream.gateway();
    let response = gateway.get("/cards").bearer(&gateway.reader_token()).send();
    super::assert_refusal(&response, 502, "upstream_protocol");
}
