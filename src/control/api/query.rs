//! The query of a list of keys. A parameter that is not known or comes twice is refused: a misspelt filter must not
//! answer with everything. Errors point to parameters as if the query were an object.

use super::answer::Refusal;
use crate::control::field::{FieldErrors, escape, quote};
use crate::control::{KeyQuery, ListPlace};
use crate::model::{ClientId, KeyStatus, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::HashSet;

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 100;

/// Reads the query of a list of keys.
pub(super) fn key_query(query: &str) -> Result<KeyQuery, Refusal> {
    let mut asked = KeyQuery {
        limit: DEFAULT_LIMIT,
        after: None,
        status: None,
        legacy: None,
        query: None,
        expires_before: None,
        unused_since: None,
    };
    let mut errors = FieldErrors::default();
    let mut seen = HashSet::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let pointer = format!("/{}", escape(&name));
        if !seen.insert(name.to_string()) {
            errors.add(pointer, "parameter_repeated", format!("`{}` comes twice", quote(&name)));
        } else if name == "cursor" {
            asked.after = Some(read_cursor(&value).ok_or_else(|| Refusal::malformed("the cursor is not one of ours"))?);
        } else if let Err((code, message)) = read(&mut asked, &name, &value) {
            errors.add(pointer, code, message);
        }
    }
    if errors.is_empty() { Ok(asked) } else { Err(Refusal::invalid(errors.into_vec())) }
}

fn read(asked: &mut KeyQuery, name: &str, value: &str) -> Result<(), (&'static str, String)> {
    let wrong = |message: &str| ("parameter_invalid", message.to_owned());
    match name {
        "limit" => {
            let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
            asked.limit = limit.ok_or_else(|| wrong("`limit` is a number from 1 to 100"))?;
        }
        "status" => {
            let known = [KeyStatus::Active, KeyStatus::Expired, KeyStatus::Revoked];
            let status = known.into_iter().find(|status| status.as_str() == value);
            asked.status = Some(status.ok_or_else(|| wrong("`status` is `active`, `expired` or `revoked`"))?);
        }
        "type" => {
            asked.legacy = Some(match value {
                "legacy" => true,
                "fine_grained" => false,
                _ => return Err(wrong("`type` is `fine_grained` or `legacy`")),
            });
        }
        "q" => asked.query = Some(value.to_owned()).filter(|text| !text.is_empty()),
        "expires_before" => {
            asked.expires_before = Some(Timestamp::parse(value).map_err(|error| wrong(&error.to_string()))?);
        }
        "unused_since" => {
            asked.unused_since = Some(Timestamp::parse(value).map_err(|error| wrong(&error.to_string()))?);
        }
        _ => return Err(("parameter_unknown", "there is no such parameter here".to_owned())),
    }
    Ok(())
}

/// The cursor for a place. Opaque to callers.
pub(super) fn write_cursor(place: &ListPlace) -> String {
    let text = match place {
        ListPlace::File(id) => format!("f:{id}"),
        ListPlace::Store(id) => format!("s:{id}"),
    };
    URL_SAFE_NO_PAD.encode(text)
}

fn read_cursor(cursor: &str) -> Option<ListPlace> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (section, id) = text.split_once(':')?;
    let id = ClientId::parse(id).ok()?;
    match section {
        "f" => Some(ListPlace::File(id)),
        "s" => Some(ListPlace::Store(id)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_nothing_else_is_one() {
        let id = ClientId::parse("pcull_a").unwrap();
        for place in [ListPlace::File(id.clone()), ListPlace::Store(id)] {
            assert_eq!(read_cursor(&write_cursor(&place)), Some(place));
        }
        for text in ["", "x", "pcull_a", "czo", "eDpwY3VsbF9h"] {
            assert_eq!(read_cursor(text), None, "{text}");
        }
    }
}
