//! `tls` of a listener: what is read, and what is said about files that do not go together.

use super::{folder, load, now};
use crate::harness::Authority;
use portcullis::config::{Config, NodeConfig};
use portcullis::tls::TlsVersion;
use std::time::Duration;

/// An authority's certificates `a`, `b` and so on for these names, `clients.pem`, and this `tls` on the edge.
fn read(names: &[&[&str]], tls: &str) -> Result<Config, Vec<String>> {
    read_node(names, &format!("[listeners.edge]\n{tls}"))
}

/// The same with this file of the node.
fn read_node(names: &[&[&str]], node: &str) -> Result<Config, Vec<String>> {
    let authority = Authority::new();
    let folder = folder(&[("clients.pem", &authority.pem()), ("portcullis.toml", node)]);
    for (letter, names) in ('a'..).zip(names) {
        let certificate = authority.certificate(names);
        certificate.write(folder.path(), &format!("{letter}.pem"), &format!("{letter}.key"));
    }
    let mut years = vec![("old", (2019, 2020)), ("new", (2039, 2040))];
    for (name, years) in years.drain(..) {
        let certificate = authority.certificate_of(&rcgen::PKCS_ED25519, &["year.test"], years);
        certificate.write(folder.path(), &format!("{name}.pem"), &format!("{name}.key"));
    }
    let both = folder.path().join("both.pem");
    let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    std::fs::write(both, text("old.key") + &text("old.pem")).unwrap();
    let encrypted = text("old.key").replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    std::fs::write(folder.path().join("encrypted.key"), encrypted).unwrap();
    std::fs::write(folder.path().join("large.pem"), vec![b'\n'; 1024 * 1024 + 1]).unwrap();
    let inside = format!("{}/", folder.path().display());
    let said = |problem: &dyn ToString| problem.to_string().replace(&inside, "");
    let config = load(&folder.path().join("portcullis.toml"), now());
    config.map_err(|problems| problems.0.iter().map(|problem| said(problem)).collect())
}

