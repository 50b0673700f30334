//! `--expires-at` and `--expires-in`.

use crate::model::Timestamp;
use std::time::Duration;

/// When a key ends. At most one of the two.
#[derive(clap::Args)]
#[group(id = "expiry", multiple = false)]
pub(super) struct ExpiryArguments {
    /// The instant it ends, such as 2027-01-31T00:00:00Z
    #[arg(long, value_name = "INSTANT", value_parser = Timestamp::parse)]
    expires_at: Option<Timestamp>,

    /// How long it lives from now on, such as 90d or 12h
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    expires_in: Option<Duration>,
}

impl ExpiryArguments {
    /// The instant meant, in whole seconds; `None` where neither was given.
    pub(super) fn instant(&self, now: Timestamp) -> Option<Timestamp> {
        let from_now = |life: Duration| now.plus_seconds(i64::try_from(life.as_secs()).unwrap_or(i64::MAX));
        self.expires_at.or_else(|| self.expires_in.map(from_now))
    }
}
