//! `--allow`, `--allow-file` and `--allow-platform`. What is said on the command line goes out as written: the control API
//! judges it and proposes repairs. Lines of a file are judged here, where their numbers are known.

use crate::cli::failure::{Exit, Failure};
use crate::model::Network;
use serde_json::{Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Far above the longest allowlist; a wrong file is told early instead of read whole.
const LIMIT: u64 = 16 * 1024 * 1024;
/// So many wrong lines are told.
const TOLD: usize = 20;

/// From where a key may be used.
#[derive(clap::Args)]
pub(super) struct AllowlistArguments {
    /// Allow this address or CIDR network only; may be repeated
    #[arg(long, value_name = "NETWORK")]
    allow: Vec<String>,

    /// Allow the addresses and CIDR networks of a file as well, `-` for stdin: one a line, `#` starts a comment
    #[arg(long, value_name = "FILE")]
    allow_file: Option<PathBuf>,

    /// Allow the platform's own addresses
    #[arg(long)]
    allow_platform: bool,
}

impl AllowlistArguments {
    /// The networks as they were written, and whether the platform is allowed; `None` where no flag was given.
    pub(super) fn parts(&self) -> Result<Option<(Vec<String>, bool)>, Failure> {
        let mut networks = self.allow.clone();
        match &self.allow_file {
            Some(path) => networks.extend(read(path)?),
            None if networks.is_empty() && !self.allow_platform => return Ok(None),
            None => {}
        }
        Ok(Some((networks, self.allow_platform)))
    }

    /// The `allowlist` field; `None` where no flag was given.
    pub(super) fn field(&self) -> Result<Option<Value>, Failure> {
        let parts = self.parts()?;
        Ok(parts.map(|(networks, platform)| json!({"networks": networks, "platform": platform})))
    }
}

/// The entries of a file. One without any is an error: whoever names a file means some.
fn read(path: &Path) -> Result<Vec<String>, Failure> {
    let named = format!("--allow-file `{}`", path.display());
    let text = text(path).map_err(|error| Failure::usage(format!("{named}: {error}")))?;
    if text.len() as u64 > LIMIT {
        return Err(Failure::usage(format!("{named}: longer than {LIMIT} bytes, so hardly an allowlist")));
    }
    let entries: Vec<(usize, &str)> = entries(&text).collect();
    let wrong: Vec<String> = entries
        .iter()
        .filter_map(|(line, entry)| Network::parse(entry).err().map(|error| format!("line {line}: {error}")))
        .collect();
    if !wrong.is_empty() {
        return Err(told(&named, &wrong));
    }
    if entries.is_empty() {
        return Err(Failure::new(Exit::Invalid, format!("{named}: no address and no network in it")));
    }
    Ok(entries.into_iter().map(|(_, entry)| entry.to_owned()).collect())
}

fn text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().take(LIMIT + 1).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(path)?.take(LIMIT + 1).read_to_string(&mut text)?;
    }
    Ok(text)
}

/// What is neither blank nor a comment, with its line, from 1.
fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    (1..).zip(lines).filter(|(_, entry)| !entry.is_empty())
}

fn told(named: &str, wrong: &[String]) -> Failure {
    let count = wrong.len();
    let lines = if count == 1 { "a line is wrong".to_owned() } else { format!("{count} lines are wrong") };
    let failure = Failure::new(Exit::Invalid, format!("{named}: {lines}"));
    let failure = wrong.iter().take(TOLD).fold(failure, |failure, line| failure.with_detail(line.as_str()));
    if count > TOLD { failure.with_detail(format!("and {} more", count - TOLD)) } else { failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn entries_are_what_is_neither_blank_nor_a_comment() {
        let text = "\u{feff}# office\r\n203.0.113.42\r\n\n  2001:db8::/32\t# branch\n#10.0.0.1/8\n 10.0.0.0/8";
        let entries: Vec<_> = entries(text).collect();
        assert_eq!(entries, [(2, "203.0.113.42"), (4, "2001:db8::/32"), (6, "10.0.0.0/8")]);
    }

    #[test]
    fn wrong_lines_are_named_and_no_more_than_can_be_read() {
        let one = read(file("\n# x\n10.0.0.1/8\n").path()).unwrap_err();
        assert_eq!(one.exit.code(), 7);
        assert!(one.message.contains("a line is wrong"), "{}", one.message);
        assert_eq!(one.details, ["line 3: `10.0.0.1/8` has host bits set; did you mean `10.0.0.0/8`?"]);
        let many = read(file(&"x\n".repeat(TOLD + 1)).path()).unwrap_err();
        assert_eq!(many.details.len(), TOLD + 1);
        assert_eq!(many.details[TOLD], "and 1 more");
        assert_eq!(read(file(&"x\n".repeat(TOLD)).path()).unwrap_err().details.len(), TOLD);
    }

    #[test]
    fn a_file_without_entries_or_none_at_all_is_an_error() {
        assert!(read(file("\n# nobody\n").path()).unwrap_err().message.contains("no address"));
        assert_eq!(read(Path::new("/nonexistent")).unwrap_err().exit.code(), 2);
        let longest = usize::try_from(LIMIT).unwrap();
        let long = format!("::1{}", " ".repeat(longest - 3));
        assert_eq!(read(file(&long).path()).unwrap(), ["::1"]);
        assert_eq!(read(file(&format!("{long} ")).path()).unwrap_err().exit.code(), 2);
    }
}
