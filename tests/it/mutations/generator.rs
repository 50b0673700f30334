//! Sound requests, and what is done to them. Everything follows from a seed and an index: a case can be made again alone.

/// SplitMix64: small, quick and the same everywhere.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn of(seed: u64, index: u64) -> Self {
        let mut random = Self(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        random.next();
        random
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// What the bytes of a case can open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Nothing: no byte of it may go upstream.
    Closed,
    /// What the reader may do.
    Open,
}

/// One case as it goes on the wire.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) bytes: Vec<u8>,
    /// Where the bytes are cut into writes of their own, in order.
    pub(super) cuts: Vec<usize>,
}

impl Case {
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.cuts.iter().copied());
        let ends = self.cuts.iter().copied().chain([self.bytes.len()]);
        starts.zip(ends).map(|(start, end)| &self.bytes[start..end])
    }
}

/// What cases are made of.
pub(super) struct Generator {
    pub(super) seed: u64,
    /// Credentials that open nothing where the closed cases go.
    pub(super) powerless: Vec<String>,
    /// The reader's token, where the open ones go.
    pub(super) reader: String,
}

/// `{base}` is the path of the base URL, `{token}` a credential.
const SOUND: [&str; 26] = [
    "GET {base}/cards HTTP/1.1\r\nHost: gate.test\r\nAuthorization: Bearer {token}\r\n\r\n",
    "GET {base}/cards/7 HTTP/1.1\r\nHost: gate.test\r\nAuthorization: Bearer {token}\r\nAccept: */*\r\n\r\n",
    "GET {base}/cards/7?expand=a%20b&x=/../y HTTP/1.1\r\nhost: GATE.test:80\r\nauthorization: bearer {token}\r\n\r\n",
    "HEAD {base}/cards HTTP/1.1\r\nHost: gate.test\r\nAuthorization: Bearer {token}\r\n\r\n",
    "GET http://gate.test{base}/cards HTTP/1.1\r\nHost: gate.test\r\nAuthorization: Bearer {token}\r\n\r\n",
    "GET {base}/cards HTTP/1.0\r\nHost: gate.test\r\nAuthorization: Bearer {token}\r\n\r\n",
    "GET {base}/cards HTTP/1.0\r\nHost: gate.test\r\nConnection: keep-alive\r\nAuthorization: Bearer {token}\r\n\r\n",
    "GET {base}/cards HTTP/1.1\r\nHost: gate.test\r\nContent-Length: 5\r\nAuthorization: Bearer {token}\r\n\r\nhello",
    "GET {base}/cards HTTP/1.1\r\nHost: gate.test\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer {token}\r\n\r\n\
     5\r\nhello\r\n1f;ext=1\r\n0123456789012345678901234567890\r\n0\r\n\r\n",
    "GET {base}/cards/9 HTTP/1.1\r\nHost: gate.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\nAuthorization: Bearer {token}\
     \r\n\r\n2\r\nab\r\n0\r\nX-T: 1\r\nPortcullis-Client-Id: evil\r\n\r\n",
    "POST {base}/cards HTTP/1.1\r\nHost: gate.test\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
     Content-Length: 13\r\n\r\n{\"limit\": 10}",
    "PUT {base}/cards/7 HTTP/1.1\r\nHost: gate.test\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\n\
     a\r\n0123456789\r\n0\r\n\r\n",
    "DELETE {base}/cards/7 HTTP/1.1\r\nHost: gate.test\r\nAuthorization: Bearer {token}\r\n\r\n",
    "GET {base}/cards/blocked HTTP/1.1\r\nHost: gate.test\r\nAuthorization: Bearer {token}\r\n\r\n",
    "GET {base}/files/a/b.txt HTTP/1.1\r\nHost: gate.test\r\nAuthorization: Bearer {token}\r\n\r\n",
    "GET {base}/cards HTTP/1.1\r\nHost: gate.test\r\nAuthorization: Bearer {token}\r\nExpect: 100-continue\r\n\
     Content-Length: 3\r\n\r\nabc",
    "GET {base}/cards HTTP/1.1\r\nHost: gate.test\r\nAuthorization: Bearer {token}\r\nConnection: Upgrade\r\n\
     Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "GET {base}/cards HTTP/1.1\r\nHost: gate.test\r\nConnection: close, x-hop, Portcullis-Client-Id\r\nX-Hop: 1\r\n\
     Portcullis-Client-Id: evil\r\nPortcullis_Operation: evil\r\nPORTCULLIS.Environment: evil\r\nAuthorization: Bearer {token}\r\n\r\n",
    "GET {base}/cards HTTP/1.1\r\nHost: gate.test\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\
     X-Original-URL: /cards/blocked\r\nX-HTTP-Method-Override: DELETE\r\nVia: 1.0 fred\r\nAuthorization: Bearer {token}\r\n\r\n",
    "GET {base}/cards HTTP/1.1\r\nHost: gate.test\r\nCookie: a=b; c=d\r\nUser-Agent: caf\u{e9}\r\nX-Empty:\r\nX-Tab: a\tb\r\n\
     Authorization: Bearer {token}\r\nTE: trailers\r\nKeep-Alive: 5\r\n\r\n",
    "GET {base}/cards/%41%20b%C3%A9;v=1 HTTP/1.1\r\nHost: gate.test\r\nAuthorization: Bearer {token}\r\n\r\n",
    "GET {base}/cards/a.json?b HTTP/1.1\r\nHost: gate.test.\r\nAuthorization: Bearer {token}\r\n\r\n",
    "OPTIONS {base}/cards HTTP/1.1\r\nHost: gate.test\r\nOrigin: http://a.test\r\nAuthorization: Bearer {token}\r\n\r\n",
    "POST {base}/oauth2/token HTTP/1.1\r\nHost: gate.test\r\nContent-Type: application/x-www-form-urlencoded\r\n\
     Content-Length: 70\r\n\r\ngrant_type=client_credentials&client_id=nobody&client_secret=pculls_no",
    "GET {base}/oauth2/jwks HTTP/1.1\r\nHost: gate.test\r\n\r\n",
    "GET {base} HTTP/1.1\r\nHost: gate.test\r\nAuthorization: Bearer {token}\r\n\r\n",
];

/// Put in place of, or behind, a path.
const PATHS: [&str; 42] = [
    "/..",
    "/../",
    "/./",
    "//",
    "/%2e%2e/",
    "/.%2e/",
    "/%2e",
    "%2f",
    "%2F..%2f",
    "%5c",
    "%5C..",
    "\\",
    "/..\\",
    ";",
    "/;/",
    "/..;/",
    ";a=b",
    "%00",
    "%0d%0a",
    "%25",
    "%252e%252e%252f",
    "%252f",
    "%c0%af",
    "%u002e",
    "%",
    "%2",
    "%zz",
    "#",
    "#/cards/blocked",
    "?",
    "/cards/blocked",
    "/cards/BLOCKED",
    "/cards/blocked.json",
    "/cards/%62locked",
    "/cards/%2562locked",
    "%253b",
    "/cards/7/../blocked",
    "/oauth2/jwks",
    "\u{e9}",
    "/cards%20",
    "{}|^`\"<>",
    ":80@evil.test",
];

/// Whole field lines, good and bad.
const FIELDS: [&str; 52] = [
    "Content-Length: 0",
    "Content-Length: 5",
    "Content-Length: 5, 5",
    "Content-Length: +5",
    "Content-Length: 0x5",
    "Content-Length:",
    "Content-Length: 99999999999999999999",
    "Content-Length : 5",
    "content_length: 5",
    "Content-Length: 4\r\nContent-Length: 5",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding:\u{b}chunked",
    "Transfer-Encoding\r\n: chunked",
    "transfer_encoding: chunked",
    "X: y\r\n Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "TE: trailers, deflate",
    "Host: gate.test",
    "Host: evil.test",
    "Host:",
    "Host : gate.test",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: Host",
    "Connection: Authorization, Content-Length",
    "Connection: upgrade",
    "Connection: X-Forwarded-For, Portcullis-Organization",
    "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    "Upgrade: websocket",
    "Expect: 100-continue",
    "Expect: nothing",
    "Authorization: Basic YTpi",
    "Authorization: Bearer x",
    "Authorization:",
    "Cookie: portcullis_session=x",
    "Portcullis-Client-Id: evil",
    "portcullis_client_id: evil",
    "Portcullis.Client.Id: evil",
    "X-Real-IP: 6.6.6.6",
    "X-Forwarded-For: evil",
    "X_Forwarded_For: 6.6.6.6",
    "X-Rewrite-Url: /cards/blocked",
    "X-Method-Override: POST",
    "Max-Forwards: 0",
    "Trailer: Authorization",
    "X-Request-Id: evil",
    "traceparent: evil",
    "Range: bytes=0-1",
    "Proxy-Connection: keep-alive",
];

const METHODS: [&str; 16] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PRI", "get", "Get", "GET\t",
    "G ET", "", "M-SEARCH",
];

