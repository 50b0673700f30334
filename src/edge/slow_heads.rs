//! Heads of HTTP/2 requests that begin and do not end. The codec tells of a head once it is whole, and a connection on which
//! other streams run is not idle; so what comes is looked at, frame by frame (RFC 9113 section 4.1), before the codec gets it.
//! While a head is half there nothing else can come on its connection: when it is late the connection ends.

use super::alarm::poll_timer;
use super::watched::{Look, Watched};
use pingora_core::protocols::Stream;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};

/// What begins a connection (RFC 9113 section 3.4).
const PREFACE_BYTES: usize = 24;
const FRAME_HEADER_BYTES: usize = 9;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;

/// Where one side of a connection is between its frames. Pure.
#[derive(Debug)]
struct Frames {
    /// Bytes that belong to the frame (or the preface) that has begun.
    left: usize,
    header: [u8; FRAME_HEADER_BYTES],
    /// How much of the next frame's header is there.
    filled: usize,
    /// Whether what has begun is a head, and if so whether this frame ends it.
    head: Option<bool>,
    /// How many heads have begun.
    begun: u64,
}

impl Frames {
    const fn new() -> Self {
        Self { left: PREFACE_BYTES, header: [0; FRAME_HEADER_BYTES], filled: 0, head: None, begun: 0 }
    }

    /// Takes in what came. The number of the head that is half there, counted from 1.
    fn take(&mut self, mut bytes: &[u8]) -> Option<u64> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let of_frame = self.left.min(bytes.len());
                self.left -= of_frame;
                bytes = bytes.get(of_frame..).unwrap_or_default();
            } else {
                bytes = self.take_header(bytes);
            }
            if self.left == 0 && self.filled == 0 && self.head == Some(true) {
                self.head = None;
            }
        }
        self.head.map(|_| self.begun)
    }

    /// What of these bytes is behind the frame's header.
    fn take_header<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let missing = self.header.get_mut(self.filled..).unwrap_or_default();
        let (ours, rest) = bytes.split_at(missing.len().min(bytes.len()));
        missing.iter_mut().zip(ours).for_each(|(place, byte)| *place = *byte);
        self.filled += ours.len();
        if self.filled == FRAME_HEADER_BYTES {
            let [high, middle, low, kind, flags, ..] = self.header;
            self.left = u32::from_be_bytes([0, high, middle, low]) as usize;
            self.filled = 0;
            if kind == HEADERS {
                self.begun += 1;
            }
            if kind == HEADERS || kind == CONTINUATION {
                self.head = Some(flags & END_HEADERS != 0);
            }
        }
        rest
    }
}

/// Tells when a head is late.
#[derive(Debug)]
pub(super) struct Heads {
    frames: Frames,
    /// How long one may take.
    within: Duration,
    /// The head that is waited for, and until when.
    awaited: Option<(u64, Pin<Box<Sleep>>)>,
    late: Arc<Notify>,
}

impl Heads {
    /// A connection that tells `late` of a head that took longer than `within`.
    pub(super) fn around(stream: Stream, within: Duration, late: &Arc<Notify>) -> Stream {
        let look = Self { frames: Frames::new(), within, awaited: None, late: Arc::clone(late) };
        Box::new(Watched { stream, look })
    }

    fn took(&mut self, came: &[u8]) {
        match (self.frames.take(came), &mut self.awaited) {
            (None, awaited) => *awaited = None,
            // Its time goes on.
            (Some(head), Some((known, _))) if *known == head => {}
            (Some(head), Some((known, timer))) => {
                *known = head;
                timer.as_mut().reset(Instant::now() + self.within);
            }
            (Some(head), awaited @ None) => *awaited = Some((head, Box::pin(sleep(self.within)))),
        }
    }
}

impl Look for Heads {
    fn poll_read(
        &mut self,
        stream: &mut Stream,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(stream).poll_read(context, buffer);
        match &read {
            Poll::Ready(Ok(())) => self.took(buffer.filled().get(before..).unwrap_or_default()),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let late =
                    self.awaited.as_mut().is_some_and(|(_, timer)| poll_timer(timer.as_mut(), context).is_ready());
                if late {
                    self.late.notify_one();
                }
            }
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        [&[0, 0, length, kind, flags, 0, 0, 0, 1][..], &vec![0x5a; usize::from(length)]].concat()
    }

    #[test]
    fn a_head_is_half_there_until_the_frame_that_ends_it_is_whole() {
        let preface = [b'P'; PREFACE_BYTES];
        for (bytes, half) in [
            (preface[..20].to_vec(), None),
            (preface.to_vec(), None),
            ([&preface[..], &frame(4, 0, 6)].concat(), None),
            ([&preface[..], &frame(HEADERS, 4, 20)].concat(), None),
            ([&preface[..], &frame(HEADERS, 4, 0)].concat(), None),
            // Who knows what it will be.
            ([&preface[..], &frame(HEADERS, 4, 20)[..8]].concat(), None),
            ([&preface[..], &frame(HEADERS, 4, 20)[..9]].concat(), Some(1)),
            ([&preface[..], &frame(HEADERS, 4, 20)[..28]].concat(), Some(1)),
            ([&preface[..], &frame(HEADERS, 0, 20)].concat(), Some(1)),
            ([&preface[..], &frame(HEADERS, 0, 20), &frame(CONTINUATION, 0, 1)].concat(), Some(1)),
            ([&preface[..], &frame(HEADERS, 0, 20), &frame(CONTINUATION, 0, 0)].concat(), Some(1)),
            ([&preface[..], &frame(HEADERS, 0, 20), &frame(CONTINUATION, 4, 5)[..13]].concat(), Some(1)),
            ([&preface[..], &frame(HEADERS, 0, 20), &frame(CONTINUATION, 4, 5)].concat(), None),
            ([&preface[..], &frame(HEADERS, 0, 20), &frame(CONTINUATION, 4, 0)].concat(), None),
            ([&preface[..], &frame(HEADERS, 4, 20), &frame(HEADERS, 5, 20)[..20]].concat(), Some(2)),
            // Bodies have deadlines of their own, whatever they hold.
            ([&preface[..], &frame(0, 0, 200)[..100]].concat(), None),
            ([&preface[..], &frame(HEADERS, 4, 20), &frame(0, 4, 20), &frame(8, 0, 4)[..10]].concat(), None),
        ] {
            // However it is cut.
            for size in [1, 2, 7, 1000] {
                let mut frames = Frames::new();
                let mut last = None;
                for piece in bytes.chunks(size) {
                    last = frames.take(piece);
                }
                assert_eq!(last, half, "{bytes:?} in pieces of {size}");
            }
        }
    }
}
