//! Pairs, names and handshakes, in memory.

use super::*;
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, ServerConnection, SignatureScheme,
    SupportedProtocolVersion,
};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A chain and its key, as PEM.
struct Made {
    chain: String,
    private_key: String,
}

impl Made {
    fn pair(&self, file: &str) -> CertificatePair {
        CertificatePair::parse(file, self.chain.as_bytes(), self.private_key.as_bytes()).unwrap()
    }

    /// What a client is shown of it.
    fn leaf(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.chain.as_bytes()).unwrap()
    }
}

fn made_with(algorithm: &'static rcgen::SignatureAlgorithm, names: &[&str]) -> Made {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let key = KeyPair::generate_for(algorithm).unwrap();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2036, 1, 1);
    Made { chain: params.self_signed(&key).unwrap().pem(), private_key: key.serialize_pem() }
}

fn made(names: &[&str]) -> Made {
    made_with(&rcgen::PKCS_ECDSA_P256_SHA256, names)
}

fn settings(certificates: Vec<CertificatePair>) -> TlsSettings {
    TlsSettings { certificates, min_version: TlsVersion::Tls12, client_certificates: None, hsts: None }
}

/// Takes whatever it is shown.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519]
    }
}

fn client(versions: &[&'static SupportedProtocolVersion], identity: Option<&Made>) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting));
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some(made) => {
            let key = PrivateKeyDer::from_pem_slice(made.private_key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![made.leaf()], key).unwrap()
        }
    })
}

fn any_client() -> Arc<ClientConfig> {
    client(rustls::ALL_VERSIONS, None)
}

/// A handshake and, so that tickets arrive, what follows it.
fn shake(
    server: &ServerTls,
    client: &Arc<ClientConfig>,
    name: &str,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut caller = ClientConnection::new(Arc::clone(client), name)?;
    let mut listener = ServerConnection::new(Arc::clone(&server.config))?;
    for _ in 0..5 {
        let mut wire = Vec::new();
        caller.write_tls(&mut wire).unwrap();
        listener.read_tls(&mut wire.as_slice()).unwrap();
        listener.process_new_packets()?;
        let mut wire = Vec::new();
        listener.write_tls(&mut wire).unwrap();
        caller.read_tls(&mut wire.as_slice()).unwrap();
        caller.process_new_packets()?;
    }
    assert!(!caller.is_handshaking() && !listener.is_handshaking());
    Ok((caller, listener))
}

/// The certificate that a caller of this name is shown.
fn shown(server: &ServerTls, name: &str) -> CertificateDer<'static> {
    let (caller, _) = shake(server, &any_client(), name).unwrap();
    caller.peer_certificates().unwrap()[0].clone().into_owned()
}

#[test]
fn a_pair_is_read_and_what_is_none_says_why() {
    let (one, other) = (made(&["api.example.com"]), made(&["other.example.com"]));
    let parse = |chain: &str, key: &str| CertificatePair::parse("a.pem", chain.as_bytes(), key.as_bytes());
    let pair = parse(&one.chain, &one.private_key).unwrap();
    assert_eq!(pair.names().collect::<Vec<_>>(), ["api.example.com"]);
    assert_eq!(pair.not_after().to_string(), "2036-01-01T00:00:00Z");
    assert_eq!(pair.not_before().to_string(), "2026-01-01T00:00:00Z");
    let broken = one.chain.replacen("MII", "!!!", 1);
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let strange = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let encrypted = one.private_key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n";
    for (chain, key, error) in [
        ("", one.private_key.as_str(), PairError::NoCertificate),
        (&one.private_key, &one.private_key, PairError::NoCertificate),
        (&broken, &one.private_key, PairError::PemOfChain),
        (damaged, &one.private_key, PairError::CertificateUnreadable),
        (&one.chain.repeat(11), &one.private_key, PairError::ChainTooLong),
        (&one.chain, "", PairError::NoPrivateKey),
        (&one.chain, &one.chain, PairError::NoPrivateKey),
        (&one.chain, &other.private_key, PairError::OtherPrivateKey),
        (&one.chain, strange, PairError::PrivateKeyUnknown),
        (&one.chain, &encrypted, PairError::PrivateKeyEncrypted),
        (&one.chain, old, PairError::PrivateKeyEncrypted),
    ] {
        assert_eq!(parse(chain, key).unwrap_err(), error);
    }
    assert!(parse(&one.chain.repeat(10), &one.private_key).is_ok(), "the longest chain");
    // Tools put both into one file.
    let both = format!("{}{}", one.private_key, one.chain);
    assert!(parse(&both, &both).is_ok());
}

