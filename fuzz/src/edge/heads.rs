//! A head of HTTP/1: one verdict however it arrives, and what is accepted is read by the parser behind as the same.

use super::head::{Judged, Scan, judge, scan, to_origin_form};
use crate::access::Denial;
use crate::config::HeadLimits;
use bytes::BytesMut;

pub fn check(bytes: &[u8]) {
    // The first byte says how large the pieces are.
    let Some((&step, bytes)) = bytes.split_first() else { return };
    let limits = HeadLimits { header_bytes: 1024, target_bytes: 256, header_fields: 20, ..HeadLimits::default() };
    let whole = scan(bytes, 0, &limits);
    let pieces = in_pieces(bytes, usize::from(step) + 1, &limits);
    let code = |denial: Denial| denial.code();
    assert_eq!(pieces.map_err(code), whole.clone().map_err(code), "cuts change the verdict");
    let _ = judge(bytes, &limits);
    let Ok(Scan::Complete(end)) = whole else { return };
    assert_eq!(end, naive_end(bytes), "the head ends elsewhere");
    assert!(end <= limits.header_bytes);
    if let Ok(judged) = judge(&bytes[..end], &limits) {
        accepted(&bytes[..end], &judged, &limits);
    }
}

/// As the front does it: what was scanned before is not scanned again.
fn in_pieces(bytes: &[u8], step: usize, limits: &HeadLimits) -> Result<Scan, Denial> {
    let (mut scanned, mut end) = (0, 0);
    while end < bytes.len() {
        end = (end + step).min(bytes.len());
        match scan(&bytes[..end], scanned, limits)? {
            Scan::Partial => scanned = end.saturating_sub(3),
            complete @ Scan::Complete(_) => return Ok(complete),
        }
    }
    Ok(Scan::Partial)
}

fn naive_end(bytes: &[u8]) -> usize {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4
}

fn accepted(head: &[u8], judged: &Judged, limits: &HeadLimits) {
    let mut rewritten = BytesMut::from(head);
    to_origin_form(&mut rewritten, judged);
    assert_eq!(judge(&rewritten, limits).ok(), Some(Judged::default()), "not origin-form");
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut fields);
    assert_eq!(request.parse(&rewritten), Ok(httparse::Status::Complete(rewritten.len())));
    let path = request.path.unwrap();
    assert!(path.starts_with('/') && !path.bytes().any(|byte| byte <= b' ' || matches!(byte, b'#' | 0x7f)));
    assert!(!matches!(request.method, Some("CONNECT" | "TRACE")));
    let lines = rewritten.windows(2).filter(|two| *two == b"\r\n").count();
    assert_eq!((request.headers.len(), request.headers.len().min(20)), (lines - 2, lines - 2));
    let values = |name: &str| -> Vec<&[u8]> {
        request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value).collect()
    };
    let (hosts, lengths, codings) = (values("host"), values("content-length"), values("transfer-encoding"));
    assert!(hosts.len() == 1 && !hosts[0].is_empty() && !hosts[0].contains(&b'@') && !hosts[0].contains(&b'/'));
    assert!(lengths.len() + codings.len() <= 1);
    assert!(lengths.iter().all(|value| std::str::from_utf8(value).unwrap().parse::<u64>().is_ok()));
    assert!(codings.iter().all(|value| value.eq_ignore_ascii_case(b"chunked") && request.version == Some(1)));
    assert!(!head.iter().any(|byte| *byte == 0 || *byte == 0x7f));
    if judged.absolute.is_some() {
        let target = head.split(|byte| *byte == b' ').nth(1).unwrap();
        let rest = target.split(|byte| *byte == b':').skip(1).collect::<Vec<_>>().join(&b':');
        let authority = rest[2..].split(|byte| matches!(byte, b'/' | b'?')).next().unwrap();
        assert!(authority.eq_ignore_ascii_case(hosts[0]), "another host");
    }
}
