//! The one place where time is read. Everyone else is given `now`.

use crate::model::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// The present second by the system's clock; a clock set before 1970 reads as 1970.
#[expect(clippy::disallowed_methods, reason = "the one place where time is read")]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_past_the_day_this_was_written() {
        assert!(now() > Timestamp::parse("2025-01-01T00:00:00Z").unwrap());
    }
}
