//! A client of HTTP/2 that sends exactly the frames it is told to (RFC 9113), over TLS.

use super::{Connection, End};
use std::collections::HashMap;
use std::net::SocketAddr;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const ACK: u8 = 1;

/// What begins every connection.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn bytes(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// The 32 bits at a place of the payload: an error code, for one.
    pub fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// What a stream came to.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// 0 where there was none.
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub ended: bool,
    /// The error code of RST_STREAM.
    pub reset: Option<u32>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection.
pub struct Http2 {
    pub connection: Connection,
    decoder: fluke_hpack::Decoder<'static>,
    replies: HashMap<u32, Reply>,
    /// The error code of GOAWAY.
    pub goaway: Option<u32>,
    /// Frames of the connection itself, as they came.
    pub seen: Vec<Frame>,
    next_stream: u32,
}

impl Http2 {
    /// Shakes hands, and sends the preface with empty settings.
    #[track_caller]
    pub fn open(to: SocketAddr, authority: &str, name: &str) -> Self {
        let mut client = Self::silent(to, authority, name);
        client.connection.send([PREFACE, &Frame::bytes(SETTINGS, 0, 0, &[])].concat());
        client
    }

    /// Shakes hands and says nothing.
    #[track_caller]
    pub fn silent(to: SocketAddr, authority: &str, name: &str) -> Self {
        let connection = Connection::open(to).secure(authority, name, &[b"h2"]).unwrap();
        assert_eq!(connection.protocol(), Some(&b"h2"[..]));
        Self {
            connection,
            decoder: fluke_hpack::Decoder::new(),
            replies: HashMap::new(),
            goaway: None,
            seen: Vec::new(),
            next_stream: 1,
        }
    }

    /// A stream of its own.
    pub fn stream(&mut self) -> u32 {
        self.next_stream += 2;
        self.next_stream - 2
    }

    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.connection.send(Frame::bytes(kind, flags, stream, payload));
    }

    /// Sends a head as it stands; the stream.
    pub fn head(&mut self, fields: &[(&str, &str)], end: bool) -> u32 {
        let stream = self.stream();
        self.frame(HEADERS, END_HEADERS | u8::from(end), stream, &block(fields));
        stream
    }

    /// Sends a request without a body and reads what comes of it.
    pub fn ask(&mut self, fields: &[(&str, &str)]) -> Reply {
        let stream = self.head(fields, true);
        self.reply(stream)
    }

    /// Reads until a stream has ended, or the connection has.
    pub fn reply(&mut self, stream: u32) -> Reply {
        while !self.replies.get(&stream).is_some_and(|reply| reply.ended) && self.read() {}
        self.replies.remove(&stream).unwrap_or_default()
    }

    /// What came of a stream so far.
    pub fn so_far(&self, stream: u32) -> Reply {
        self.replies.get(&stream).cloned().unwrap_or_default()
    }

    /// Reads to the end of the connection.
    pub fn read_to_end(&mut self) -> End {
        while self.read() {}
        self.connection.read_to_end().1
    }

    /// Reads one frame and takes part in what every connection does; `false` where there was none.
    pub fn read(&mut self) -> bool {
        let (head, end) = self.connection.read_exactly(9);
        if end != End::Open {
            return false;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        let (payload, end) = self.connection.read_exactly(length);
        if end != End::Open {
            return false;
        }
        let frame = Frame { kind: head[3], flags: head[4], stream, payload };
        self.take(&frame);
        if stream == 0 {
            self.seen.push(frame);
        }
        true
    }

    fn take(&mut self, frame: &Frame) {
        let Frame { kind, flags, stream, ref payload } = *frame;
        let reply = self.replies.entry(stream).or_default();
        match kind {
            DATA => {
                reply.body.extend_from_slice(payload);
                let window = u32::try_from(payload.len()).unwrap().to_be_bytes();
                if !payload.is_empty() {
                    self.frame(WINDOW_UPDATE, 0, 0, &window);
                    self.frame(WINDOW_UPDATE, 0, stream, &window);
                }
            }
            HEADERS => {
                let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                let fields = self.decoder.decode(payload).unwrap();
                for (name, value) in fields.into_iter().map(|(name, value)| (text(name), text(value))) {
                    match name.as_str() {
                        ":status" => reply.status = value.parse().unwrap(),
                        _ => reply.headers.push((name, value)),
                    }
                }
            }
            RST_STREAM => reply.reset = Some(frame.number(0)),
            SETTINGS if flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => self.frame(PING, ACK, 0, payload),
            GOAWAY => self.goaway = Some(frame.number(4)),
            _ => {}
        }
        if let Some(reply) = self.replies.get_mut(&stream) {
            reply.ended |= kind == RST_STREAM || ([DATA, HEADERS].contains(&kind) && flags & END_STREAM != 0);
        }
    }
}

/// Fields as a block that refers to no table (RFC 7541 section 6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541 section 5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        return block.push(u8::try_from(length).unwrap());
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128 + 128).unwrap());
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}
