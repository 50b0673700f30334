//! What may stand behind a request's body: a single CRLF, which is no part of anything (RFC 9112 section 2.2). Some callers
//! send one, and must not lose their connection for it.
//!
//! Nothing else is passed over, and nothing that stands there is ever read as a request: pingora gets it as part of
//! what it read of this one, gives up on the request or closes the connection after its answer.

use super::head::Judged;
use super::watched::{Look, Watched};
use bytes::BytesMut;
use pingora_core::protocols::Stream;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

const CRLF: &[u8; 2] = b"\r\n";

/// How much of a CRLF was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LineEnd {
    seen: usize,
}

impl LineEnd {
    /// What is still to come of it.
    fn rest(self) -> &'static [u8] {
        CRLF.get(self.seen..).unwrap_or_default()
    }

    /// Whether these bytes are how it goes on; then they are passed over.
    fn take(&mut self, bytes: &[u8]) -> bool {
        let goes_on = self.rest().starts_with(bytes);
        if goes_on {
            self.seen += bytes.len();
        }
        goes_on
    }

    /// All of it was passed over: there is no other one.
    pub(super) const fn is_whole(self) -> bool {
        self.seen == CRLF.len()
    }

    /// What the next request begins with, as far as it was seen.
    pub(super) fn half(self) -> &'static [u8] {
        if self.is_whole() { &[] } else { CRLF.get(..self.seen).unwrap_or_default() }
    }
}

/// What is known of the end of a request once its head was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// With its head, or somewhere that only whoever reads it will know.
    AsItMay,
    /// Where this says.
    With(Fence),
    /// Before bytes that are none of its: the connection closes after the answer.
    Early,
}

/// Looks at what came along with the head that ends at `end`, and takes a line end off that stands behind the request.
pub(super) fn ends(buffer: &mut BytesMut, end: usize, judged: &Judged) -> Ends {
    // Behind an upgrade stands whatever the other protocol says, and where a chunked body ends only its reader knows.
    if judged.upgrades || judged.chunked {
        return Ends::AsItMay;
    }
    let came = buffer.len().saturating_sub(end) as u64;
    if let Some(left) = judged.content_length.checked_sub(came).filter(|left| *left > 0) {
        return Ends::With(Fence { left, line_end: LineEnd::default() });
    }
    let whole = usize::try_from(judged.content_length).unwrap_or(usize::MAX).saturating_add(end);
    let behind = buffer.get(whole..).unwrap_or_default();
    if behind.is_empty() && judged.content_length == 0 {
        return Ends::AsItMay;
    }
    let mut line_end = LineEnd::default();
    if !line_end.take(behind) {
        return Ends::Early;
    }
    buffer.truncate(whole);
    Ends::With(Fence { left: 0, line_end })
}

/// Passes the line end over that stands behind the body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fence {
    /// So many bytes of the body are still to come.
    left: u64,
    line_end: LineEnd,
}

impl Fence {
    /// A connection that is looked at in this way.
    pub(super) fn around(self, stream: Stream) -> Stream {
        Box::new(Watched { stream, look: self })
    }

    /// The connection without it, and what was passed over.
    pub(super) fn take_off(stream: Stream) -> Option<(Stream, LineEnd)> {
        if !stream.as_any().is::<Watched<Self>>() {
            return Some((stream, LineEnd::default()));
        }
        let Watched { stream, look } = *stream.into_any().downcast::<Watched<Self>>().ok()?;
        Some((stream, look.line_end))
    }

    /// Bytes that came: how many of them whoever reads the body gets.
    fn pass(&mut self, came: &[u8]) -> usize {
        let body = usize::try_from(self.left).unwrap_or(usize::MAX).min(came.len());
        let behind = came.get(body..).unwrap_or_default();
        self.left -= body as u64;
        if self.line_end.take(behind) { body } else { came.len() }
    }
}