#[test]
fn a_private_key_does_not_print() {
    let one = made(&["api.example.com"]);
    let printed = format!("{:?}", settings(vec![one.pair("a.pem")]));
    assert!(printed.contains("a.pem") && printed.contains("api.example.com"), "{printed}");
    let inside: String = one.private_key.lines().skip(1).take(1).collect();
    let key = PrivateKeyDer::from_pem_slice(one.private_key.as_bytes()).unwrap();
    let bytes = format!("{:?}", &key.secret_der()[..8]);
    assert!(!printed.contains(&inside) && !printed.contains(bytes.trim_matches(['[', ']'])), "{printed}");
}

#[test]
fn callers_are_shown_the_certificate_of_the_name_they_ask_for() {
    let (first, exact, wild) = (made(&["a.example.com"]), made(&["B.example.com"]), made(&["*.example.com"]));
    let pairs = vec![first.pair("1"), exact.pair("2"), wild.pair("3")];
    let server = ServerTls::new(&settings(pairs), &[]).unwrap();
    for (name, made) in [
        ("a.example.com", &first),
        ("b.example.com", &exact),
        ("c.example.com", &wild),
        ("c.d.example.com", &first),
        ("example.com", &first),
        ("elsewhere.test", &first),
        // No name is sent for an address.
        ("127.0.0.1", &first),
    ] {
        assert_eq!(shown(&server, name), made.leaf(), "{name}");
    }
}

#[test]
fn keys_of_two_kinds_may_share_a_name() {
    let rsa_like = made_with(&rcgen::PKCS_ECDSA_P384_SHA384, &["a.example.com"]);
    let edwards = made_with(&rcgen::PKCS_ED25519, &["a.example.com"]);
    let server = ServerTls::new(&settings(vec![rsa_like.pair("1"), edwards.pair("2")]), &[]).unwrap();
    // The caller of these tests knows no P-384.
    assert_eq!(shown(&server, "a.example.com"), edwards.leaf());
    let again = made(&["a.example.com"]);
    let error = Certificates::new(&[rsa_like.pair("1"), again.pair("2")]).unwrap_err();
    let (file, first, name) = ("2".to_owned(), "1".to_owned(), "a.example.com".to_owned());
    assert_eq!(error, CertificateError::Overlap { index: 1, file, first, name });
}

#[test]
fn what_cannot_be_served_together_is_refused() {
    let (named, nameless) = (made(&["a.example.com"]), made(&[]));
    assert_eq!(Certificates::new(&[]).unwrap_err(), CertificateError::Empty);
    assert!(Certificates::new(&[nameless.pair("1"), named.pair("2")]).is_ok());
    let error = Certificates::new(&[named.pair("1"), nameless.pair("2")]).unwrap_err();
    assert_eq!(error, CertificateError::Nameless { index: 1, file: "2".to_owned() });
}

#[test]
fn a_swap_is_seen_by_the_next_handshake_and_by_no_open_connection() {
    let (old, new) = (made(&["a.example.com"]), made(&["a.example.com"]));
    let server = ServerTls::new(&settings(vec![old.pair("1")]), &[]).unwrap();
    let (open, _) = shake(&server, &any_client(), "a.example.com").unwrap();
    assert!(server.certificates.replace(&[]).is_err());
    assert_eq!(shown(&server, "a.example.com"), old.leaf(), "an error changes nothing");
    server.certificates.replace(&[new.pair("1")]).unwrap();
    assert_eq!(shown(&server, "a.example.com"), new.leaf());
    assert_eq!(open.peer_certificates().unwrap()[0], old.leaf());
}

#[test]
fn hosts_that_certificates_say() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["a.example.com".to_owned(), "*.b.example.com".to_owned()]).unwrap();
    for address in ["192.0.2.1", "2001:db8::1"] {
        params.subject_alt_names.push(SanType::IpAddress(address.parse::<IpAddr>().unwrap()));
    }
    let made = Made { chain: params.self_signed(&key).unwrap().pem(), private_key: key.serialize_pem() };
    let certificates = Certificates::new(&[made.pair("1")]).unwrap();
    for (host, says) in [
        ("a.example.com", true),
        ("x.a.example.com", false),
        ("x.b.example.com", false),
        ("b.example.com", false),
        ("*.b.example.com", false),
        ("", false),
    ] {
        assert_eq!(certificates.say(host), says, "{host}");
    }
    assert_eq!(made.pair("1").addresses().len(), 2);
}

