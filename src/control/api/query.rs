//! The queries of lists. A parameter that is not known or comes twice is refused: a misspelt filter must not
//! answer with everything. Errors point to parameters as if the query were an object.

use super::answer::Refusal;
use super::schema::KeyType;
use crate::control::field::{FieldErrors, pointer};
use crate::control::{KeyQuery, ListPlace};
use crate::model::{KeyStatus, Timestamp, quoted};
use crate::store::{AuditFilter, KeySort};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::HashSet;
use utoipa::{IntoParams, ToSchema};

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 100;

pub(super) const KEY_PARAMETERS: [&str; 8] =
    ["limit", "cursor", "sort", "status", "type", "q", "expires_before", "unused_since"];
pub(super) const PAGE_PARAMETERS: [&str; 2] = ["limit", "cursor"];
pub(super) const AUDIT_PARAMETERS: [&str; 8] =
    ["limit", "cursor", "action", "actor", "target", "since", "until", "format"];

/// What a list of keys can be asked for, for the document; a test compares it with what is read.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes")]
pub(super) struct KeyParameters {
    /// At most this many keys.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// Go on here: the `next_cursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// What the list is ordered by: a field, descending with `-` before it. Keys that never end come last of those that
    /// ascend by `expires_at`, those never used first by `last_used_at`. By `created_at` keys of files count as newer than
    /// all others.
    #[param(nullable = false, inline, default = "-created_at")]
    sort: Option<KeyOrder>,
    /// Only keys with this status.
    #[param(nullable = false)]
    status: Option<KeyStatus>,
    /// Only keys of this type.
    #[param(rename = "type", nullable = false)]
    kind: Option<KeyType>,
    /// Only keys whose name or client id contains this text, ignoring case.
    q: Option<String>,
    /// Only keys that end before this instant.
    #[param(nullable = false)]
    expires_before: Option<Timestamp>,
    /// Only keys that were not used at or after this instant; those never used belong to them.
    #[param(nullable = false)]
    unused_since: Option<Timestamp>,
}

/// How a list of keys is ordered.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes")]
enum KeyOrder {
    #[schema(rename = "name")]
    Name,
    #[schema(rename = "-name")]
    NameDescending,
    #[schema(rename = "expires_at")]
    Expires,
    #[schema(rename = "-expires_at")]
    ExpiresDescending,
    #[schema(rename = "last_used_at")]
    LastUsed,
    #[schema(rename = "-last_used_at")]
    LastUsedDescending,
    #[schema(rename = "created_at")]
    Created,
    #[schema(rename = "-created_at")]
    CreatedDescending,
}

/// What a list without filters can be asked for, for the document; a test compares it with what is read.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes")]
pub(super) struct PageParameters {
    /// At most this many.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// Go on here: the `next_cursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

/// A stretch of a list without filters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PageQuery<P> {
    /// How many at most.
    pub(super) limit: u32,
    /// The place to go on after.
    pub(super) after: Option<P>,
}

/// Reads the query of a list without filters; `place` reads its cursors.
pub(super) fn page_query<P>(query: &str, place: impl Fn(&str) -> Option<P>) -> Result<PageQuery<P>, Refusal> {
    let mut asked = PageQuery { limit: DEFAULT_LIMIT, after: None };
    each(query, &PAGE_PARAMETERS, |name, value| {
        match name {
            "limit" => asked.limit = read_limit(value)?,
            "cursor" => asked.after = Some(place(value).ok_or_else(Wrong::cursor)?),
            _ => return Err(Wrong::unknown(&PAGE_PARAMETERS)),
        }
        Ok(())
    })?;
    Ok(asked)
}

/// Reads the query of a list of keys.
pub(super) fn key_query(query: &str) -> Result<KeyQuery, Refusal> {
    let mut asked = KeyQuery { limit: DEFAULT_LIMIT, ..KeyQuery::default() };
    each(query, &KEY_PARAMETERS, |name, value| {
        if name == "cursor" {
            asked.after = Some(ListPlace::parse(value).ok_or_else(Wrong::cursor)?);
            return Ok(());
        }
        read(&mut asked, name, value)
    })?;
    Ok(asked)
}

