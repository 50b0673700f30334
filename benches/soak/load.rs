//! A steady load for `make soak`: so many requests a second, whether the answers come or not, and the fate of each.
//!
//! Requests are sent at their times over connections that are kept; one in twenty has a connection of its own. A time is
//! taken from when a request was due, so that a gateway which stands still is not flattered by requests that were never
//! sent. Every second a line of JSON goes to stdout: how many were answered 200 and whole, how many were not, how many
//! connections broke, and each answer's time in microseconds. It ends when its stdin does.
//!
//! Usage: `soak_load ADDRESS RATE`, and the head of the request on stdin's first line, its line ends written as `\r\n`.

use anyhow::Context;
use std::cell::RefCell;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// So many requests are under way at most.
const CALLERS: u32 = 40;
/// One request of so many has a connection of its own.
const OWN_CONNECTION: u32 = 20;
/// An answer that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of the requests of one second.
#[derive(Default)]
struct Second {
    failed: u64,
    broken: u64,
    micros: Vec<u128>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: soak_load ADDRESS RATE";
    let address: SocketAddr = arguments.next().context(usage)?.parse()?;
    let rate: u32 = arguments.next().context(usage)?.parse()?;
    let mut head = String::new();
    std::io::stdin().read_line(&mut head)?;
    let head = head.trim_end().replace("\\r\\n", "\r\n");
    std::thread::spawn(|| {
        std::io::stdin().lines().for_each(drop);
        std::process::exit(0);
    });
    let second = Rc::new(RefCell::new(Second::default()));
    let tasks = tokio::task::LocalSet::new();
    for number in 0..CALLERS {
        let caller = Caller { address, head: head.clone(), second: Rc::clone(&second) };
        let pause = Duration::from_secs(1) * CALLERS / rate;
        tasks.spawn_local(caller.call(pause * number / CALLERS, pause));
    }
    tasks.run_until(report(&second)).await
}

/// A line each second.
async fn report(second: &RefCell<Second>) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let Second { failed, broken, micros } = second.take();
        let line = serde_json::json!({"failed": failed, "broken": broken, "micros": micros});
        writeln!(std::io::stdout(), "{line}")?;
    }
}

/// Sends one request after the other, each at its time.
struct Caller {
    address: SocketAddr,
    head: String,
    second: Rc<RefCell<Second>>,
}

impl Caller {
    async fn call(self, offset: Duration, pause: Duration) {
        let mut due = Instant::now() + offset;
        let mut kept: Option<BufReader<TcpStream>> = None;
        for number in 1_u32.. {
            tokio::time::sleep_until(due).await;
            let own = number % OWN_CONNECTION == 0;
            let mut stream = if own { None } else { kept.take() };
            let asked = tokio::time::timeout(PATIENCE, self.ask(&mut stream, own)).await;
            self.note(asked.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())), due);
            if !own {
                kept = stream;
            }
            due += pause;
        }
    }

    fn note(&self, asked: std::io::Result<bool>, due: Instant) {
        let mut second = self.second.borrow_mut();
        match asked {
            Ok(true) => second.micros.push(due.elapsed().as_micros()),
            Ok(false) => second.failed += 1,
            Err(error) => {
                eprintln!("a request failed: {error}");
                second.failed += 1;
                second.broken += 1;
            }
        }
    }

    /// Whether the answer was a whole 200. A connection that was not used up stays.
    async fn ask(&self, kept: &mut Option<BufReader<TcpStream>>, own: bool) -> std::io::Result<bool> {
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        let last = if own { "Connection: close\r\n\r\n" } else { "\r\n" };
        stream.write_all(format!("{}{last}", self.head).as_bytes()).await?;
        let (mut good, mut length, mut closes, mut line) = (false, 0, own, String::new());
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if line == "\r\n" {
                break;
            }
            good |= line.starts_with("HTTP/1.1 200 ");
            let line = line.to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(|_| ErrorKind::InvalidData)?;
            }
            // A gateway that drains says so with the last answer of a connection.
            closes |= line.strip_prefix("connection:").is_some_and(|value| value.trim() == "close");
        }
        stream.read_exact(&mut vec![0; length]).await?;
        if !closes {
            *kept = Some(stream);
        }
        Ok(good)
    }
}
