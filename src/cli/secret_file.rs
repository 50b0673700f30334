//! Secrets from files and stdin, wiped after use.

use super::failure::Failure;
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// Far above any token or secret; a wrong file is told early instead of read whole.
const LIMIT: u64 = 64 * 1024;

/// The one line of a file, or of stdin where the path is `-`. `flag` names the argument in errors.
pub(super) fn read(flag: &str, path: &Path) -> Result<Zeroizing<String>, Failure> {
    let named = format!("{flag} `{}`", path.display());
    let text = read_limited(path).map_err(|error| Failure::usage(format!("{named}: {error}")))?;
    if text.len() as u64 > LIMIT {
        return Err(Failure::usage(format!("{named}: longer than {LIMIT} bytes, so hardly a secret")));
    }
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    one_line(line).map_err(|problem| Failure::usage(format!("{named}: {problem}")))
}

/// Text that can stand in an HTTP header: what every token and secret of ours is. Errors never repeat it.
pub(super) fn one_line(text: &str) -> Result<Zeroizing<String>, &'static str> {
    if text.is_empty() {
        return Err("empty");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("more than one line, or characters that no token or secret holds");
    }
    Ok(Zeroizing::new(text.to_owned()))
}

fn read_limited(path: &Path) -> std::io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    if path == Path::new("-") {
        std::io::stdin().take(LIMIT + 1).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(path)?.take(LIMIT + 1).read_to_string(&mut text)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_with(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn one_line_end_is_dropped() {
        for text in ["pculls_x", "pculls_x\n", "pculls_x\r\n"] {
            assert_eq!(read("--f", file_with(text).path()).unwrap().as_str(), "pculls_x");
        }
    }

    #[test]
    fn anything_but_one_line_is_refused_and_not_repeated() {
        for text in ["", "\n", "sesame\nsesame\n", "ses ame", &"x".repeat(65_537)] {
            let failure = read("--f", file_with(text).path()).unwrap_err();
            assert_eq!(failure.exit.code(), 2);
            assert!(!failure.message.contains("ses"), "{}", failure.message);
        }
        assert!(read("--f", Path::new("/nonexistent")).unwrap_err().message.contains("/nonexistent"));
    }
}
