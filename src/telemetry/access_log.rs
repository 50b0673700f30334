//! The access log: one JSON line a request, written by a thread of its own.
//!
//! The request path hands over a finished line and never waits: when the writer cannot keep up, lines are dropped and
//! counted. Paths are logged, queries, credentials and bodies are not.

use prometheus::IntCounter;
use serde::Serialize;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

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
    queue: Option<SyncSender<Vec<u8>>>,
    dropped: IntCounter,
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
        std::thread::spawn(move || write_lines(output, &lines));
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
        if queue.try_send(text).is_err() {
            self.dropped.inc();
        }
    }
}

/// Writes until every sender is gone; flushes whenever the queue is empty. A reader that went away ends the log.
fn write_lines(output: impl Write, lines: &Receiver<Vec<u8>>) {
    let mut output = BufWriter::with_capacity(64 * 1024, output);
    while let Ok(line) = lines.recv() {
        let mut failed = output.write_all(&line).is_err();
        while let Ok(line) = lines.try_recv() {
            failed |= output.write_all(&line).is_err();
        }
        if failed | output.flush().is_err() {
            return;
        }
    }
}
