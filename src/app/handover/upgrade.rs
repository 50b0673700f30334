//! `portcullis upgrade`: starts a successor, waits for how it goes, and says so by its exit code.

use super::successor::TAKEN_OVER;
use anyhow::{Context, bail};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Beside loading: probation, and everything that is said.
const SLACK: Duration = Duration::from_secs(20);

/// What `portcullis upgrade` was asked for.
#[derive(Clone, Debug)]
pub struct UpgradeOptions {
    /// The configuration that the successor reads.
    pub config: PathBuf,
    /// The program that takes over; `None` is this one.
    pub binary: Option<PathBuf>,
    /// How long it may take until it is ready, at most 10 min.
    pub within: Duration,
}

/// Starts the successor of the node that runs, and waits until it has taken over. An error: the node that runs goes on.
/// The process id of the successor.
pub fn upgrade(options: &UpgradeOptions) -> anyhow::Result<u32> {
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => std::env::current_exe().context("this program cannot be found; name one with `--binary`")?,
    };
    let mut command = Command::new(&binary);
    command.args(["serve", "--take-over", "--detached", "--within"]);
    command.arg(format!("{}ms", options.within.as_millis())).arg("--config").arg(&options.config);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("`{}` cannot be started", binary.display()))?;
    let said = await_word(&mut child, options.within + SLACK);
    if said.as_deref() == Some(TAKEN_OVER) {
        return Ok(child.id());
    }
    // It has ended, or is of no use any more.
    let _ = child.kill();
    let status = child.wait()?;
    match (said, status.code()) {
        (None, _) => bail!("`{}` neither took over nor ended in time; the node that runs goes on", binary.display()),
        (Some(_), Some(code)) => {
            bail!("`{}` ended with {code} and has not taken over; the node that runs goes on", binary.display())
        }
        (Some(_), None) => bail!("`{}` was ended ({status}); the node that runs goes on", binary.display()),
    }
}

/// What the successor says on its stdout, once it is told to write elsewhere or has ended; `None` is nothing in time.
fn await_word(child: &mut Child, within: Duration) -> Option<String> {
    let mut stdout = child.stdout.take()?;
    let (said, word) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        // A program that writes for ever is none of ours.
        let _ = stdout.by_ref().take(u64::try_from(TAKEN_OVER.len()).unwrap_or_default()).read_to_end(&mut text);
        let _ = said.send(String::from_utf8_lossy(&text).into_owned());
    });
    word.recv_timeout(within).ok()
}
