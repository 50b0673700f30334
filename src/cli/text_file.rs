//! Text that goes to the control API as it stands: from a file, or from stdin where the path is `-`.

use super::failure::{Exit, Failure};
use std::io::Read;
use std::path::Path;

/// The longest text that the control API takes.
const LIMIT: u64 = 32 * 1024 * 1024;

/// Reads it whole. `flag` names the argument in errors.
pub(super) fn read(flag: &str, path: &Path) -> Result<String, Failure> {
    let named = |what: &str| Failure::usage(format!("{flag} `{}`: {what}", path.display()));
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(LIMIT + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_string(&mut text))
    };
    let length = read.map_err(|error| named(&error.to_string()))?;
    if length as u64 > LIMIT { Err(named("longer than 32 MiB")) } else { Ok(text) }
}

/// Reads one JSON value.
pub(super) fn read_json(flag: &str, path: &Path) -> Result<serde_json::Value, Failure> {
    let text = read(flag, path)?;
    let parsed = crate::model::strict_json(text.as_bytes());
    parsed.map_err(|error| {
        let why = match error {
            crate::model::UnreadJson::Malformed(error) => error.to_string(),
            crate::model::UnreadJson::TooManyValues => "too many values".to_owned(),
        };
        Failure::new(Exit::Invalid, format!("{flag} `{}` is not JSON: {why}", path.display()))
    })
}