/// What the audit log can be asked for, for the document; a test compares it with what is read.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes")]
pub(super) struct AuditParameters {
    /// At most this many rows.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// Go on here: the `next_cursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// Only this action.
    #[param(example = "key.create")]
    action: Option<String>,
    /// Only this actor: an id, an email address or a kind.
    #[param(example = "operator")]
    actor: Option<String>,
    /// Only this target's id.
    target: Option<String>,
    /// Only rows at or after this instant.
    #[param(nullable = false)]
    since: Option<Timestamp>,
    /// Only rows before this instant.
    #[param(nullable = false)]
    until: Option<Timestamp>,
    /// `jsonl` alone: the whole log, oldest first, one row a line. It takes no other parameter: half a chain cannot be
    /// verified.
    #[param(nullable = false, inline)]
    format: Option<AuditFormat>,
}

/// How the audit log is told.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes")]
enum AuditFormat {
    Jsonl,
}

/// What a reader of the audit log asks for.
pub(super) enum AuditQuery {
    /// A page.
    Page { filter: AuditFilter, before: Option<u64>, limit: u32 },
    /// Everything, as JSON lines.
    Whole,
}

/// Reads the query of the audit log. The whole log takes no filter: half a chain cannot be verified.
pub(super) fn audit_query(query: &str) -> Result<AuditQuery, Refusal> {
    let (mut filter, mut before, mut limit) = (AuditFilter::default(), None, DEFAULT_LIMIT);
    let (mut whole, mut others) = (false, 0);
    each(query, &AUDIT_PARAMETERS, |name, value| {
        others += usize::from(name != "format");
        match name {
            "format" if value == "jsonl" => whole = true,
            "format" => return Err(Wrong::value("`format` is `jsonl`; leave it out for pages of JSON")),
            "limit" => limit = read_limit(value)?,
            "cursor" => before = Some(read_audit_cursor(value).ok_or_else(Wrong::cursor)?),
            "action" => filter.action = Some(value.to_owned()),
            "actor" => filter.actor = Some(value.to_owned()),
            "target" => filter.target = Some(value.to_owned()),
            "since" => filter.since = Some(instant(value)?),
            "until" => filter.until = Some(instant(value)?),
            _ => return Err(Wrong::unknown(&AUDIT_PARAMETERS)),
        }
        Ok(())
    })?;
    match (whole, others) {
        (true, 0) => Ok(AuditQuery::Whole),
        (true, _) => Err(Refusal::malformed("`format=jsonl` is the whole log and takes no other parameter")),
        (false, _) => Ok(AuditQuery::Page { filter, before, limit }),
    }
}

/// What is wrong with a parameter.
enum Wrong {
    Cursor,
    Field(&'static str, String),
}

impl Wrong {
    const fn cursor() -> Self {
        Self::Cursor
    }

    fn value(message: impl Into<String>) -> Self {
        Self::Field("parameter_invalid", message.into())
    }

    fn unknown(known: &[&str]) -> Self {
        let known = known.join("`, `");
        Self::Field("parameter_unknown", format!("there is no such parameter; this takes `{known}`"))
    }
}

/// Hands out each parameter once; every mistake is told at once.
fn each(query: &str, known: &[&str], mut read: impl FnMut(&str, &str) -> Result<(), Wrong>) -> Result<(), Refusal> {
    let mut errors = FieldErrors::default();
    let mut seen = HashSet::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let pointer = pointer("", &name);
        if !seen.insert(name.to_string()) {
            errors.add(pointer, "parameter_repeated", format!("`{}` comes twice", quoted(&name)));
            continue;
        }
        let read = if known.contains(&&*name) { read(&name, &value) } else { Err(Wrong::unknown(known)) };
        match read {
            Ok(()) => {}
            Err(Wrong::Cursor) => return Err(Refusal::malformed("the cursor is not one of ours")),
            Err(Wrong::Field(code, message)) => errors.add(pointer, code, message),
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Refusal::invalid(errors.into_vec())) }
}

fn read_limit(value: &str) -> Result<u32, Wrong> {
    let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Wrong::value("`limit` is a number from 1 to 100"))
}

fn instant(value: &str) -> Result<Timestamp, Wrong> {
    Timestamp::parse(value).map_err(|error| Wrong::value(error.to_string()))
}

