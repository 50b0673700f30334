//! Instants on the command line: said outright, or by their distance from now.

use crate::model::Timestamp;
use std::time::Duration;

/// An instant, or how far from now it is.
#[derive(Clone, Copy, Debug)]
enum When {
    At(Timestamp),
    Distance(Duration),
}

impl When {
    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(distance) = humantime::parse_duration(text) {
            return Ok(Self::Distance(distance));
        }
        let instant = Timestamp::parse(text).map_err(|error| format!("{error}, and no duration such as `90d`"))?;
        Ok(Self::At(instant))
    }

    fn instant(self, now: Timestamp, direction: i64) -> Timestamp {
        match self {
            Self::At(instant) => instant,
            Self::Distance(distance) => {
                let seconds = i64::try_from(distance.as_secs()).unwrap_or(i64::MAX);
                now.plus_seconds(seconds.saturating_mul(direction))
            }
        }
    }
}

/// An instant whose distance counts into the past.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ago(When);

impl Ago {
    /// Parses `2027-01-31T00:00:00Z` or `90d`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        When::parse(text).map(Self)
    }

    /// The instant meant.
    pub(super) fn instant(self, now: Timestamp) -> Timestamp {
        self.0.instant(now, -1)
    }
}

/// An instant whose distance counts into the future.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead(When);

impl Ahead {
    /// Parses `2027-01-31T00:00:00Z` or `14d`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        When::parse(text).map(Self)
    }

    /// The instant meant.
    pub(super) fn instant(self, now: Timestamp) -> Timestamp {
        self.0.instant(now, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_from_now_in_their_direction() {
        let now = Timestamp::parse("2026-06-15T12:00:00Z").unwrap();
        assert_eq!(Ago::parse("1d").unwrap().instant(now).to_string(), "2026-06-14T12:00:00Z");
        assert_eq!(Ahead::parse("1d").unwrap().instant(now).to_string(), "2026-06-16T12:00:00Z");
        for parsed in [Ago::parse("2027-01-31T00:00:00Z").unwrap().0, Ahead::parse("2027-01-31T00:00:00Z").unwrap().0] {
            assert_eq!(parsed.instant(now, 1).to_string(), "2027-01-31T00:00:00Z");
        }
        assert!(Ago::parse("tomorrow").unwrap_err().contains("90d"));
    }
}
