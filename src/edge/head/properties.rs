//! Whatever bytes come: no panic, the same verdict however they are cut, and what is accepted is read by the parser behind
//! (pingora's, httparse) as the same request.

use super::*;
use proptest::prelude::*;

/// Lines that are sound and lines that are not, and single bytes.
fn head() -> impl Strategy<Value = Vec<u8>> {
    let lines = prop::sample::select(vec![
        "Host: a\r\n",
        "Host: a:80\r\n",
        "host:b\r\n",
        "Host: [::1]\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 0005\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length : 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: Chunked \r\n",
        "Transfer-Encoding: gzip\r\n",
        "Connection: close, x\r\n",
        "Connection: host\r\n",
        "X:\r\n",
        "X: \ty\t z\t\r\n",
        "X: caf\u{e9}\r\n",
        " folded\r\n",
        "!#$%&'*+-.^_`|~: x\r\n",
        "X: y\n",
        "X: y\r",
        "\r\n",
    ]);
    let line = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "GET /a%20b?c=d{}|^ HTTP/1.1\r\n",
        "POST http://a/x?y HTTP/1.1\r\n",
        "PUT http://a?y HTTP/1.1\r\n",
        "DELETE HTTP://A HTTP/1.0\r\n",
        "GET /\u{e9} HTTP/1.1\r\n",
        "GET /?\u{e9} HTTP/1.1\r\n",
        "G*T /x;y HTTP/1.1\r\n",
        "GET  / HTTP/1.1\r\n",
        "GET / HTTP/1.2\r\n",
    ]);
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 0..3);
    (line, prop::collection::vec(lines, 0..6), edits).prop_map(|(line, lines, edits)| {
        let own_host = lines.first().is_some_and(|line| line.to_ascii_lowercase().starts_with("host"));
        let host = if own_host { "" } else { "Host: a\r\n" };
        let mut bytes = [line, host, &lines.concat(), "\r\n"].concat().into_bytes();
        for (at, byte, how) in edits {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

/// As the front does it: what was scanned before is not scanned again.
fn scan_in_pieces(bytes: &[u8], cuts: &[prop::sample::Index]) -> Result<Scan, Denial> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([bytes.len()]).collect();
    ends.sort_unstable();
    let mut scanned = 0;
    for end in ends {
        match scan(&bytes[..end], scanned, &HeadLimits::default())? {
            Scan::Partial => scanned = end.saturating_sub(3),
            complete @ Scan::Complete(_) => return Ok(complete),
        }
    }
    Ok(Scan::Partial)
}

fn values<'r>(request: &'r httparse::Request<'_, '_>, name: &str) -> Vec<&'r [u8]> {
    request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn cuts_change_nothing(bytes in head(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5)) {
        let whole = scan(&bytes, 0, &HeadLimits::default()).map_err(|denial| denial.code());
        prop_assert_eq!(scan_in_pieces(&bytes, &cuts).map_err(|denial| denial.code()), whole);
    }

    #[test]
    fn any_bytes_end_in_a_verdict(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = scan(&bytes, 0, &HeadLimits::default());
        let _ = judge(&bytes, &HeadLimits::default());
    }

    #[test]
    fn an_accepted_head_has_one_reading(bytes in head()) {
        let Ok(Scan::Complete(end)) = scan(&bytes, 0, &HeadLimits::default()) else { return Ok(()) };
        let head = &bytes[..end];
        let Ok(judged) = judge(head, &HeadLimits::default()) else { return Ok(()) };
        prop_assert_eq!(judge(head, &HeadLimits::default()).ok(), Some(judged));
        let mut rewritten = BytesMut::from(head);
        to_origin_form(&mut rewritten, &judged);
        prop_assert_eq!(judge(&rewritten, &HeadLimits::default()).ok(), Some(Judged { absolute: None, ..judged }), "not origin-form");

        let mut fields = [httparse::EMPTY_HEADER; 128];
        let mut request = httparse::Request::new(&mut fields);
        prop_assert_eq!(request.parse(&rewritten), Ok(httparse::Status::Complete(rewritten.len())));
        prop_assert!(request.path.is_some_and(|path| path.starts_with('/') && !path.contains([' ', '#'])));
        prop_assert_eq!(request.headers.len(), rewritten.windows(2).filter(|two| *two == b"\r\n").count() - 2);
        prop_assert_eq!(values(&request, "host").len(), 1);
        let (lengths, codings) = (values(&request, "content-length"), values(&request, "transfer-encoding"));
        prop_assert!(lengths.len() + codings.len() <= 1);
        prop_assert!(lengths.iter().all(|value| value.iter().all(u8::is_ascii_digit) && !value.is_empty()));
        let length = lengths.first().map_or(Ok(0), |value| std::str::from_utf8(value).unwrap().parse());
        prop_assert_eq!(length, Ok(judged.content_length));
        prop_assert_eq!(!codings.is_empty(), judged.chunked);
        prop_assert!(codings.iter().all(|value| value.eq_ignore_ascii_case(b"chunked") && request.version == Some(1)));
        prop_assert!(!head.iter().any(|byte| *byte == 0 || *byte == 0x7f));
    }
}
