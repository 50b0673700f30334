//! `tls` of a listener: PEM files to certificates, keys and authorities that go together.
//!
//! They are read as every other file is, so that a node hears of their changes. A problem stands on the line that
//! names the file.

use super::reader::{At, Reader, Value};
use crate::model::Timestamp;
use crate::tls::{
    CertificatePair, Certificates, ClientAuthorities, ClientCertificates, PairError, TlsSettings, TlsVersion,
};
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// The largest PEM file that is read, in bytes.
const PEM_BYTES: u64 = 1024 * 1024;
/// So many certificates of one listener are taken.
const CERTIFICATES: usize = 1000;
/// How long browsers remember unless the file says otherwise.
const HSTS: Duration = Duration::from_secs(365 * 86_400);

/// Reads `tls` of a listener, where it is there and not off. `now` is what tells whether a certificate is valid.
pub(super) fn read(listener: &mut Reader<'_>, now: Timestamp) -> Option<TlsSettings> {
    let value = listener.take("tls").filter(|value| !value.is_off())?;
    value.read(|table| {
        let certificates = certificates(table, now);
        let min_version = table
            .take("min_version")
            .and_then(|value| value.choice(&[("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)]));
        TlsSettings {
            certificates,
            min_version: min_version.unwrap_or_default(),
            client_certificates: client_certificates(table),
            hsts: table.take("hsts").map_or(Some(HSTS), |value| hsts(&value)),
        }
    })
}

fn certificates(tls: &mut Reader<'_>, now: Timestamp) -> Vec<CertificatePair> {
    let Some(value) = tls.require("certificates") else { return Vec::new() };
    let places = value.tables(|table| {
        let line = table.line();
        pair(table, now).map(|value| At { value, line })
    });
    if value.is_empty_list() {
        value.problem("`certificates` needs at least one `{ cert = \"FILE\", key = \"FILE\" }`");
    } else if places.len() > CERTIFICATES {
        value.problem(format!("`certificates` has {} of them, but it takes at most {CERTIFICATES}", places.len()));
    }
    let complete = places.len();
    let pairs: Vec<At<CertificatePair>> = places.into_iter().flatten().collect();
    let (lines, pairs): (Vec<usize>, Vec<CertificatePair>) = pairs.into_iter().map(|at| (at.line, at.value)).unzip();
    // One that could not be read may have been the first.
    if pairs.len() == complete
        && !pairs.is_empty()
        && let Err(error) = Certificates::new(&pairs)
    {
        tls.sheet().problem(lines.get(error.index()).copied().unwrap_or_else(|| value.line()), error.to_string());
    }
    pairs
}

fn pair(table: &mut Reader<'_>, now: Timestamp) -> Option<CertificatePair> {
    let (cert, key) = (file(table, "cert"), file(table, "key"));
    let ((cert, chain), (key, private_key)) = (cert?, key?);
    let name = cert.value.display().to_string();
    match CertificatePair::parse(&name, &chain, &private_key) {
        Ok(pair) => {
            note_validity(table, &cert, &pair, now);
            Some(pair)
        }
        Err(error) => {
            let place = if error.is_of_private_key() { &key } else { &cert };
            let of = if error == PairError::OtherPrivateKey { format!(", `{name}`") } else { String::new() };
            table.sheet().problem(place.line, format!("`{}` {error}{of}", place.value.display()));
            None
        }
    }
}

/// Not a mistake of the file: a certificate that ended is served until another one is there, and the node must start.
fn note_validity(table: &Reader<'_>, cert: &At<PathBuf>, pair: &CertificatePair, now: Timestamp) {
    let file = cert.value.display();
    if pair.not_after() < now {
        let ended = pair.not_after();
        table.sheet().note(cert.line, format!("the certificate in `{file}` ended at {ended}: callers will refuse it"));
    } else if pair.not_before() > now {
        let begins = pair.not_before();
        table
            .sheet()
            .note(cert.line, format!("the certificate in `{file}` begins at {begins}: callers will refuse it before"));
    }
}

/// A PEM file that must be named, and what it holds. It may be a private key.
fn file(table: &mut Reader<'_>, key: &'static str) -> Option<(At<PathBuf>, Zeroizing<Vec<u8>>)> {
    let value = table.require(key)?;
    let path = value.path()?;
    let bytes = bytes(&value, &path)?;
    Some((path, bytes))
}

fn bytes(value: &Value<'_>, path: &At<PathBuf>) -> Option<Zeroizing<Vec<u8>>> {
    match value.sheet().read_bytes(&path.value, PEM_BYTES) {
        Ok(bytes) => Some(Zeroizing::new(bytes)),
        Err(fault) => {
            value.problem(format!("`{}` {}", path.value.display(), fault.message));
            None
        }
    }
}

fn client_certificates(tls: &mut Reader<'_>) -> Option<ClientCertificates> {
    let named = tls.take("client_ca_file");
    let asked = tls.take("client_auth");
    let required = asked.as_ref().and_then(|value| value.choice(&[("optional", false), ("required", true)]));
    let Some(named) = named else {
        if let Some(value) = asked {
            value.problem("`client_auth` asks for certificates that nobody signs: it needs `client_ca_file`");
        }
        return None;
    };
    let path = named.path()?;
    let read = ClientAuthorities::parse(&bytes(&named, &path)?);
    let authorities = read.map_err(|error| named.problem(format!("`{}` {error}", path.value.display()))).ok()?;
    // Whoever names the authorities means them, unless told otherwise.
    Some(ClientCertificates { authorities, required: required.unwrap_or(true) })
}

fn hsts(value: &Value<'_>) -> Option<Duration> {
    if value.is_text("off") {
        return None;
    }
    let age = value.duration(Duration::ZERO..=Duration::from_secs(3650 * 86_400));
    if age.is_some_and(|age| age.subsec_nanos() > 0) {
        value.problem("`hsts` is told in whole seconds");
    }
    age
}