const VERSIONS: [&str; 12] = [
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/0.9",
    "HTTP/2.0",
    "HTTP/1.2",
    "http/1.1",
    "HTTP/1.1 ",
    "HTTP/1",
    "HTTP/01.1",
    "HTTPS/1.1",
    "",
    "HTTP/1.1\r",
];

/// Bytes that mean something to somebody.
const SIGNS: &[u8] = b"\0\r\n\t :;,/\\%.?#@\"'=&_-{}[]<>|^`~+*()!$\x01\x0b\x0c\x1b\x7f\x80\xa0\xc0\xe9\xff09azAZ";

const CHUNKS: [&str; 16] = [
    "0x5\r\n",
    "5 \r\n",
    " 5\r\n",
    "5;a=\"\r\n\"\r\n",
    "5\n",
    "+5\r\n",
    "-1\r\n",
    "ffffffffffffffff\r\n",
    "11111111111111111\r\n",
    "00000005\r\n",
    "5\r\r\n",
    "\r\n",
    "0\r\n\r\n",
    "0\r\nX: y\r\n\r\n",
    "5;\0\r\n",
    "G\r\n",
];

impl Generator {
    /// The case of that index.
    pub(super) fn case(&self, class: Class, index: u64) -> Case {
        let mut random = Random::of(self.seed, index);
        let mut bytes = self.sound(class, &mut random);
        // One in eight goes as it is: what was left on a connection would show there.
        if !random.one_in(8) {
            for _ in 0..=random.below(3) {
                self.mutate(&mut bytes, class, &mut random);
            }
        }
        bytes.truncate(64 * 1024);
        let mut cuts: Vec<usize> = match random.below(4) {
            0 => (0..=random.below(4)).map(|_| random.below(bytes.len() + 1)).collect(),
            _ => Vec::new(),
        };
        cuts.sort_unstable();
        Case { bytes, cuts }
    }

