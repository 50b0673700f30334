//! Upstreams by TLS: whom we believe, and who we say we are. Who cannot be believed gets no byte of any request.

use super::assert_refusal;
use crate::harness::{Authority, Certificate, Gateway};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tungstenite::Message;

/// The bytes of a connection, and the certificate that came with it.
type Decrypted = (Vec<u8>, Option<Vec<u8>>);

/// An upstream by TLS, and what it could decrypt.
struct TlsUpstream {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Decrypted>>>,
}

impl TlsUpstream {
    fn start(certificate: &Certificate, clients: Option<&Authority>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let upstream = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let (seen, acceptor) = (Arc::clone(&upstream.seen), TlsAcceptor::from(Arc::new(config(certificate, clients))));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let (seen, acceptor) = (Arc::clone(&seen), acceptor.clone());
                    tokio::spawn(async move {
                        let Ok(mut stream) = acceptor.accept(stream).await else { return };
                        let peer = stream.get_ref().1.peer_certificates().map(|chain| chain[0].to_vec());
                        let mut bytes = vec![0; 8192];
                        let Ok(count @ 1..) = stream.read(&mut bytes).await else { return };
                        bytes.truncate(count);
                        seen.lock().unwrap().push((bytes, peer));
                        let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
                        let _ = stream.shutdown().await;
                    });
                }
            });
        });
        upstream
    }

    fn seen(&self) -> Vec<Decrypted> {
        self.seen.lock().unwrap().clone()
    }
}

pub(super) fn config(certificate: &Certificate, clients: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(certificate.private_key.as_bytes()).unwrap();
    builder.with_single_cert(chain, key).unwrap()
}

/// A gateway in front of the upstream, with these authorities in `ca.pem` and this certificate of its own.
fn gateway(upstream: &TlsUpstream, authorities: Option<&str>, client: Option<&Certificate>) -> Gateway {
    gateway_that(upstream, authorities, client, "")
}

/// The same with these settings of the upstream besides.
fn gateway_that(
    upstream: &TlsUpstream,
    authorities: Option<&str>,
    client: Option<&Certificate>,
    settings: &str,
) -> Gateway {
    let folder = tempfile::tempdir().unwrap();
    let mut table = format!("url = \"https://{}/api\"\n{settings}", upstream.address);
    if let Some(authorities) = authorities {
        std::fs::write(folder.path().join("ca.pem"), authorities).unwrap();
        table.push_str(&format!("ca_file = {:?}\n", folder.path().join("ca.pem")));
    }
    if let Some(client) = client {
        client.write(folder.path(), "c.pem", "c.key");
        let (cert, key) = (folder.path().join("c.pem"), folder.path().join("c.key"));
        table.push_str(&format!("client_certificate = {{ cert = {cert:?}, key = {key:?} }}\n"));
    }
    Gateway::builder().upstream_whole(&table).start()
}

#[test]
fn an_authority_of_one_s_own() {
    let (authority, other) = (Authority::new(), Authority::new());
    let upstream = TlsUpstream::start(&authority.certificate(&["127.0.0.1"]), None);
    // Several in one file: one of them is enough.
    let gateway = gateway(&upstream, Some(&format!("{}{}", other.pem(), authority.pem())), None);
    gateway.get("/cards").bearer(&gateway.reader_token()).send().expect(204);
    let seen = upstream.seen();
    let [(bytes, None)] = seen.as_slice() else { panic!("one request, no certificate") };
    assert!(bytes.starts_with(b"GET /api/cards HTTP/1.1\r\n"));
}

