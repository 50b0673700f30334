//! Deadlines of callers, one connection each.

use super::*;
use axum::routing::get;

async fn serving(times: Times) -> TcpStream {
    serving_by(times, None).await
}

async fn serving_by(times: Times, tls: Option<ServerTls>) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let shown = |ConnectInfo(address): ConnectInfo<SocketAddr>| async move { address.ip().to_string() };
    let router = Router::new().route("/", get(shown));
    let open = IntGauge::new("open", "open").unwrap();
    let places = places(&NetworkSet::default());
    serve_within(times, listener, Served { router, tls, open, places, stage: Arc::default() }).unwrap();
    TcpStream::connect(address).await.unwrap()
}

#[tokio::test]
async fn a_head_has_a_deadline() {
    for (sent, answers) in
        [("", false), ("GET / HTTP/1.1\r\nhost: x\r\n", false), ("GET / HTTP/1.1\r\nhost: x\r\n\r\n", true)]
    {
        let mut caller = serving(Times { head: Duration::from_millis(200), ..TIMES }).await;
        caller.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // It ends because the other side closes it.
        let _ = caller.read_to_string(&mut answer).await;
        assert_eq!(answer.starts_with("HTTP/1.1 200 "), answers, "{sent:?}: {answer}");
        assert_eq!(answer.ends_with("\r\n\r\n127.0.0.1"), answers, "{sent:?}: {answer}");
    }
}

#[tokio::test]
async fn within_the_deadline_a_head_may_come_in_pieces() {
    let mut caller = serving(Times { head: Duration::from_secs(60), ..TIMES }).await;
    for piece in ["GET / HT", "TP/1.1\r\nho", "st: x\r\nconnection: close\r\n", "\r\n"] {
        caller.write_all(piece.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = String::new();
    caller.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn the_plain_answer_has_its_length() {
    let answer = std::str::from_utf8(PLAIN_ANSWER).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{answer}");
}

fn secure() -> (ServerTls, Arc<rustls::ClientConfig>) {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let made = rcgen::generate_simple_self_signed(vec!["keys.test".to_owned()]).unwrap();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let pair = crate::tls::CertificatePair::parse("a", chain.as_bytes(), key.as_bytes()).unwrap();
    let settings = crate::tls::TlsSettings {
        certificates: vec![pair],
        min_version: crate::tls::TlsVersion::Tls12,
        client_certificates: None,
        hsts: None,
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut client = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    (ServerTls::new(&settings, &[b"h2", b"http/1.1"]).unwrap(), Arc::new(client))
}

const SHORT: Times = Times { head: Duration::from_millis(200), still: Duration::from_millis(400) };

#[tokio::test]
async fn a_handshake_has_a_deadline() {
    // A record that promises more than comes.
    for sent in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut caller = serving_by(SHORT, Some(secure().0)).await;
        let began = Instant::now();
        caller.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        let _ = caller.read_to_end(&mut answer).await;
        assert!(answer.is_empty() && began.elapsed() >= SHORT.head, "{answer:?}");
    }
}

#[tokio::test]
async fn http2_without_a_request_ends() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    for sent in [&b""[..], PREFACE, &[PREFACE, SETTINGS].concat()] {
        let (tls, client) = secure();
        let stream = serving_by(SHORT, Some(tls)).await;
        let name = rustls::pki_types::ServerName::try_from("keys.test").unwrap();
        let mut caller = tokio_rustls::TlsConnector::from(client).connect(name, stream).await.unwrap();
        caller.write_all(sent).await.unwrap();
        let ended = timeout(Duration::from_secs(20), caller.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "{} bytes", sent.len());
    }
}

#[test]
fn a_target_that_names_its_host_counts_more_than_host() {
    let host = |uri: &str, host: &str| {
        let mut request = Request::builder().uri(uri).header(header::HOST, host).body(Body::empty()).unwrap();
        name_host(&mut request);
        request.headers().get_all(header::HOST).iter().map(|host| host.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(host("/", "a.test"), ["a.test"]);
    assert_eq!(host("https://b.test:1/", "a.test"), ["b.test:1"]);
}

#[test]
fn callers_here_leave_the_edge_its_files() {
    for (files, most) in [(None, 512), (Some(u64::MAX), 512), (Some(4096), 512), (Some(1024), 128), (Some(0), 0)] {
        assert_eq!(most_connections(files), most, "{files:?}");
    }
}