    fn sound(&self, class: Class, random: &mut Random) -> Vec<u8> {
        let text = random.pick(&SOUND);
        let (base, token) = match class {
            Class::Closed => ("/v1/closed", self.powerless[random.below(self.powerless.len())].as_str()),
            Class::Open => ("/v1/open", self.reader.as_str()),
        };
        let text = text.replace("{base}", base);
        match token {
            // No credential at all: the line goes.
            "" => {
                text.split_inclusive("\r\n").filter(|line| !line.contains("{token}")).collect::<String>().into_bytes()
            }
            _ => text.replace("{token}", token).into_bytes(),
        }
    }

    fn mutate(&self, bytes: &mut Vec<u8>, class: Class, random: &mut Random) {
        match random.below(16) {
            0 => signs(bytes, random),
            1 => method(bytes, random),
            2 => version(bytes, random),
            3 | 4 => path(bytes, random),
            5 => encode(bytes, random),
            6 | 7 => add_field(bytes, random),
            8 => change_line(bytes, random),
            9 => line_end(bytes, random),
            10 => framing(bytes, random),
            11 => chunk(bytes, random),
            12 => bytes.truncate(random.below(bytes.len() + 1)),
            13 => {
                // Half of one, half of another.
                let other = self.sound(class, random);
                bytes.truncate(random.below(bytes.len() + 1));
                bytes.extend_from_slice(&other[random.below(other.len())..]);
            }
            14 => {
                // A second request in the same breath.
                let other = self.sound(class, random);
                bytes.extend_from_slice(&other);
            }
            _ => {
                let before = random.pick(&[
                    "\r\n",
                    "\r\n\r\n",
                    "\n",
                    "\0",
                    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                    "\u{16}\u{3}\u{1}",
                    " ",
                ]);
                bytes.splice(0..0, before.bytes());
            }
        }
    }
}

/// Single bytes: changed, put in, taken out, flipped.
fn signs(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() + 1);
        let sign = if random.one_in(4) { random.next() as u8 } else { SIGNS[random.below(SIGNS.len())] };
        match random.below(4) {
            0 => bytes.insert(at, sign),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            _ if at < bytes.len() => bytes[at] = sign,
            _ => bytes.push(sign),
        }
    }
}

/// Where the target stands in the first line.
fn target(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = bytes.iter().position(|byte| *byte == b'\r')?;
    let start = bytes[..end].iter().position(|byte| *byte == b' ')? + 1;
    let last = bytes[..end].iter().rposition(|byte| *byte == b' ').filter(|last| *last >= start)?;
    Some((start, last))
}

fn method(bytes: &mut Vec<u8>, random: &mut Random) {
    let Some((start, _)) = target(bytes) else { return };
    bytes.splice(..start - 1, random.pick(&METHODS).bytes());
}

fn version(bytes: &mut Vec<u8>, random: &mut Random) {
    let Some((_, end)) = target(bytes) else { return };
    let Some(line) = bytes.iter().position(|byte| *byte == b'\r').filter(|line| *line > end) else { return };
    bytes.splice(end + 1..line, random.pick(&VERSIONS).bytes());
}

