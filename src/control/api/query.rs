//! The queries of lists. A parameter that is not known or comes twice is refused: a misspelt filter must not
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

/// The query of a list that has no filters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PageQuery {
    /// How many at most.
    pub(super) limit: u32,
    /// The place to go on after.
    pub(super) after: Option<u64>,
}

/// Reads the query of a list that has no filters.
pub(super) fn page_query(query: &str) -> Result<PageQuery, Refusal> {
    let mut asked = PageQuery { limit: DEFAULT_LIMIT, after: None };
    let mut errors = FieldErrors::default();
    let mut seen = HashSet::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let pointer = format!("/{}", escape(&name));
        if !seen.insert(name.to_string()) {
            errors.add(pointer, "parameter_repeated", format!("`{}` comes twice", quote(&name)));
        } else if name == "cursor" {
            asked.after = Some(read_place(&value).ok_or_else(|| Refusal::malformed("the cursor is not one of ours"))?);
        } else if name == "limit" {
            match read_limit(&value) {
                Ok(limit) => asked.limit = limit,
                Err((code, message)) => errors.add(pointer, code, message),
            }
        } else {
            errors.add(pointer, "parameter_unknown", "there is no such parameter here");
        }
    }
    if errors.is_empty() { Ok(asked) } else { Err(Refusal::invalid(errors.into_vec())) }
}

fn read_limit(value: &str) -> Result<u32, (&'static str, String)> {
    let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| ("parameter_invalid", format!("`limit` is a number from 1 to {MAX_LIMIT}")))
}

fn read(asked: &mut KeyQuery, name: &str, value: &str) -> Result<(), (&'static str, String)> {
    let wrong = |message: &str| ("parameter_invalid", message.to_owned());
    match name {
        "limit" => asked.limit = read_limit(value)?,
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

/// The cursor for a place in a list that goes by numbers. Opaque to callers.
pub(super) fn write_place(place: u64) -> String {
    URL_SAFE_NO_PAD.encode(format!("n:{place}"))
}

fn read_place(cursor: &str) -> Option<u64> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    text.strip_prefix("n:")?.parse().ok()
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
    fn pages_are_asked_for_by_limit_and_cursor_alone() {
        let cursor = write_place(u64::MAX);
        let asked = page_query(&format!("limit=100&cursor={cursor}")).unwrap();
        assert_eq!(asked, PageQuery { limit: 100, after: Some(u64::MAX) });
        assert_eq!(page_query("").unwrap(), PageQuery { limit: DEFAULT_LIMIT, after: None });
        for query in ["limit=0", "limit=101", "limit=1&limit=1", "q=a", "cursor=czo", "cursor=", "cursor=bjoteA"] {
            assert!(page_query(query).is_err(), "{query}");
        }
    }

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
