//! The access log: one JSON line a request, written by a thread of its own.
//!
//! The request path hands over a finished line and never waits: when the writer cannot keep up, lines are dropped and
//! counted. Paths are logged, queries, credentials and bodies are not.

use prometheus::IntCounter;
use serde::Serialize;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

const QUEUE_LINES: usize = 16 * 1024;

/// One request, as it is logged.
#[derive(Debug, Serialize)]
pub struct AccessLine<'a> {
    /// RFC 3339, whole seconds.
    pub time: String,
    /// `X-Request-Id`.
    pub request_id: &'a str,
    /// The trace of W3C Trace Context: the caller's, else the request id.
    pub trace_id: &'a str,
    /// `org/env`, or `-`.
    pub environment: &'a str,
    /// The key, where one was proven.
    pub client_id: Option<&'a str>,
    /// The caller's address as it was judged.
    pub address: Option<std::net::IpAddr>,
    /// The method.
    pub method: &'a str,
    /// The path as sent, without query, cut at 1024 bytes.
    pub path: &'a str,
    /// The operation, where one was permitted.
    pub operation: Option<&'a str>,
    /// What the caller saw; 0 is nothing.
    pub status: u16,
    /// How it ended.
    pub outcome: &'static str,
    /// The refusal's or failure's code.
    pub code: Option<&'static str>,
    /// Microseconds from the head to the end.
    pub duration_us: u64,
    /// Body bytes to the caller.
    pub bytes_out: u64,
}

/// The access log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("the access log `{path}` cannot be opened: {source}")]
pub struct AccessLogError {
    path: String,
    source: std::io::Error,
}

/// Where lines are handed over; off where there is no queue.
#[derive(Debug)]
pub struct AccessLog {
    queue: Option<SyncSender<Item>>,
    dropped: IntCounter,
}

/// What the writer is handed.
#[derive(Debug)]
enum Item {
    Line(Vec<u8>),
    /// Everything before it is to be written, and then said so.
    Mark(SyncSender<()>),
}

impl AccessLog {
    /// No log.
    pub const fn off(dropped: IntCounter) -> Self {
        Self { queue: None, dropped }
    }

    /// Lines to standard output.
    pub fn to_stdout(dropped: IntCounter) -> Self {
        Self::start(std::io::stdout(), dropped)
    }

    /// Lines appended to a file.
    pub fn to_file(path: &Path, dropped: IntCounter) -> Result<Self, AccessLogError> {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|source| AccessLogError { path: path.display().to_string(), source })?;
        Ok(Self::start(file, dropped))
    }

    fn start(output: impl Write + Send + 'static, dropped: IntCounter) -> Self {
        let (queue, lines) = sync_channel(QUEUE_LINES);
        let lost = dropped.clone();
        std::thread::spawn(move || write_lines(output, &lines, &lost));
        Self { queue: Some(queue), dropped }
    }

    /// Whether lines go anywhere.
    pub const fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Hands over a line.
    pub fn write(&self, line: &AccessLine<'_>) {
        let Some(queue) = &self.queue else { return };
        let Ok(mut text) = serde_json::to_vec(line) else { return };
        text.push(b'\n');
        if queue.try_send(Item::Line(text)).is_err() {
            self.dropped.inc();
        }
    }

    /// Waits until what was handed over before is written, at most so long: a process that ends takes the writer along.
    pub fn finish(&self, within: Duration) {
        let Some(queue) = &self.queue else { return };
        let (written, mark) = sync_channel(1);
        // Where the queue is full the writer is stuck, and nothing is to be waited for.
        if queue.try_send(Item::Mark(written)).is_ok() {
            let _ = mark.recv_timeout(within);
        }
    }
}

/// Writes until every sender is gone; flushes whenever the queue is empty. A disk that is full loses lines, which are
/// counted, until there is room again; a reader that went away ends the log.
fn write_lines(output: impl Write, items: &Receiver<Item>, lost: &IntCounter) {
    let mut output = BufWriter::with_capacity(64 * 1024, output);
    let mut marks = Vec::new();
    while let Ok(first) = items.recv() {
        let mut is_over = false;
        for item in std::iter::once(first).chain(std::iter::from_fn(|| items.try_recv().ok())) {
            match item {
                Item::Line(line) => is_over |= failed(output.write_all(&line), lost),
                Item::Mark(mark) => marks.push(mark),
            }
        }
        is_over |= failed(output.flush(), lost);
        // Whoever waited may have lost patience.
        for mark in marks.drain(..) {
            let _ = mark.try_send(());
        }
        if is_over {
            return;
        }
    }
}

/// Counts what could not be written; whether nobody reads any more.
fn failed(written: std::io::Result<()>, lost: &IntCounter) -> bool {
    let Err(error) = written else { return false };
    lost.inc();
    error.kind() == std::io::ErrorKind::BrokenPipe
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::io::{Error, ErrorKind};
    use std::sync::Arc;

    /// Takes what it is told to, and fails at the rest.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, bool)>>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let mut disk = self.0.lock();
            if disk.1 {
                return Err(Error::from(ErrorKind::StorageFull));
            }
            disk.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn line(request_id: &str) -> AccessLine<'_> {
        AccessLine {
            time: String::new(),
            request_id,
            trace_id: "t",
            environment: "-",
            client_id: None,
            address: None,
            method: "GET",
            path: "/",
            operation: None,
            status: 200,
            outcome: "forwarded",
            code: None,
            duration_us: 1,
            bytes_out: 0,
        }
    }

    #[test]
    fn nothing_is_lost_at_the_end_and_a_full_disk_is_no_end() {
        let (disk, dropped) = (Disk::default(), IntCounter::new("dropped", "lines").unwrap());
        let log = AccessLog::start(disk.clone(), dropped.clone());
        let patience = Duration::from_secs(10);
        (0..1000).for_each(|_| log.write(&line("before")));
        log.finish(patience);
        assert_eq!(disk.0.lock().0.iter().filter(|byte| **byte == b'\n').count(), 1000);
        disk.0.lock().1 = true;
        log.write(&line("meanwhile"));
        log.finish(patience);
        assert!(dropped.get() > 0);
        disk.0.lock().1 = false;
        log.write(&line("after"));
        log.finish(patience);
        let text = String::from_utf8(disk.0.lock().0.clone()).unwrap();
        assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{text}");
        assert!(text.lines().last().unwrap().contains("after"), "{text}");
    }
}
