//! How the API behind an environment does, for those who manage its organization.

use super::caller::{Asking, Right};
use super::{Control, ControlProblem, UpstreamStanding};
use crate::model::{EnvironmentId, Timestamp, UpstreamUrl};
use crate::store::{HOUR_SECONDS, TrafficHour, hour_of};

const HOURS: u32 = 24;
/// What codes of failures of upstreams begin with.
const UPSTREAM: &str = "upstream_";

/// How one upstream of an environment does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamHealth {
    /// Where it is.
    pub url: String,
    /// Whether its name had an address when it was last looked up.
    pub resolves: bool,
    /// How its addresses do.
    pub standing: UpstreamStanding,
    /// When an upstream of the environment last answered, as this process saw it.
    pub last_answer: Option<Timestamp>,
    /// When an upstream of the environment last failed, as this process saw it, and with which code.
    pub last_failure: Option<(Timestamp, &'static str)>,
    /// This hour and the one before it, for all upstreams of the environment.
    pub hour: AnswersAndFailures,
    /// The last 24 hours, for all upstreams of the environment.
    pub day: AnswersAndFailures,
}

/// How often upstreams answered and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswersAndFailures {
    /// Requests that were answered.
    pub answers: u64,
    /// Requests that failed.
    pub failures: u64,
}

impl AnswersAndFailures {
    fn of<'a>(counted: impl Iterator<Item = &'a TrafficHour>) -> Self {
        let mut sum = Self::default();
        for TrafficHour { code, count, .. } in counted {
            if code.is_empty() {
                sum.answers += count;
            } else if code.starts_with(UPSTREAM) {
                sum.failures += count;
            }
        }
        sum
    }
}

impl Control {
    /// How each upstream of an environment does, in the order of its definition.
    /// Errors: `NotFound`, `NotAllowed`, `Unavailable`, `Fault`.
    pub async fn upstream_health(
        &self,
        asking: &Asking,
        environment: &EnvironmentId,
    ) -> Result<Vec<UpstreamHealth>, ControlProblem> {
        asking.caller.require_in(Right::Manage, environment)?;
        let found = self.with_environment(environment, |snapshot| {
            let table = snapshot.environment(environment)?;
            let urls = table.upstream.urls.iter();
            Some(urls.map(|url| (url.clone(), self.node.standing(table, url))).collect::<Vec<_>>())
        })?;
        let this_hour = hour_of(asking.act.at);
        let first = this_hour.plus_seconds(-i64::from(HOURS - 1) * HOUR_SECONDS);
        let traffic = self.store.traffic(environment, first, HOURS).await?;
        let before = this_hour.plus_seconds(-HOUR_SECONDS);
        let day = AnswersAndFailures::of(traffic.iter());
        let hour = AnswersAndFailures::of(traffic.iter().filter(|counted| counted.hour >= before));
        let seen = self.traffic.last_seen(environment);
        let health = |(url, standing): (UpstreamUrl, UpstreamStanding)| UpstreamHealth {
            resolves: self.node.resolves(&url),
            url: url.to_string(),
            standing,
            last_answer: seen.answer,
            last_failure: seen.failure,
            hour,
            day,
        };
        Ok(found.unwrap_or_default().into_iter().map(health).collect())
    }
}
