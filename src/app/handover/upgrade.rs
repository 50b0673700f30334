//! `portcullis upgrade`: starts a successor, waits for how it goes, and says so by its exit code.

use super::successor::TAKEN_OVER;
use anyhow::{Context, bail};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Beside loading: probation, and everything that is said.
const SLACK: Duration = Duration::from_secs(20);
/// How long a successor that said nothing more is waited for.
const SOON: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(20);
const GOES_ON: &str = "the node before goes on, unless it was told to end";

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

/// Starts the successor of the node that runs, and waits until it has taken over. An error: the node that runs goes on,
/// unless it was told to end.
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
    let binary = binary.display();
    let Some(_) = said else {
        let _ = child.kill();
        child.wait()?;
        bail!("`{binary}` neither took over nor ended in time; {GOES_ON}");
    };
    // Not killed: it may have taken connections already, and ends by itself once it has served them.
    match await_end(&mut child)? {
        None => bail!("`{binary}` has not taken over, and ends once what it serves is over; {GOES_ON}"),
        Some(status) => match status.code() {
            Some(code) => bail!("`{binary}` ended with {code} and has not taken over; {GOES_ON}"),
            None => bail!("`{binary}` was ended ({status}); {GOES_ON}"),
        },
    }
}

/// How it ended, where it does so soon.
fn await_end(child: &mut Child) -> std::io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        let ended = child.try_wait()?;
        if ended.is_some() || begun.elapsed() > SOON {
            return Ok(ended);
        }
        std::thread::sleep(LOOK);
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