#[test]
fn versions_before_the_oldest_are_refused() {
    let pair = made(&["a.example.com"]).pair("1");
    let (old, new) = (client(&[&rustls::version::TLS12], None), client(&[&rustls::version::TLS13], None));
    for (min_version, takes_old) in [(TlsVersion::Tls12, true), (TlsVersion::Tls13, false)] {
        let settings = TlsSettings { min_version, ..settings(vec![pair.clone()]) };
        let server = ServerTls::new(&settings, &[]).unwrap();
        assert_eq!(shake(&server, &old, "a.example.com").is_ok(), takes_old);
        assert!(shake(&server, &new, "a.example.com").is_ok());
    }
}

#[test]
fn a_session_is_resumed_by_its_ticket() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let server = ServerTls::new(&settings(vec![made(&["a.example.com"]).pair("1")]), &[]).unwrap();
        let client = client(&[version], None);
        let kinds = [(); 2].map(|()| shake(&server, &client, "a.example.com").unwrap().1.handshake_kind());
        assert_eq!(kinds, [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)], "{version:?}");
    }
}

#[test]
fn the_first_protocol_that_both_speak_is_chosen() {
    let server = ServerTls::new(&settings(vec![made(&["a.example.com"]).pair("1")]), &[b"h2", b"http/1.1"]).unwrap();
    for (offered, chosen) in [
        (&[b"http/1.1".as_slice(), b"h2"][..], Some(b"h2".as_slice())),
        (&[b"http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let mut client = ClientConfig::clone(&any_client());
        client.alpn_protocols = offered.iter().map(|protocol| protocol.to_vec()).collect();
        let (caller, _) = shake(&server, &Arc::new(client), "a.example.com").unwrap();
        assert_eq!(caller.alpn_protocol(), chosen);
    }
}

#[test]
fn callers_show_certificates_where_they_are_asked_to() {
    let authority = {
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        rcgen::CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let signed = {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["caller".to_owned()]).unwrap();
        params.extended_key_usages.push(rcgen::ExtendedKeyUsagePurpose::ClientAuth);
        Made { chain: params.signed_by(&key, &authority).unwrap().pem(), private_key: key.serialize_pem() }
    };
    let stranger = made(&["caller"]);
    let server = |required| {
        let authorities = ClientAuthorities::parse(authority.pem().as_bytes()).unwrap();
        let asked = Some(ClientCertificates { authorities, required });
        let settings = TlsSettings { client_certificates: asked, ..settings(vec![made(&["a.example.com"]).pair("1")]) };
        ServerTls::new(&settings, &[]).unwrap()
    };
    for (required, identity, is_ok) in [
        (true, Some(&signed), true),
        (true, Some(&stranger), false),
        (true, None, false),
        (false, Some(&signed), true),
        (false, Some(&stranger), false),
        (false, None, true),
    ] {
        let shaken = shake(&server(required), &client(rustls::ALL_VERSIONS, identity), "a.example.com");
        assert_eq!(shaken.is_ok(), is_ok, "{required} {}", identity.is_some());
        if let (Ok((_, listener)), Some(identity)) = (shaken, identity) {
            assert_eq!(listener.peer_certificates().unwrap()[0], identity.leaf());
        }
    }
}

#[test]
fn authorities_are_read_and_what_is_none_says_why() {
    let pem = made(&["a.example.com"]).chain;
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (pem, error) in [
        (String::new(), ClientAuthoritiesError::Empty),
        (pem.replacen("MII", "!!!", 1), ClientAuthoritiesError::Pem),
        (format!("{pem}{damaged}"), ClientAuthoritiesError::Unreadable(2)),
        (pem.repeat(101), ClientAuthoritiesError::TooMany),
    ] {
        assert_eq!(ClientAuthorities::parse(pem.as_bytes()).unwrap_err(), error);
    }
    assert!(ClientAuthorities::parse(pem.repeat(100).as_bytes()).is_ok());
}

#[test]
fn browsers_are_told_in_seconds() {
    let settings = |hsts| TlsSettings { hsts, ..settings(vec![made(&["a.example.com"]).pair("1")]) };
    assert_eq!(settings(Some(Duration::from_secs(31_536_000))).hsts_value().unwrap(), "max-age=31536000");
    assert_eq!(settings(None).hsts_value(), None);
}
