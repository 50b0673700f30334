//! What may stand behind a request's body: a single CRLF, which is no part of anything (RFC 9112 section 2.2). Some callers
//! send one, and must not lose their connection for it.
//!
//! Nothing else is passed over, and nothing that is seen there while the request is served is ever read as another one.
//! pingora would give up on the request as soon as it got such bytes, so it gets none: they are read away, and the
//! connection closes after the answer.

use super::head::Judged;
use super::watched::{Look, Watched};
use bytes::BytesMut;
use pingora_core::protocols::{Shutdown, Stream};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

const CRLF: &[u8; 2] = b"\r\n";

/// How much is read away to notice a caller that goes away: more is left where it is.
const READ_AWAY: usize = 1 << 20;

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

/// Where a request ends, as far as its head tells, and what was seen there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fence {
    /// After so many more bytes of its body.
    After { left: u64, line_end: LineEnd },
    /// Before bytes that are none of its: the connection closes after the answer. So many were read away.
    Crossed { away: usize },
    /// Somewhere that only whoever reads it will know.
    #[default]
    Open,
}

/// Looks at what came along with the head that ends at `end`, and takes everything off that stands behind the request.
pub(super) fn ends(buffer: &mut BytesMut, end: usize, judged: &Judged) -> Fence {
    // Behind an upgrade stands whatever the other protocol says, and where a chunked body ends only its reader knows.
    if judged.upgrades || judged.chunked {
        return Fence::Open;
    }
    let came = buffer.len().saturating_sub(end) as u64;
    let left = judged.content_length.saturating_sub(came);
    let mut fence = Fence::After { left, line_end: LineEnd::default() };
    let whole = usize::try_from(judged.content_length).unwrap_or(usize::MAX).saturating_add(end);
    if let Some(behind) = buffer.get(whole..) {
        fence.pass(behind);
        buffer.truncate(whole);
    }
    fence
}

impl Fence {
    /// A connection that is looked at in this way; one is enough for all of its requests.
    pub(super) fn around(stream: Stream) -> Box<Watched<Self>> {
        Box::new(Watched { stream, look: Self::default() })
    }

    /// The connection as pingora gives it back, and what was passed over; `None` where it must not be used again.
    pub(super) async fn given_back(stream: Stream) -> Option<(Box<Watched<Self>>, LineEnd)> {
        let mut watched = stream.into_any().downcast::<Watched<Self>>().ok()?;
        match watched.look {
            Self::After { line_end, .. } => Some((watched, line_end)),
            Self::Open => Some((watched, LineEnd::default())),
            Self::Crossed { .. } => {
                Shutdown::shutdown(&mut *watched).await;
                None
            }
        }
    }

    /// Whether something stood behind the request that is none of it.
    pub(super) const fn is_crossed(self) -> bool {
        matches!(self, Self::Crossed { .. })
    }

    /// Bytes that came: how many of them whoever reads the body gets.
    fn pass(&mut self, came: &[u8]) -> usize {
        let Self::After { left, line_end } = self else { return came.len() };
        let body = usize::try_from(*left).unwrap_or(usize::MAX).min(came.len());
        let behind = came.get(body..).unwrap_or_default();
        *left -= body as u64;
        if !line_end.take(behind) {
            *self = Self::Crossed { away: behind.len() };
        }
        body
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
            let (left, line_end) = match self {
                Self::After { left, line_end } => (*left, *line_end),
                Self::Crossed { away } => return poll_away(stream, context, away),
                Self::Open => return Pin::new(&mut *stream).poll_read(context, buffer),
            };
            // Behind the line end a single byte tells that there is more, and none that the caller is gone.
            let most = usize::try_from(left).unwrap_or(usize::MAX).saturating_add(line_end.rest().len().max(1));
            let room = buffer.remaining().min(most);
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

/// Reads what is nobody's. Ready only once the caller is gone.
fn poll_away(stream: &mut Stream, context: &mut Context<'_>, away: &mut usize) -> Poll<io::Result<()>> {
    let mut scratch = [0; 1024];
    while *away < READ_AWAY {
        let mut part = ReadBuf::new(&mut scratch);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut part))?;
        match part.filled().len() {
            0 => return Poll::Ready(Ok(())),
            came => *away = away.saturating_add(came),
        }
    }
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HeadLimits;
    use crate::edge::head;

    /// What stands behind the head, and what is left of it.
    fn ends_of(fields: &str, behind: &str) -> (Fence, String) {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let judged = head::judge(head.as_bytes(), &HeadLimits::default()).unwrap();
        let mut buffer = BytesMut::from(format!("{head}{behind}").as_bytes());
        let fence = ends(&mut buffer, head.len(), &judged);
        let left = String::from_utf8(buffer[head.len()..].to_vec()).unwrap();
        (fence, left)
    }

    const fn after(left: u64, seen: usize) -> Fence {
        Fence::After { left, line_end: LineEnd { seen } }
    }

    const fn crossed(away: usize) -> Fence {
        Fence::Crossed { away }
    }

    #[test]
    fn where_requests_end() {
        let three = "Content-Length: 3\r\n";
        for (fields, behind, fence, left) in [
            ("", "", after(0, 0), ""),
            ("Content-Length: 0\r\n", "", after(0, 0), ""),
            (three, "", after(3, 0), ""),
            (three, "ab", after(1, 0), "ab"),
            (three, "abc", after(0, 0), "abc"),
            (three, "abc\r", after(0, 1), "abc"),
            (three, "abc\r\n", after(0, 2), "abc"),
            ("", "\r\n", after(0, 2), ""),
            (three, "abc\n", crossed(1), "abc"),
            (three, "abcd", crossed(1), "abc"),
            (three, "abc\r\n\r\n", crossed(4), "abc"),
            (three, "abc\r\nGET / HTTP/1.1", crossed(16), "abc"),
            ("", "GET / HTTP/1.1", crossed(14), ""),
            ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n\r\n", Fence::Open, "0\r\n\r\n\r\n"),
            ("Upgrade: websocket\r\n", "\r\n", Fence::Open, "\r\n"),
            ("Content-Length: 3\r\nUpgrade: websocket\r\n", "abc\r\n", Fence::Open, "abc\r\n"),
            ("Content-Length: 999999999999999999\r\n", "abc", after(999_999_999_999_999_996, 0), "abc"),
        ] {
            assert_eq!(ends_of(fields, behind), (fence, left.to_owned()), "{fields}{behind}");
        }
    }

    /// However the bytes come, the body is passed on as it is, and nothing that stands behind it.
    #[test]
    fn one_line_end_is_passed_over() {
        for (came, passed, expected) in [
            (&["abc"][..], "abc", after(0, 0)),
            (&["abc\r\n"], "abc", after(0, 2)),
            (&["ab", "c\r", "\n"], "abc", after(0, 2)),
            (&["a", "b", "c", "\r", "\n"], "abc", after(0, 2)),
            (&["\r\n\r", "\r\n"], "\r\n\r", after(0, 2)),
            (&["abc\n"], "abc", crossed(1)),
            (&["abcd"], "abc", crossed(1)),
            (&["abc\rG"], "abc", crossed(2)),
            (&["abc", "G"], "abc", crossed(1)),
            (&["abc\r", "G"], "abc", crossed(1)),
            (&["abc\r\n", "\r"], "abc", crossed(1)),
        ] {
            let mut fence = after(3, 0);
            let got: String = came.iter().map(|came| &came[..fence.pass(came.as_bytes())]).collect();
            assert_eq!((got.as_str(), fence), (passed, expected), "{came:?}");
        }
    }
}