impl Look for Fence {
    fn poll_read(
        &mut self,
        stream: &mut Stream,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            // No more than can be looked at: what was read of anything else cannot be put back.
            let most = usize::try_from(self.left).unwrap_or(usize::MAX).saturating_add(self.line_end.rest().len());
            let room = buffer.remaining().min(most);
            if room == 0 {
                // The line end is behind: whatever comes is somebody else's.
                return Pin::new(&mut *stream).poll_read(context, buffer);
            }
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
            ready!(Pin::new(&mut *stream).poll_read(context, &mut part))?;
            let came = part.filled().len();
            let passed = self.pass(part.filled());
            buffer.advance(passed);
            if passed > 0 || came == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HeadLimits;
    use crate::edge::head;

    /// What stands behind the head, and what is left of it.
    fn ends_of(fields: &str, behind: &str) -> (Ends, String) {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let judged = head::judge(head.as_bytes(), &HeadLimits::default()).unwrap();
        let mut buffer = BytesMut::from(format!("{head}{behind}").as_bytes());
        let ends = ends(&mut buffer, head.len(), &judged);
        let left = String::from_utf8(buffer[head.len()..].to_vec()).unwrap();
        (ends, left)
    }

    const fn with(left: u64, seen: usize) -> Ends {
        Ends::With(Fence { left, line_end: LineEnd { seen } })
    }

    #[test]
    fn where_requests_end() {
        let three = "Content-Length: 3\r\n";
        for (fields, behind, ends, left) in [
            ("", "", Ends::AsItMay, ""),
            ("Content-Length: 0\r\n", "", Ends::AsItMay, ""),
            (three, "", with(3, 0), ""),
            (three, "ab", with(1, 0), "ab"),
            (three, "abc", with(0, 0), "abc"),
            (three, "abc\r", with(0, 1), "abc"),
            (three, "abc\r\n", with(0, 2), "abc"),
            ("", "\r\n", with(0, 2), ""),
            (three, "abc\n", Ends::Early, "abc\n"),
            (three, "abcd", Ends::Early, "abcd"),
            (three, "abc\r\n\r\n", Ends::Early, "abc\r\n\r\n"),
            (three, "abc\r\nGET / HTTP/1.1", Ends::Early, "abc\r\nGET / HTTP/1.1"),
            ("", "GET / HTTP/1.1", Ends::Early, "GET / HTTP/1.1"),
            ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n\r\n", Ends::AsItMay, "0\r\n\r\n\r\n"),
            ("Upgrade: websocket\r\n", "\r\n", Ends::AsItMay, "\r\n"),
            ("Content-Length: 3\r\nUpgrade: websocket\r\n", "abc\r\n", Ends::AsItMay, "abc\r\n"),
            ("Content-Length: 999999999999999999\r\n", "abc", with(999_999_999_999_999_996, 0), "abc"),
        ] {
            assert_eq!(ends_of(fields, behind), (ends, left.to_owned()), "{fields}{behind}");
        }
    }

    /// However the bytes come, the body is passed on as it is, and of what stands behind a single line end is not.
    #[test]
    fn one_line_end_is_passed_over() {
        for (came, passed, seen) in [
            (&["abc"][..], "abc", 0),
            (&["abc\r\n"], "abc", 2),
            (&["ab", "c\r", "\n"], "abc", 2),
            (&["a", "b", "c", "\r", "\n"], "abc", 2),
            (&["\r\n\r", "\r\n"], "\r\n\r", 2),
            (&["abc\n"], "abc\n", 0),
            (&["abcd"], "abcd", 0),
            (&["abc\rG"], "abc\rG", 0),
            (&["abc", "G"], "abcG", 0),
            (&["abc\r", "G"], "abcG", 1),
        ] {
            let mut fence = Fence { left: 3, line_end: LineEnd::default() };
            let got: String = came.iter().map(|came| &came[..fence.pass(came.as_bytes())]).collect();
            assert_eq!((got.as_str(), fence.line_end.seen), (passed, seen), "{came:?}");
        }
    }
}
