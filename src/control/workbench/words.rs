//! How instants, numbers, sets and the codes of refusals are told to people.

use crate::model::Timestamp;

const DAY: i64 = 86_400;

/// An instant, for `<time>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// RFC 3339.
    pub(super) iso: String,
    /// `2026-11-24 17:26 UTC`.
    pub(super) text: String,
    /// `in 3 days`, `2 hours ago`.
    pub(super) relative: String,
}

impl Moment {
    pub(super) fn new(at: Timestamp, now: Timestamp) -> Self {
        Self { iso: at.to_string(), text: at_minute(at), relative: relative(at, now) }
    }
}

/// `2026-11-24 17:26 UTC`.
pub(super) fn at_minute(at: Timestamp) -> String {
    spaced(at, 16)
}

/// `2026-11-24 17:26:05 UTC`: where the very second counts.
pub(super) fn at_second(at: Timestamp) -> String {
    spaced(at, 19)
}

fn spaced(at: Timestamp, length: usize) -> String {
    let text = at.to_string().replacen('T', " ", 1);
    format!("{} UTC", text.get(..length).unwrap_or(&text))
}

/// What `<input type="datetime-local">` takes, in UTC: `2026-11-24T17:26:05`.
pub(super) fn local_input(at: Timestamp) -> String {
    at.to_string().trim_end_matches('Z').to_owned()
}

/// `in 3 days`, `2 hours ago`, `just now`: the nearest number of a fitting unit; days up to a hundred.
pub(super) fn relative(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.as_unix().saturating_sub(now.as_unix());
    let (count, unit) = largest(seconds.saturating_abs());
    match (seconds, count) {
        (_, 0) => "just now".to_owned(),
        (1.., _) => format!("in {}", counted(count, unit)),
        _ => format!("{} ago", counted(count, unit)),
    }
}

fn largest(seconds: i64) -> (u64, &'static str) {
    // From so many seconds on, in units of so many.
    let units = [
        (730 * DAY, 365 * DAY, "year"),
        (100 * DAY, 30 * DAY, "month"),
        (DAY - 1800, DAY, "day"),
        (3600 - 30, 3600, "hour"),
        (60, 60, "minute"),
    ];
    let found = units.into_iter().find(|(from, _, _)| seconds >= *from);
    let nearest = |unit: i64| seconds.saturating_add(unit / 2).checked_div(unit).unwrap_or(0).unsigned_abs();
    found.map_or((0, ""), |(_, unit, name)| (nearest(unit), name))
}

/// A message as a sentence of a page: it begins in upper case, where it begins with a letter, ends with a full stop, and
/// quotes as people do.
pub(super) fn sentence(message: &str) -> String {
    let message = quoting(message);
    let mut text = String::with_capacity(message.len().saturating_add(1));
    let mut letters = message.chars();
    text.extend(letters.next().into_iter().flat_map(char::to_uppercase));
    text.extend(letters);
    if !text.ends_with(['.', '?', '!']) {
        text.push('.');
    }
    text
}

/// The same message with quotation marks in place of backticks.
pub(super) fn quoting(message: &str) -> String {
    let mut opens = false;
    let mark = |c| match c {
        '`' => {
            opens = !opens;
            if opens { '“' } else { '”' }
        }
        other => other,
    };
    message.chars().map(mark).collect()
}

/// `1 key`, `1,200 keys`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", number(count), if count == 1 { "" } else { "s" })
}

/// Digits in groups of three.
pub(super) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len().saturating_sub(at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A code in words.
pub(super) fn code_words(code: &str) -> &'static str {
    match code {
        "body_too_large" => "The request's body was too large",
        "environment_unknown" => "No environment serves the host and path",
        "headers_too_large" => "The request's headers were too large",
        "invalid_client" => "Client ID or secret was wrong",
        "invalid_grant" | "invalid_request" | "unsupported_grant_type" => "The token request was malformed",
        "invalid_scope" => "A scope was asked for that the key does not hold",
        "ip_not_allowed" => "The address is not in the key's allowlist",
        "key_expired" => "The key has expired",
        "key_revoked" => "The key is revoked",
        "malformed_request" => "The request was malformed",
        "operation_unknown" => "The API has no such operation",
        "permission_missing" => "The key lacks the permission",
        "rate_limited" => "Too many attempts",
        "secret_rotated" => "The token is from before the key was rotated",
        "target_ambiguous" => "The path can be read in two ways",
        "target_too_long" => "The path was too long",
        "token_expired" => "The token has expired",
        "token_invalid" => "The token is not genuine",
        "token_missing" => "There was no token",
        "token_revoked" => "The token was revoked",
        "upstream_protocol" => "The API broke off its answer",
        "upstream_timeout" => "The API took too long",
        "upstream_unreachable" => "The API could not be reached",
        "wrong_environment" => "The token is of another environment",
        _ => "Another reason",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_told() {
        let now = Timestamp::parse("2026-11-24T17:26:05Z").unwrap();
        assert_eq!(at_minute(now), "2026-11-24 17:26 UTC");
        assert_eq!(at_second(now), "2026-11-24 17:26:05 UTC");
        assert_eq!(local_input(now), "2026-11-24T17:26:05");
        for (seconds, told) in [
            (0, "just now"),
            (59, "just now"),
            (60, "in 1 minute"),
            (3 * DAY + 5, "in 3 days"),
            (-7200, "2 hours ago"),
            (90 * DAY - 1, "in 90 days"),
            (3599, "in 1 hour"),
            (400 * DAY, "in 13 months"),
            (-800 * DAY, "2 years ago"),
            (-45 * DAY, "45 days ago"),
        ] {
            assert_eq!(relative(now.plus_seconds(seconds), now), told);
        }
    }

    #[test]
    fn messages_become_sentences() {
        for (message, told) in [
            ("no such key", "No such key."),
            ("`a` is none; did you mean `b`?", "“a” is none; did you mean “b”?"),
            ("", "."),
        ] {
            assert_eq!(sentence(message), told);
        }
    }

    #[test]
    fn numbers_are_grouped() {
        let told = [7, 1200, 1_234_567].map(number);
        assert_eq!(told, ["7", "1,200", "1,234,567"]);
        assert_eq!(counted(1, "key"), "1 key");
    }
}
