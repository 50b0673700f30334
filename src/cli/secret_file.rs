//! Secrets from files and stdin, wiped after use, and secrets into files that are their owner's alone.

use super::failure::{Exit, Failure};
use std::io::{Read, Write};
use std::path::Path;
use tempfile::NamedTempFile;
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

/// The first line of a file, or of stdin where the path is `-`, whatever is in it: a password may hold spaces.
pub(super) fn read_password(flag: &str, path: &Path) -> Result<Zeroizing<String>, Failure> {
    let named = format!("{flag} `{}`", path.display());
    let text = read_limited(path).map_err(|error| Failure::usage(format!("{named}: {error}")))?;
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() || line.contains(['\n', '\r']) || text.len() as u64 > LIMIT {
        return Err(Failure::usage(format!("{named}: a password is one line")));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

/// Writes a secret to a file that nobody else can read (mode 0600), whole or not at all. The file must not exist.
pub(super) fn create(flag: &str, path: &Path, secret: &str) -> Result<(), Failure> {
    write(path, secret, |file| file.persist_noclobber(path).map_err(|error| error.error)).map_err(named(flag, path))
}

/// The same, in place of whatever the file held before.
pub(super) fn replace(flag: &str, path: &Path, secret: &str) -> Result<(), Failure> {
    write(path, secret, |file| file.persist(path).map_err(|error| error.error)).map_err(named(flag, path))
}

fn named(flag: &str, path: &Path) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::new(Exit::Failure, format!("{flag} `{}`: {error}", path.display()))
}

fn write(
    path: &Path,
    secret: &str,
    persist: impl FnOnce(NamedTempFile) -> std::io::Result<std::fs::File>,
) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".portcullis-").tempfile_in(folder)?;
    writeln!(file, "{secret}")?;
    file.as_file().sync_all()?;
    persist(file).map(|_| ())
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
    fn passwords_are_one_line_of_anything() {
        let password = read_password("--f", file_with("corréct horse\r\n").path()).unwrap();
        assert_eq!(password.as_str(), "corréct horse");
        for text in ["", "\n", "sesame\nsesame\n"] {
            let failure = read_password("--f", file_with(text).path()).unwrap_err();
            assert!(failure.exit.code() == 2 && !failure.message.contains("ses"), "{}", failure.message);
        }
    }

    #[test]
    fn written_secrets_are_their_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        create("--f", &path, "sesame").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!create("--f", &path, "sesame").unwrap_err().message.contains("sesame"));
        replace("--f", &path, "other").unwrap();
        assert_eq!(read("--f", &path).unwrap().as_str(), "other");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
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
