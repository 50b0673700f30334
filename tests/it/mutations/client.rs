//! Sends cases, several connections at once, and reads what comes back.

use super::generator::Case;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

/// A sound request has its answer by then, else the client says that nothing more will come.
const SOON: Duration = Duration::from_millis(60);
/// Whatever is asked, by then it is answered, or the connection closed.
const LONGEST: Duration = Duration::from_secs(30);

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    Answered(u16),
    /// Closed without a word.
    Closed,
    /// Neither an answer nor an end.
    Silent,
}

/// A client with one connection at a time.
pub(super) struct Client {
    edge: SocketAddr,
    source: Ipv4Addr,
    /// Binds addresses, which std does not.
    runtime: Runtime,
    stream: Option<TcpStream>,
    /// The cases that this connection carried so far: what a failure is told with.
    pub(super) carried: Vec<u64>,
}

/// What came back.
pub(super) struct Outcome {
    pub(super) ending: Ending,
    /// Whether the upstream's own body is in it.
    pub(super) from_upstream: bool,
    /// What came, where it is no HTTP.
    pub(super) odd: Option<String>,
}

impl Client {
    pub(super) fn new(edge: SocketAddr, source: Ipv4Addr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        Self { edge, source, runtime, stream: None, carried: Vec::new() }
    }

    /// Runs one case; `keep` lets the connection go on where the answer does.
    pub(super) fn run(&mut self, index: u64, case: &Case, keep: bool) -> Outcome {
        let reused = self.stream.is_some();
        let outcome = self.attempt(index, case, keep);
        // A kept connection may have ended in the meantime.
        if reused && outcome.ending == Ending::Closed { self.attempt(index, case, keep) } else { outcome }
    }

    fn attempt(&mut self, index: u64, case: &Case, keep: bool) -> Outcome {
        let mut stream = self.stream.take().unwrap_or_else(|| {
            self.carried.clear();
            connect(&self.runtime, self.edge, self.source)
        });
        self.carried.push(index);
        for piece in case.pieces() {
            if stream.write_all(piece).is_err() {
                break;
            }
        }
        let mut received = Vec::new();
        let ending = read_answer(&mut stream, &mut received, case.bytes.starts_with(b"HEAD "));
        let text = String::from_utf8_lossy(&received);
        let outcome =
            Outcome { ending: ending.0, from_upstream: text.contains("\"from\":\"upstream\""), odd: odd(&text) };
        if keep && ending.1 {
            self.stream = Some(stream);
        }
        outcome
    }
}

/// From an address of its own; tries again while the machine has no port left.
fn connect(runtime: &Runtime, edge: SocketAddr, source: Ipv4Addr) -> TcpStream {
    let began = Instant::now();
    let connected = || -> std::io::Result<TcpStream> {
        runtime.block_on(async {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from((source, 0)))?;
            socket.connect(edge).await?.into_std()
        })
    };
    loop {
        match connected() {
            Ok(stream) => {
                stream.set_nonblocking(false).unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_write_timeout(Some(LONGEST)).unwrap();
                return stream;
            }
            Err(error) if began.elapsed() > LONGEST => panic!("connecting: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Reads one answer; whether the connection can go on. Where it cannot, everything to its end is read.
fn read_answer(stream: &mut TcpStream, received: &mut Vec<u8>, head_only: bool) -> (Ending, bool) {
    let began = Instant::now();
    let mut buffer = [0; 16 * 1024];
    let mut finished = false;
    let ending =
        |received: &[u8]| answer(received, head_only).map_or(Ending::Closed, |found| Ending::Answered(found.0));
    stream.set_read_timeout(Some(SOON)).unwrap();
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (ending(received), false),
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if finished {
                    return (Ending::Silent, false);
                }
                finished = finish(stream);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return (ending(received), false),
        }
        if began.elapsed() > LONGEST {
            return (Ending::Silent, false);
        }
        match answer(received, head_only) {
            Some((status, true)) if !finished => return (Ending::Answered(status), true),
            Some(_) if !finished => finished = finish(stream),
            Some(_) | None => {}
        }
    }
}

/// Says that nothing more will come, and waits longer for the end.
fn finish(stream: &TcpStream) -> bool {
    let _ = stream.shutdown(Shutdown::Write);
    stream.set_read_timeout(Some(LONGEST)).unwrap();
    true
}

/// The status of a whole answer, and whether the connection goes on; `None` where there is more to come.
fn answer(received: &[u8], head_only: bool) -> Option<(u16, bool)> {
    let mut rest = received;
    loop {
        let end = rest.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&rest[..end]).to_ascii_lowercase();
        rest = &rest[end..];
        let status: u16 = head.get(9..12)?.parse().ok()?;
        if status < 200 && status != 101 {
            continue;
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let whole = head_only || rest.len() >= length?;
        let goes_on = !head.contains("\r\nconnection: close") && head.starts_with("http/1.1");
        // What came behind the answer belongs to nobody.
        let alone = head_only || Some(rest.len()) == length;
        return whole.then_some((status, goes_on && alone));
    }
}

/// What no gateway says.
fn odd(text: &str) -> Option<String> {
    let sound = text.is_empty() || text.starts_with("HTTP/1.1 ") || text.starts_with("HTTP/1.0 ");
    let fault = text.contains("\"code\":\"internal_error\"");
    (!sound || fault).then(|| text.chars().take(500).collect())
}
