//! Slow and hostile clients (R13), the short version of `benches/soak/slow.py`: fifty heads and fifty bodies that drip, and
//! resets, beside honest callers.

use std::path::Path;
use std::process::Command;

#[test]
fn slow_clients_are_closed_in_time_and_honest_ones_notice_nothing_hammer() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/soak/slow.py");
    let mut command = Command::new("python3");
    command.arg(script).args("--heads 50 --bodies 50 --seconds 16 --rest 5 --portcullis".split(' '));
    let output = command.arg(env!("CARGO_BIN_EXE_portcullis")).output();
    let Ok(output) = output else {
        eprintln!("skipped: `python3` is not here (make setup installs it)");
        return;
    };
    let [told, words] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    eprintln!("{told}{words}");
    assert!(output.status.success(), "{}", output.status);
    assert!(!told.contains("MISSED"), "a bar is missed");
    for kind in ["heads: ", "bodies, good token: ", "bodies, bad token: ", "honest success "] {
        assert!(told.lines().any(|line| line.starts_with(kind)), "nothing is told of {kind}");
    }
}
