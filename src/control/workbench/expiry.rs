//! The part of a form that says until when a key lives: the exact second is shown before it is chosen.

use super::form::Form;
use super::words::{at_second, local_input};
use crate::control::{FieldErrors, Policies, lifetime_text};
use crate::model::Timestamp;

const DAY: i64 = 86_400;

/// A life to choose.
pub(super) struct ExpiryRow {
    /// `30d`.
    pub(super) id: &'static str,
    pub(super) label: &'static str,
    /// `30d@2026-12-24T17:40:00Z`.
    pub(super) value: String,
    pub(super) iso: String,
    pub(super) text: String,
    pub(super) checked: bool,
    /// Beyond what the organization allows.
    pub(super) off: bool,
}

/// The part of the form.
pub(super) struct ExpiryPart {
    pub(super) rows: Vec<ExpiryRow>,
    pub(super) by_date: bool,
    /// What `datetime-local` shows.
    pub(super) date: String,
    /// The last instant that the organization allows, for the same field and for people; empty where it allows any.
    pub(super) last: String,
    pub(super) last_text: String,
    pub(super) never: bool,
    /// The bound in words, such as `90d`; empty where there is none.
    pub(super) bound: String,
    pub(super) errors: Vec<String>,
}

const LIVES: [(&str, &str, i64); 3] = [("30d", "30 days", 30), ("90d", "90 days", 90), ("365d", "1 year", 365)];

impl ExpiryPart {
    /// What can be chosen now; the longest usual life up to 90 days is. With a form: what it chose.
    pub(super) fn new(policies: &Policies, now: Timestamp, form: Option<&Form>) -> Self {
        let last = policies
            .max_key_lifetime
            .map(|longest| now.plus_seconds(i64::try_from(longest.as_secs()).unwrap_or(i64::MAX)));
        let end = |days: i64| now.plus_seconds(days.saturating_mul(DAY));
        let off = |days: i64| last.is_some_and(|last| end(days) > last);
        let usual = if off(30) {
            "date"
        } else if off(90) {
            "30d"
        } else {
            "90d"
        };
        let chosen = form.and_then(|form| form.text("expiry")).unwrap_or(usual);
        let chosen = chosen.split('@').next().unwrap_or_default();
        let rows = LIVES.map(|(id, label, days)| ExpiryRow {
            id,
            label,
            value: format!("{id}@{}", end(days)),
            iso: end(days).to_string(),
            text: at_second(end(days)),
            checked: chosen == id && !off(days),
            off: off(days),
        });
        let date = form.and_then(|form| form.text("expiry_at")).map(str::to_owned);
        Self {
            rows: rows.into(),
            by_date: chosen == "date",
            date: date.unwrap_or_else(|| last.filter(|_| off(30)).map_or_else(String::new, local_input)),
            last: last.map_or_else(String::new, local_input),
            last_text: last.map_or_else(String::new, at_second),
            never: chosen == "none" && last.is_none(),
            bound: policies.max_key_lifetime.map_or_else(String::new, lifetime_text),
            errors: vec![],
        }
    }

    /// The instant that is chosen, for the summary.
    pub(super) fn summary(&self) -> (String, String) {
        match self.rows.iter().find(|row| row.checked) {
            Some(row) => (row.label.to_owned(), row.text.clone()),
            None if self.by_date => ("On a date".to_owned(), self.date.replace('T', " ")),
            None if self.never => ("Never".to_owned(), String::new()),
            None => ("Not chosen".to_owned(), String::new()),
        }
    }
}

/// What a form asks for: `None` is no choice at all, `Some(None)` never.
pub(super) fn draft(form: &Form, errors: &mut FieldErrors) -> Option<Option<String>> {
    match form.text("expiry").unwrap_or_default() {
        "none" => Some(None),
        "date" => match instant(form.text("expiry_at").unwrap_or_default()) {
            Some(text) => Some(Some(text)),
            None => {
                errors.add("/expires_at", "expiry_invalid", "give the date and the time, in UTC");
                Some(None)
            }
        },
        chosen => match chosen.split_once('@') {
            Some((_, instant)) => Some(Some(instant.to_owned())),
            None => {
                errors.add("/expires_at", "expiry_missing", "choose until when the key lives");
                None
            }
        },
    }
}

/// What `datetime-local` sends, with seconds or without; a date alone is its first second.
fn instant(text: &str) -> Option<String> {
    let text = text.trim();
    let whole = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        16 => format!("{text}:00Z"),
        19 => format!("{text}Z"),
        _ => text.to_owned(),
    };
    Timestamp::parse(&whole).ok().map(|at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-24T17:40:00Z").unwrap()
    }

    #[test]
    fn a_policy_bounds_what_can_be_chosen() {
        let offered = |days: Option<u64>| {
            let bound = days.map(|days| Duration::from_secs(days * 86_400));
            let part = ExpiryPart::new(&Policies { max_key_lifetime: bound, ..Policies::default() }, now(), None);
            let rows: Vec<_> = part.rows.iter().map(|row| (row.id, row.off, row.checked)).collect();
            (rows, part.by_date, part.last)
        };
        let (rows, by_date, last) = offered(Some(90));
        assert_eq!(rows, [("30d", false, false), ("90d", false, true), ("365d", true, false)]);
        assert_eq!((by_date, last.as_str()), (false, "2027-02-22T17:40:00"));
        let (rows, by_date, last) = offered(Some(7));
        assert!(rows.iter().all(|row| row.1 && !row.2) && by_date && last == "2026-12-01T17:40:00");
        assert!(offered(None).0.iter().all(|row| !row.1));
    }

    #[test]
    fn what_was_shown_is_what_is_asked_for() {
        let ask = |body: &str| {
            let mut errors = FieldErrors::default();
            (draft(&Form::read(body.as_bytes()), &mut errors), errors.is_empty())
        };
        let at = |text: &str| Some(Some(text.to_owned()));
        assert_eq!(ask("expiry=30d%402026-12-24T17:40:00Z"), (at("2026-12-24T17:40:00Z"), true));
        assert_eq!(ask("expiry=date&expiry_at=2027-01-31T00:00"), (at("2027-01-31T00:00:00Z"), true));
        assert_eq!(ask("expiry=date&expiry_at=2027-01-31T00:00:09"), (at("2027-01-31T00:00:09Z"), true));
        assert_eq!(ask("expiry=date&expiry_at=2027-01-31"), (at("2027-01-31T00:00:00Z"), true));
        assert_eq!(ask("expiry=none"), (Some(None), true));
        assert_eq!(ask("expiry=date&expiry_at=soon"), (Some(None), false));
        assert_eq!(ask(""), (None, false));
    }
}
