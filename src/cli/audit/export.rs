//! `portcullis audit export`.

use super::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::progress::Counter;
use std::io::{BufRead, BufReader, Write};

/// Write the whole log to stdout, oldest first, one JSON object a line
#[derive(clap::Args)]
pub(super) struct Export {}

impl Export {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let body = context.client.stream(&context.path, &[("format", "jsonl".to_owned())])?;
        let mut rows = BufReader::new(body);
        let mut stdout = std::io::stdout().lock();
        let counter = Counter::start("rows");
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = rows.read_until(b'\n', &mut line).map_err(|error| broken_off(&error.to_string()))?;
            if read == 0 {
                stdout.flush()?;
                counter.end();
                return Ok(());
            }
            if !line.ends_with(b"\n") {
                return Err(broken_off("its last line is not whole"));
            }
            stdout.write_all(&line)?;
            counter.add(1);
        }
    }
}

fn broken_off(cause: &str) -> Failure {
    Failure::new(Exit::Unavailable, format!("the export broke off: {cause}"))
        .with_detail("what was written is incomplete")
}
