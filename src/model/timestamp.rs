//! An instant, to the second: every lifetime in Portcullis compares at whole seconds.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// An instant in whole seconds since the Unix epoch, between the years 0000 and 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Text that is not an RFC 3339 instant.
#[derive(Debug, thiserror::Error)]
#[error("`{given}` is not an RFC 3339 instant such as `2027-01-31T00:00:00Z`")]
pub struct TimestampError {
    given: String,
}

impl Timestamp {
    const MIN: i64 = -62_167_219_200;
    const MAX: i64 = 253_402_300_799;

    /// Seconds since the Unix epoch; values outside the years 0000 to 9999 are clamped.
    pub const fn from_unix(seconds: i64) -> Self {
        if seconds < Self::MIN {
            Self(Self::MIN)
        } else if seconds > Self::MAX {
            Self(Self::MAX)
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
        let error = || TimestampError { given: text.chars().take(64).collect() };
        let instant: jiff::Timestamp = text.parse().map_err(|_| error())?;
        let seconds = instant.as_second();
        if !(Self::MIN..=Self::MAX).contains(&seconds) {
            return Err(error());
        }
        // A fraction before the epoch rounds towards zero in `as_second`; floor it.
        let floor = if instant.subsec_nanosecond() < 0 { seconds - 1 } else { seconds };
        Ok(Self(floor))
    }

    /// This instant moved by a signed number of seconds, clamped to the supported years.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self::from_unix(self.0.saturating_add(seconds))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(instant) => write!(f, "{instant}"),
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
        for text in ["", "tomorrow", "2027-02-30T00:00:00Z", "2027-01-31", "10000-01-01T00:00:00Z"] {
            assert!(Timestamp::parse(text).is_err(), "{text}");
        }
    }
}
