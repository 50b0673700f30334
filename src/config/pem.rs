//! Certificates and keys in PEM files (RFC 7468) that a tenant file names.
//!
//! pingora parses certificates when it connects, and panics at what it cannot read; so everything is read here as it will
//! read it, and refused with the line of its file.

use super::reader::{At, Reader, Value};
use super::sheet::{MAX_FILE_BYTES, Sheet};
use crate::model::ClientCertificate;
use crate::tls::read_private_key;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What a line that begins a section holds.
const BEGIN: &str = "-----BEGIN ";

/// The certificates of authorities in the file that `value` names, in DER. Empty where something is wrong with it.
pub(super) fn authorities(sheet: &Sheet, value: &Value<'_>) -> Vec<Vec<u8>> {
    let Some((path, text)) = text(sheet, value) else { return Vec::new() };
    let mut found = Vec::new();
    for (line, section) in sections(&text) {
        match certificate(section) {
            Some(Ok(der)) if RootCertStore::empty().add(CertificateDer::from(der.clone())).is_ok() => found.push(der),
            Some(Ok(_)) => sheet.problem_in(&path, line, "is a certificate, but cannot be one of an authority"),
            Some(Err(reason)) => sheet.problem_in(&path, line, reason),
            None => sheet.problem_in(&path, line, "is no certificate: a file of authorities holds nothing else"),
        }
    }
    told_where_empty(sheet, &path, &text);
    found
}

/// `{ cert = "FILE", key = "FILE" }`.
pub(super) fn client_certificate(table: &mut Reader<'_>) -> Option<ClientCertificate> {
    let sheet = table.sheet();
    let (cert, key) = (table.require("cert"), table.require("key"));
    let chain = cert.as_ref().and_then(|value| chain(sheet, value));
    let key = key.as_ref().and_then(|value| private_key(sheet, value));
    let (chain, At { value: key, line }) = chain.zip(key)?;
    let der = |der: &Vec<u8>| CertificateDer::from(der.clone());
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    match CertifiedKey::from_der(chain.iter().map(der).collect(), key.clone_key(), &provider) {
        Ok(_) => Some(ClientCertificate { chain, key: Zeroizing::new(key.secret_der().to_vec()) }),
        Err(rustls::Error::InconsistentKeys(_)) => {
            sheet.problem(line, "`key` is not the key of the certificate in `cert`");
            None
        }
        Err(_) => {
            sheet.problem(
                line,
                "`cert` and `key` cannot be used together: no certificate, or a kind of key that is not known",
            );
            None
        }
    }
}

/// A certificate and those that lead to its authority. What else the file holds is none of ours.
fn chain(sheet: &Sheet, value: &Value<'_>) -> Option<Vec<Vec<u8>>> {
    let (path, text) = text(sheet, value)?;
    let mut found = Vec::new();
    let mut is_sound = told_where_empty(sheet, &path, &text);
    for (line, section) in sections(&text) {
        match certificate(section) {
            Some(Ok(der)) => found.push(der),
            Some(Err(reason)) => {
                sheet.problem_in(&path, line, reason);
                is_sound = false;
            }
            None => {}
        }
    }
    if is_sound && found.is_empty() {
        sheet.problem_in(&path, 1, "holds no certificate");
    }
    (is_sound && !found.is_empty()).then_some(found)
}

/// The first private key of a file, read as a listener's is. Nothing of it is told.
fn private_key(sheet: &Sheet, value: &Value<'_>) -> Option<At<Zeroizing<PrivateKeyDer<'static>>>> {
    let (path, text) = text(sheet, value)?;
    match read_private_key(text.as_bytes()) {
        Ok(key) => Some(At { value: key, line: value.line() }),
        Err(error) => {
            let line = sections(&text).next().map_or(1, |(line, _)| line);
            sheet.problem_in(&path, line, error.to_string());
            None
        }
    }
}

fn text(sheet: &Sheet, value: &Value<'_>) -> Option<(PathBuf, Zeroizing<String>)> {
    let path = value.path()?.value;
    match sheet.read_bytes(&path, MAX_FILE_BYTES).map(String::from_utf8) {
        Ok(Ok(text)) => Some((path, Zeroizing::new(text))),
        Ok(Err(_)) => {
            sheet.problem_in(&path, 1, "is not text: certificates and keys are read in PEM");
            None
        }
        Err(fault) => {
            value.problem(format!("`{}`: {}", path.display(), fault.message));
            None
        }
    }
}

/// Whether there is anything in PEM at all.
fn told_where_empty(sheet: &Sheet, path: &Path, text: &str) -> bool {
    let holds = sections(text).next().is_some();
    if !holds {
        sheet.problem_in(path, 1, "holds nothing in PEM");
    }
    holds
}

/// Each section from its first line to the next one's, with the number of that line.
fn sections(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let starts: Vec<usize> = text.match_indices(BEGIN).map(|(at, _)| at).collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([text.len()]).collect();
    starts.into_iter().zip(ends).filter_map(move |(start, end)| {
        let line = text.get(..start)?.matches('\n').count() + 1;
        Some((line, text.get(start..end)?))
    })
}

/// The certificate of a section; `None` where it holds something else.
fn certificate(section: &str) -> Option<Result<Vec<u8>, &'static str>> {
    let found = CertificateDer::pem_slice_iter(section.as_bytes()).next();
    match found {
        None => None,
        Some(Err(_)) => Some(Err("is not PEM: a line of it is damaged, or its end is missing")),
        Some(Ok(der)) => Some(match x509_parser::parse_x509_certificate(&der) {
            Ok(([], _)) => Ok(der.to_vec()),
            Ok(_) | Err(_) => Err("is not a certificate that can be read"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_have_lines() {
        let text = "words\n-----BEGIN A-----\nx\n-----END A-----\n\n-----BEGIN B-----\ny\n";
        let lines: Vec<_> = sections(text).map(|(line, section)| (line, section.len())).collect();
        assert_eq!(lines, [(2, 37), (6, 20)]);
        assert_eq!(sections("nothing").count(), 0);
    }

    #[test]
    fn what_is_no_certificate_is_told_apart() {
        let pem = |kind: &str, body: &str| format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n");
        assert!(matches!(certificate(&pem("CERTIFICATE", "AAAA")), Some(Err("is not a certificate that can be read"))));
        assert!(matches!(certificate(&pem("CERTIFICATE", "!")), Some(Err(_))));
        assert!(matches!(certificate("-----BEGIN CERTIFICATE-----\nAAAA\n"), Some(Err(_))));
        assert!(certificate(&pem("PRIVATE KEY", "AAAA")).is_none());
    }
}