fn read(asked: &mut KeyQuery, name: &str, value: &str) -> Result<(), Wrong> {
    match name {
        "limit" => asked.limit = read_limit(value)?,
        "sort" => {
            let names = "`sort` is `name`, `expires_at`, `last_used_at` or `created_at`, descending with `-` before it";
            (asked.sort, asked.descending) = KeySort::parse(value).ok_or_else(|| Wrong::value(names))?;
        }
        "status" => {
            let known = [KeyStatus::Active, KeyStatus::Expired, KeyStatus::Revoked];
            let status = known.into_iter().find(|status| status.as_str() == value);
            asked.status = Some(status.ok_or_else(|| Wrong::value("`status` is `active`, `expired` or `revoked`"))?);
        }
        "type" => {
            asked.legacy = Some(match value {
                "legacy" => true,
                "fine_grained" => false,
                _ => return Err(Wrong::value("`type` is `fine_grained` or `legacy`")),
            });
        }
        "q" => asked.query = Some(value.to_owned()).filter(|text| !text.is_empty()),
        "expires_before" => asked.expires_before = Some(instant(value)?),
        "unused_since" => asked.unused_since = Some(instant(value)?),
        _ => return Err(Wrong::unknown(&KEY_PARAMETERS)),
    }
    Ok(())
}

/// The cursor for what comes after the object of a name.
pub(super) fn write_name_cursor(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("n:{name}"))
}

pub(super) fn read_name_cursor(cursor: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    text.strip_prefix("n:").map(str::to_owned)
}

/// The cursor for what comes before a row of the audit log.
pub(super) fn write_audit_cursor(number: u64) -> String {
    URL_SAFE_NO_PAD.encode(format!("a:{number}"))
}

fn read_audit_cursor(cursor: &str) -> Option<u64> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    text.strip_prefix("a:")?.parse().ok()
}

/// The cursor for a place in a list that goes by numbers. Opaque to callers.
pub(super) fn write_place(place: u64) -> String {
    URL_SAFE_NO_PAD.encode(format!("n:{place}"))
}

pub(super) fn read_place(cursor: &str) -> Option<u64> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    text.strip_prefix("n:")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_asked_for_by_limit_and_cursor_alone() {
        let cursor = write_place(u64::MAX);
        let asked = page_query(&format!("limit=100&cursor={cursor}"), read_place);
        assert!(asked.is_ok_and(|asked| asked == PageQuery { limit: 100, after: Some(u64::MAX) }));
        assert!(page_query("", read_place).is_ok_and(|asked| asked == PageQuery { limit: DEFAULT_LIMIT, after: None }));
        for query in ["limit=0", "limit=101", "limit=1&limit=1", "q=a", "cursor=czo", "cursor=", "cursor=bjoteA"] {
            assert!(page_query(query, read_place).is_err(), "{query}");
        }
    }

    #[test]
    fn cursors_round_trip_and_nothing_else_is_one() {
        let mut query = KeyQuery::default();
        for sort in KeySort::ALL {
            let text = write(sort);
            assert_eq!(ListPlace::parse(&text).map(|place| place.to_text()), Some(text.clone()));
            assert!(key_query(&format!("sort={}&cursor={text}", sort.as_str())).is_ok());
            query = key_query(&format!("sort=-{}", sort.as_str())).ok().unwrap();
            assert_eq!((query.sort, query.descending), (sort, true));
        }
        assert_eq!(query.limit, DEFAULT_LIMIT);
        for text in ["", "x", "pcull_a", "czo", "eDpwY3VsbF9h"] {
            assert!(ListPlace::parse(text).is_none(), "{text}");
        }
        for sort in ["", "-", "--name", "Name", "age"] {
            assert!(key_query(&format!("sort={sort}")).is_err(), "{sort}");
        }
    }

    fn write(sort: KeySort) -> String {
        let value = match sort {
            KeySort::Name => "a:b",
            KeySort::Created | KeySort::Expires | KeySort::LastUsed => "-7",
        };
        URL_SAFE_NO_PAD.encode(format!("k:{}:pcull_a:{value}", sort.as_str()))
    }
}