/// They go over connections of their own: those speak TLS, ask for the same authority, and have the time of connecting
/// for it, as the others do.
#[test]
fn web_sockets_over_tls() {
    /// How long the upstream takes to shake hands: longer than it may take to answer.
    const SLOW: Duration = Duration::from_millis(1500);
    let (authority, other) = (Authority::new(), Authority::new());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = Arc::new(config(&authority.certificate(&["127.0.0.1"]), None));
    let seen = Arc::new(Mutex::new(0));
    let opened = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::sleep(SLOW);
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let stream = rustls::StreamOwned::new(connection, stream.unwrap());
            let Ok(mut socket) = tungstenite::accept(stream) else { continue };
            *opened.lock().unwrap() += 1;
            while let Ok(message) = socket.read() {
                if message.is_close() || socket.send(message).is_err() {
                    break;
                }
            }
        }
    });
    let upstream = TlsUpstream { address, seen: Arc::default() };
    let open = |believed: &Authority| {
        let read = format!("timeouts = {{ read = \"{}ms\" }}\n", SLOW.as_millis() * 2 / 3);
        let gateway = gateway_that(&upstream, Some(&believed.pem()), None, &read);
        let request = super::forwarding::socket_request(Some(&gateway.writer_token()));
        let stream = gateway.connect().into_stream();
        (gateway, tungstenite::client(request, stream))
    };
    let (gateway, opened) = open(&authority);
    let (mut socket, _) = opened.expect("an upgrade");
    for message in [Message::text("hello"), Message::binary(vec![7; 300_000])] {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    // The upstream speaks to one at a time.
    drop((socket, gateway));
    let (_gateway, refused) = open(&other);
    match refused.expect_err("nobody to speak to") {
        tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 502),
        other => panic!("{other}"),
    }
    assert_eq!(*seen.lock().unwrap(), 1, "who cannot be believed was asked for a socket");
}

#[test]
fn who_cannot_be_believed_gets_no_byte() {
    let (authority, other) = (Authority::new(), Authority::new());
    let pem = authority.pem();
    let old = authority.certificate_of(&rcgen::PKCS_ECDSA_P256_SHA256, &["127.0.0.1"], (2019, 2020));
    let early = authority.certificate_of(&rcgen::PKCS_ECDSA_P256_SHA256, &["127.0.0.1"], (2039, 2040));
    let cases = [
        ("another authority", other.certificate(&["127.0.0.1"]), Some(pem.as_str())),
        ("an authority that the system does not know", authority.certificate(&["127.0.0.1"]), None),
        ("another address", authority.certificate(&["127.0.0.2"]), Some(&pem)),
        ("a name instead of the address", authority.certificate(&["other.test"]), Some(&pem)),
        ("expired", old, Some(&pem)),
        ("not valid yet", early, Some(&pem)),
    ];
    for (what, certificate, authorities) in cases {
        let upstream = TlsUpstream::start(&certificate, None);
        let gateway = gateway(&upstream, authorities, None);
        let token = gateway.writer_token();
        eprintln!("{what}");
        assert_refusal(&gateway.post("/cards").bearer(&token).body("a/b", "x").send(), 502, "upstream_unreachable");
        assert!(upstream.seen().is_empty(), "{what}");
    }
}

#[test]
fn a_certificate_of_our_own_where_it_is_asked_for() {
    let authority = Authority::new();
    let (server, client) = (authority.certificate(&["127.0.0.1"]), authority.certificate(&["gateway.test"]));
    let upstream = TlsUpstream::start(&server, Some(&authority));
    let with = gateway(&upstream, Some(&authority.pem()), Some(&client));
    with.get("/cards").bearer(&with.reader_token()).send().expect(204);
    let seen = upstream.seen();
    let [(_, Some(shown))] = seen.as_slice() else { panic!("one request with a certificate") };
    assert_eq!(*shown, client.der());
    // Without one, or with one that the upstream does not believe, nothing is taken.
    let stranger = Authority::new().certificate(&["gateway.test"]);
    for client in [None, Some(&stranger)] {
        let without = gateway(&upstream, Some(&authority.pem()), client);
        let response = without.get("/cards").bearer(&without.reader_token()).send().expect(502);
        let code = response.header("portcullis-error").unwrap_or_default();
        // In TLS 1.3 it is told after the client has finished its part.
        assert!(["upstream_unreachable", "upstream_protocol"].contains(&code), "{code}");
    }
    assert_eq!(upstream.seen().len(), 1);
}