/// Something odd behind, within or instead of the path.
fn path(bytes: &mut Vec<u8>, random: &mut Random) {
    let Some((start, end)) = target(bytes) else { return };
    let odd = random.pick(&PATHS);
    let query = bytes[start..end].iter().position(|byte| *byte == b'?').map_or(end, |at| start + at);
    match random.below(6) {
        0 => drop(bytes.splice(query..query, odd.bytes())),
        1 => drop(bytes.splice(start..start, odd.bytes())),
        2 => drop(bytes.splice(start..end, format!("http://evil.test{odd}").bytes())),
        3 => bytes[start..end].make_ascii_uppercase(),
        4 => drop(bytes.splice(query..query, vec![b'a'; random.below(9000)])),
        _ => {
            let at = start + random.below(end - start + 1);
            bytes.splice(at..at, odd.bytes());
        }
    }
}

/// Some bytes of the target percent-encoded, once or twice.
fn encode(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let Some((start, end)) = target(bytes).filter(|(start, end)| start < end) else { return };
        let at = start + random.below(end - start);
        let percent = random.pick(&["%", "%25"]);
        let code = if random.one_in(2) {
            format!("{percent}{:02x}", bytes[at])
        } else {
            format!("{percent}{:02X}", bytes[at])
        };
        bytes.splice(at..=at, code.bytes());
    }
}

/// Where lines begin, the first and the last left out.
fn line_starts(bytes: &[u8]) -> Vec<usize> {
    let ends = bytes.windows(2).enumerate().filter(|(_, two)| *two == b"\r\n").map(|(at, _)| at + 2);
    ends.filter(|start| *start < bytes.len()).collect()
}

fn add_field(bytes: &mut Vec<u8>, random: &mut Random) {
    let starts = line_starts(bytes);
    let Some(&at) = starts.get(random.below(starts.len().min(6))) else { return };
    let count = if random.one_in(64) { 101 } else { 1 };
    for _ in 0..count {
        bytes.splice(at..at, format!("{}\r\n", random.pick(&FIELDS)).bytes());
    }
}

/// A line twice, gone, in other case, folded, with a space before its colon or signs in its name.
fn change_line(bytes: &mut Vec<u8>, random: &mut Random) {
    let starts = line_starts(bytes);
    let Some(&start) = starts.get(random.below(starts.len())) else { return };
    let end = bytes[start..].windows(2).position(|two| two == b"\r\n").map_or(bytes.len(), |at| start + at + 2);
    let colon = bytes[start..end].iter().position(|byte| *byte == b':').map(|at| start + at);
    let line = bytes[start..end].to_vec();
    match (random.below(8), colon) {
        (0, _) => drop(bytes.splice(start..start, line)),
        (1, _) => drop(bytes.drain(start..end)),
        (2, Some(colon)) => bytes[start..colon].make_ascii_uppercase(),
        (3, Some(colon)) => bytes.insert(colon, SIGNS[random.below(10)]),
        (4, Some(colon)) => bytes[start..colon].iter_mut().filter(|byte| **byte == b'-').for_each(|byte| *byte = b'_'),
        (5, Some(colon)) => bytes.insert(colon + 1, SIGNS[random.below(SIGNS.len())]),
        (6, Some(colon)) => drop(bytes.splice(colon + 1..colon + 1, b"\r\n ".iter().copied())),
        _ => bytes.insert(start, b' '),
    }
}

fn line_end(bytes: &mut Vec<u8>, random: &mut Random) {
    let starts = line_starts(bytes);
    let Some(&start) = starts.get(random.below(starts.len())) else { return };
    let end = random.pick(&["\n", "\r", "\r\r\n", "\n\r", "\r\n\r\n", "\0\r\n", "", "\r\n\t"]);
    bytes.splice(start - 2..start, end.bytes());
}

/// The digits of Content-Length, or the word behind Transfer-Encoding.
fn framing(bytes: &mut Vec<u8>, random: &mut Random) {
    let lower = bytes.to_ascii_lowercase();
    let name: &[u8] = if random.one_in(2) { b"content-length:" } else { b"transfer-encoding:" };
    let Some(at) = lower.windows(name.len()).position(|window| window == name) else { return add_field(bytes, random) };
    let start = at + name.len();
    let end = bytes[start..].iter().position(|byte| *byte == b'\r').map_or(bytes.len(), |at| start + at);
    let value = random.pick(&[
        " 0",
        " 1",
        " 6",
        " 100000",
        " 5,5",
        "  5 ",
        " 05",
        " 5\t",
        " 5 6",
        " chunked",
        " Chunked",
        " chunked ",
        " \"chunked\"",
        " chunked,",
        "",
    ]);
    bytes.splice(start..end, value.bytes());
}

/// What a chunked body could hold, somewhere behind the head.
fn chunk(bytes: &mut Vec<u8>, random: &mut Random) {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let at = head + random.below(bytes.len() - head + 1);
    bytes.splice(at..at, random.pick(&CHUNKS).bytes());
}
