//! An instant, to the second: every lifetime in Portcullis compares at whole seconds.

use super::quoted;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// An instant in whole seconds since the Unix epoch, from 0000-01-01T00:00:00Z to 9999-12-30T22:00:00Z: what RFC 3339
/// can say at every offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Text that is not one of our instants.
#[derive(Debug, thiserror::Error)]
pub enum TimestampError {
    /// Not an instant at all.
    #[error("`{given}` is not an RFC 3339 instant such as `2027-01-31T00:00:00Z`")]
    Malformed {
        /// The text, fit for a message.
        given: String,
    },
    /// An instant, but too early or too late.
    #[error("`{given}` is out of range: instants go from `{}` to `{}`", Timestamp::MIN, Timestamp::MAX)]
    OutOfRange {
        /// The text, fit for a message.
        given: String,
    },
}

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// The first instant there is.
    pub const MIN: Self = Self(-62_167_219_200);
    /// The last instant there is: jiff's, whose local times end with the year 9999 at every offset.
    pub const MAX: Self = Self(253_402_207_200);

    /// Seconds since the Unix epoch; values before [`MIN`](Self::MIN) or after [`MAX`](Self::MAX) are clamped.
    pub const fn from_unix(seconds: i64) -> Self {
        if seconds < Self::MIN.0 {
            Self::MIN
        } else if seconds > Self::MAX.0 {
            Self::MAX
        } else {
            Self(seconds)
        }
    }

    /// Seconds since the Unix epoch.
    pub const fn as_unix(self) -> i64 {
        self.0
    }

    /// Parses RFC 3339 text; a fraction of a second is dropped, an offset is converted to UTC.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let given = || quoted(text);
        let Ok(instant) = text.parse::<jiff::Timestamp>() else {
            return Err(if is_beyond(text) {
                TimestampError::OutOfRange { given: given() }
            } else {
                TimestampError::Malformed { given: given() }
            });
        };
        // A fraction before the epoch rounds towards zero in `as_second`; floor it.
        let seconds = instant.as_second() - i64::from(instant.subsec_nanosecond() < 0);
        if (Self::MIN.0..=Self::MAX.0).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(TimestampError::OutOfRange { given: given() })
        }
    }

    /// This instant moved by a signed number of seconds, clamped like [`from_unix`](Self::from_unix).
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self::from_unix(self.0.saturating_add(seconds))
    }
}

/// Whether text that jiff does not take is an instant in the last year, or in one that it does not know.
fn is_beyond(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let rest = unsigned.trim_start_matches(|c: char| c.is_ascii_digit());
    let year = unsigned.strip_suffix(rest).unwrap_or_default();
    // Nothing but digits: what cannot be counted is large.
    let is_far = year.parse::<u32>().map_or(!year.is_empty(), |year| text.starts_with('-') || year >= 9999);
    is_far && format!("2001{rest}").parse::<jiff::Timestamp>().is_ok()
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(instant) => write!(f, "{instant}"),
            // INVARIANT: never here, all that is between the bounds can be printed.
            Err(_) => write!(f, "@{}", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_at_the_second() {
        let instant = Timestamp::parse("2027-01-31T00:00:00Z").unwrap();
        assert_eq!(instant.as_unix(), 1_801_353_600);
        assert_eq!(instant.to_string(), "2027-01-31T00:00:00Z");
        assert_eq!(Timestamp::parse("2027-01-31T02:00:00.9+02:00").unwrap(), instant);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "tomorrow",
            "2027-02-30T00:00:00Z",
            "2027-02-29T00:00:00Z",
            "2027-01-31",
            "-",
            "99-01-01T00:00:00Z",
            "10000-13-01T00:00:00Z",
            "9999-12-31",
            "-000001",
        ] {
            assert!(matches!(Timestamp::parse(text), Err(TimestampError::Malformed { .. })), "{text}");
        }
    }

    #[test]
    fn the_first_and_the_last_instant_and_one_past_each() {
        for (bound, text) in [(Timestamp::MIN, "0000-01-01T00:00:00Z"), (Timestamp::MAX, "9999-12-30T22:00:00Z")] {
            assert_eq!(bound.to_string(), text);
            assert_eq!(Timestamp::parse(text).unwrap(), bound);
        }
        assert_eq!(Timestamp::parse("9999-12-30T22:00:00.999Z").unwrap(), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.0, jiff::Timestamp::MAX.as_second());
        for text in [
            "9999-12-30T22:00:01Z",
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59-12:00",
            "10000-01-01T00:00:00Z",
            "+010000-01-01T00:00:00Z",
            "999999999999-01-01T00:00:00Z",
            "0000-01-01T00:00:00+00:01",
            "-000001-12-31T23:59:59Z",
            "-000001-12-31T23:59:59.5Z",
            "-999999-01-01T00:00:00Z",
        ] {
            let error = Timestamp::parse(text).unwrap_err();
            assert!(matches!(error, TimestampError::OutOfRange { .. }), "{text}: {error}");
            assert!(error.to_string().contains("from `0000-01-01T00:00:00Z` to `9999-12-30T22:00:00Z`"), "{error}");
        }
    }

    #[test]
    fn what_is_clamped_can_be_printed_and_read_again() {
        for seconds in [i64::MIN, Timestamp::MIN.0 - 1, Timestamp::MAX.0 + 1, 253_402_300_799, i64::MAX] {
            let clamped = Timestamp::from_unix(seconds);
            assert!(clamped == Timestamp::MIN || clamped == Timestamp::MAX);
            assert_eq!(Timestamp::parse(&clamped.to_string()).unwrap(), clamped);
        }
        assert_eq!(Timestamp::MAX.plus_seconds(1), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.plus_seconds(i64::MIN), Timestamp::MIN);
    }
}