#[test]
fn a_listener_that_says_nothing_has_defaults() {
    let config = read(
        &[&["a.test", "127.0.0.1"]],
        "bind = \"0.0.0.0:443\"\ntls.certificates = [{ cert = \"a.pem\", key = \"a.key\" }]",
    );
    let node = config.unwrap().node;
    assert!(node.control.tls.is_none());
    let tls = node.edge.tls.unwrap();
    let [pair] = tls.certificates.as_slice() else { panic!("one pair") };
    assert_eq!(pair.names().collect::<Vec<_>>(), ["a.test"]);
    assert_eq!(pair.addresses(), ["127.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!((tls.min_version, tls.client_certificates), (TlsVersion::Tls12, None));
    assert_eq!(tls.hsts, Some(Duration::from_secs(365 * 86_400)));
}

#[test]
fn everything_can_be_set() {
    let tls = "tls = { certificates = [{ cert = \"a.pem\", key = \"a.key\" }, { cert = \"b.pem\", key = \"b.key\" }], \
               min_version = \"1.3\", hsts = \"off\", client_ca_file = \"clients.pem\", client_auth = \"optional\" }";
    let tls = read(&[&["a.test"], &["*.a.test"]], tls).unwrap().node.edge.tls.unwrap();
    assert_eq!((tls.certificates.len(), tls.min_version, tls.hsts), (2, TlsVersion::Tls13, None));
    assert!(!tls.client_certificates.unwrap().required);
    let tls = "tls = { certificates = [{ cert = \"both.pem\", key = \"both.pem\" }], hsts = \"0s\", \
               client_ca_file = \"clients.pem\" }";
    let tls = read(&[], tls).unwrap().node.edge.tls.unwrap();
    assert_eq!(tls.hsts_value().as_deref(), Some("max-age=0"), "browsers are told to forget");
    assert!(tls.client_certificates.unwrap().required, "whoever names authorities means them");
    for off in ["tls = false", "tls = \"off\""] {
        assert!(read(&[], off).unwrap().node.edge.tls.is_none());
    }
}

#[test]
fn files_that_do_not_go_together_are_named_with_their_line() {
    for (names, list, problem) in [
        (
            &[&["a.test"][..], &["b.test"]][..],
            "\n{ cert = \"a.pem\",\nkey = \"b.key\" }",
            "portcullis.toml:4: `b.key` is the key of another certificate than the first in the chain, `a.pem`",
        ),
        (&[&["a.test"]], "{ cert = \"a.pem\", key = \"a.pem\" }", "portcullis.toml:2: `a.pem` holds no private key"),
        (&[&["a.test"]], "{ cert = \"a.key\", key = \"a.key\" }", "portcullis.toml:2: `a.key` holds no certificate"),
        (
            &[&["a.test"]],
            "{ cert = \"a.pem\", key = \"encrypted.key\" }",
            "portcullis.toml:2: `encrypted.key` holds an encrypted private key",
        ),
        (
            &[&["a.test"]],
            "{ cert = \"large.pem\", key = \"a.key\" }",
            "portcullis.toml:2: `large.pem` is larger than 1 MiB",
        ),
        (
            &[&["a.test", "c.test"], &["b.test", "c.test"]],
            "{ cert = \"a.pem\", key = \"a.key\" },\n{ cert = \"b.pem\", key = \"b.key\" }",
            "portcullis.toml:3: `b.pem` is for `c.test`, and so is `a.pem`; only keys of different kinds may share a name",
        ),
        (
            &[&["a.test"], &["127.0.0.1"]],
            "{ cert = \"a.pem\", key = \"a.key\" },\n{ cert = \"b.pem\", key = \"b.key\" }",
            "portcullis.toml:3: `b.pem` is for no host name: only the first certificate may be",
        ),
    ] {
        let problems = read(names, &format!("tls.certificates = [{list}]")).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(problem), "{problems:?}");
    }
}

#[test]
fn what_is_wrong_with_a_private_key_does_not_show_it() {
    let problems = read(&[&["a.test"]], "tls.certificates = [{ cert = \"a.key\", key = \"encrypted.key\" }]");
    let said = problems.unwrap_err().join("\n");
    assert!(!said.contains("MC4C") && !said.contains("MIG"), "{said}");
}

#[test]
fn certificates_that_are_not_valid_now_are_noted_and_served() {
    for (name, note) in [("old", "ended at 2020-01-01T00:00:00Z"), ("new", "begins at 2039-01-01T00:00:00Z")] {
        let tls = format!("tls.certificates = [{{ cert = \"{name}.pem\", key = \"{name}.key\" }}]");
        let config = read(&[], &tls).unwrap();
        let [found] = config.notes.as_slice() else { panic!("one note") };
        assert!(found.line == 2 && found.message.contains(note), "{found}");
    }
}

#[test]
fn certificates_wait_for_no_restart_and_the_rest_does() {
    let pair = |letter: char| format!("{{ cert = \"{letter}.pem\", key = \"{letter}.key\" }}");
    let said = |certificates: &str, rest: &str| {
        let tls = format!("tls = {{ certificates = [{certificates}]{rest} }}");
        read(&[&["a.test"], &["b.test"]], &tls).unwrap().node
    };
    let (a, b) = (pair('a'), pair('b'));
    // Each is read from a folder of its own, which the other settings show.
    let names = |started: &NodeConfig, read: &NodeConfig| {
        let names = started.needs_restart(read).into_iter();
        names.filter(|name| name.starts_with("listeners.")).collect::<Vec<_>>()
    };
    let started = said(&a, "");
    assert!(names(&started, &said(&format!("{a}, {b}"), "")).is_empty());
    for (rest, waiting) in [
        (", min_version = \"1.3\"", &["listeners.edge.tls.min_version"][..]),
        (", hsts = \"1d\"", &["listeners.edge.tls.hsts"]),
        (
            ", client_ca_file = \"clients.pem\"",
            &["listeners.edge.tls.client_ca_file", "listeners.edge.tls.client_auth"],
        ),
    ] {
        assert_eq!(names(&started, &said(&a, rest)), waiting);
    }
    let plain = read(&[], "").unwrap().node;
    assert_eq!(names(&started, &plain), ["listeners.edge.tls"]);
    assert_eq!(names(&plain, &started), ["listeners.edge.tls"]);
}

#[test]
fn a_control_listener_behind_tls_is_secure_unless_its_url_says_otherwise() {
    let behind = |rest: &str| {
        let config = read_node(&[], &format!("[listeners.control]\nplaintext = \"behind_proxy\"\n{rest}")).unwrap();
        let notes: Vec<_> = config.notes.iter().map(|note| (note.line, note.message.clone())).collect();
        (config.node.control.is_secure(), notes)
    };
    let (secure, notes) = behind("");
    let [(2, note)] = notes.as_slice() else { panic!("{notes:?}") };
    assert!(secure && note.contains("any host is answered to"), "{note}");
    let (secure, notes) = behind("names = [\"keys.test\"]");
    let [(2, note)] = notes.as_slice() else { panic!("{notes:?}") };
    assert!(secure && !note.contains("any host") && note.contains("nobody signs in over plain HTTP"), "{note}");
    assert_eq!(behind("public_url = \"https://keys.test\""), (true, vec![]));
    let (secure, notes) = behind("public_url = \"http://keys.test\"");
    let [(3, note)] = notes.as_slice() else { panic!("{notes:?}") };
    assert!(!secure && note.contains("session cookies over plain HTTP"), "{note}");
    assert!(!read_node(&[], "[listeners.control]\n").unwrap().node.control.is_secure());
}

#[test]
fn a_wildcard_alone_names_no_control_listener_and_that_is_noted() {
    let noted = |names: &[&str], rest: &str| {
        let pair = "tls.certificates = [{ cert = \"a.pem\", key = \"a.key\" }]";
        let config = read_node(&[names], &format!("[listeners.control]\n{pair}\n{rest}")).unwrap();
        config.notes.into_iter().map(|note| (note.line, note.message)).collect::<Vec<_>>()
    };
    let notes = noted(&["*.keys.test", "127.0.0.1"], "");
    let [(1, note)] = notes.as_slice() else { panic!("{notes:?}") };
    assert!(note.contains("a certificate for `*.keys.test`") && note.contains("say `public_url` or `names`"), "{note}");
    for (names, rest) in [
        (&["*.keys.test", "keys.test"][..], ""),
        (&["*.keys.test"], "public_url = \"https://a.keys.test\""),
        (&["*.keys.test"], "names = [\"a.keys.test\"]"),
        (&["127.0.0.1"], ""),
    ] {
        assert_eq!(noted(names, rest), [], "{names:?} {rest}");
    }
}
