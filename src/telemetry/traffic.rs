//! What the requests of each environment came to: answered by the upstream, or refused or failed with which code.
//!
//! A request records by atomics alone once its environment and code were seen. Whoever drains gets each count exactly
//! once, with the hour of the drain; what could not be written is put back with the hour that it has.

use crate::model::{EnvironmentId, Timestamp};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// The length of an hour, in seconds.
const HOUR: i64 = 3600;
/// What could not be written for so long is dropped, in seconds: nobody asks for it any more.
const KEPT: i64 = 48 * HOUR;

/// How often requests of an environment came to something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficCount {
    /// Which environment.
    pub environment: Arc<EnvironmentId>,
    /// When the hour began in which it was counted.
    pub hour: Timestamp,
    /// The code of the refusal or failure; empty where the upstream answered.
    pub code: &'static str,
    /// How often.
    pub count: u64,
}

/// When an upstream last answered, and last failed, as this process saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastSeen {
    /// When it last answered.
    pub answer: Option<Timestamp>,
    /// When it last failed, and the code of the failure.
    pub failure: Option<(Timestamp, &'static str)>,
}

/// Counts what requests came to.
#[derive(Debug, Default)]
pub struct TrafficRecorder {
    environments: papaya::HashMap<Arc<EnvironmentId>, Traffic, ahash::RandomState>,
    /// What was drained and could not be written.
    unwritten: Mutex<Counts>,
}

/// Counts by hour, environment and code.
type Counts = BTreeMap<(Timestamp, Arc<EnvironmentId>, &'static str), u64>;

/// The counts of one environment.
#[derive(Debug, Default)]
struct Traffic {
    answered: AtomicU64,
    /// Seconds since the Unix epoch; 0 before the first.
    last_answer: AtomicI64,
    others: papaya::HashMap<&'static str, AtomicU64, ahash::RandomState>,
    last_failure: Mutex<Option<(Timestamp, &'static str)>>,
}

impl TrafficRecorder {
    /// Records that the upstream answered.
    pub fn answered(&self, environment: &Arc<EnvironmentId>, now: Timestamp) {
        self.with(environment, |traffic| {
            traffic.answered.fetch_add(1, Ordering::Relaxed);
            // Written once a second: the line is read by all who count here.
            if traffic.last_answer.load(Ordering::Relaxed) < now.as_unix() {
                traffic.last_answer.store(now.as_unix(), Ordering::Relaxed);
            }
        });
    }

    /// Records a refusal.
    pub fn refused(&self, environment: &Arc<EnvironmentId>, code: &'static str) {
        self.with(environment, |traffic| traffic.count(code, 1));
    }

    /// Records that the upstream failed.
    pub fn failed(&self, environment: &Arc<EnvironmentId>, code: &'static str, now: Timestamp) {
        self.with(environment, |traffic| {
            traffic.count(code, 1);
            *traffic.last_failure.lock() = Some((now, code));
        });
    }

    /// When the environment's upstream last answered and failed.
    pub fn last_seen(&self, environment: &EnvironmentId) -> LastSeen {
        let environments = self.environments.pin();
        environments.get(environment).map_or_else(LastSeen::default, |traffic| {
            let answer = traffic.last_answer.load(Ordering::Relaxed);
            LastSeen {
                answer: (answer > 0).then_some(Timestamp::from_unix(answer)),
                failure: *traffic.last_failure.lock(),
            }
        })
    }

    /// Takes out what was recorded since the last drain, and what was put back.
    pub fn drain(&self, now: Timestamp) -> Vec<TrafficCount> {
        let mut drained = std::mem::take(&mut *self.unwritten.lock());
        let hour = hour(now);
        for (environment, traffic) in &self.environments.pin() {
            let mut take = |code, count: &AtomicU64| {
                let taken = count.swap(0, Ordering::Relaxed);
                if taken > 0 {
                    *drained.entry((hour, Arc::clone(environment), code)).or_default() += taken;
                }
            };
            take("", &traffic.answered);
            traffic.others.pin().iter().for_each(|(code, count)| take(code, count));
        }
        let counts = drained.into_iter();
        counts.map(|((hour, environment, code), count)| TrafficCount { environment, hour, code, count }).collect()
    }

    /// Puts back what a drain took out and nobody could write.
    pub fn restore(&self, counts: Vec<TrafficCount>, now: Timestamp) {
        let first = hour(now).plus_seconds(-KEPT);
        let mut unwritten = self.unwritten.lock();
        for TrafficCount { environment, hour, code, count } in counts.into_iter().filter(|count| count.hour >= first) {
            *unwritten.entry((hour, environment, code)).or_default() += count;
        }
    }

    fn with(&self, environment: &Arc<EnvironmentId>, record: impl FnOnce(&Traffic)) {
        let environments = self.environments.pin();
        record(match environments.get(environment) {
            Some(traffic) => traffic,
            None => environments.get_or_insert_with(Arc::clone(environment), Traffic::default),
        });
    }
}

impl Traffic {
    fn count(&self, code: &'static str, times: u64) {
        let others = self.others.pin();
        let count = match others.get(code) {
            Some(count) => count,
            None => others.get_or_insert_with(code, AtomicU64::default),
        };
        count.fetch_add(times, Ordering::Relaxed);
    }
}

fn hour(at: Timestamp) -> Timestamp {
    Timestamp::from_unix(at.as_unix().div_euclid(HOUR) * HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Identifier;

    const NOON: Timestamp = Timestamp::from_unix(1_900_000_000);

    fn environment(name: &str) -> Arc<EnvironmentId> {
        let id = |text| Identifier::parse(text).unwrap();
        Arc::new(EnvironmentId { organization: id("acme"), environment: id(name) })
    }

    fn counted(counts: &[TrafficCount]) -> Vec<(String, i64, &'static str, u64)> {
        let one = |count: &TrafficCount| {
            (count.environment.environment.to_string(), count.hour.as_unix() % 86_400 / 3600, count.code, count.count)
        };
        counts.iter().map(one).collect()
    }

    #[test]
    fn each_count_is_given_out_once() {
        let (recorder, production, staging) =
            (TrafficRecorder::default(), environment("production"), environment("staging"));
        for _ in 0..3 {
            recorder.answered(&production, NOON);
        }
        recorder.refused(&production, "token_missing");
        recorder.failed(&staging, "upstream_timeout", NOON);
        let drained = recorder.drain(NOON);
        let hour = NOON.as_unix() % 86_400 / 3600;
        assert_eq!(
            counted(&drained),
            [
                ("production".to_owned(), hour, "", 3),
                ("production".to_owned(), hour, "token_missing", 1),
                ("staging".to_owned(), hour, "upstream_timeout", 1)
            ]
        );
        assert!(recorder.drain(NOON).is_empty());
        assert_eq!(recorder.last_seen(&production), LastSeen { answer: Some(NOON), failure: None });
        assert_eq!(recorder.last_seen(&staging).failure, Some((NOON, "upstream_timeout")));
        assert_eq!(recorder.last_seen(&environment("other")), LastSeen::default());
    }

    #[test]
    fn what_was_put_back_keeps_its_hour() {
        let (recorder, production) = (TrafficRecorder::default(), environment("production"));
        recorder.answered(&production, NOON);
        recorder.restore(recorder.drain(NOON), NOON);
        recorder.answered(&production, NOON);
        let later = NOON.plus_seconds(HOUR);
        let hour_of = |at: Timestamp| at.as_unix() % 86_400 / 3600;
        let drained = recorder.drain(later);
        assert_eq!(
            counted(&drained),
            [("production".to_owned(), hour_of(NOON), "", 1), ("production".to_owned(), hour_of(later), "", 1)]
        );
        recorder.restore(drained, later.plus_seconds(KEPT));
        assert_eq!(recorder.drain(later).len(), 1, "what nobody asks for any more is dropped");
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let (recorder, production) = (TrafficRecorder::default(), environment("production"));
        let total: u64 = std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| recorder.answered(&production, NOON)));
            }
            let drains = (0..100).map(|_| recorder.drain(NOON).iter().map(|count| count.count).sum::<u64>());
            drains.sum()
        });
        let rest: u64 = recorder.drain(NOON).iter().map(|count| count.count).sum();
        assert_eq!(total + rest, 40_000);
    }
}
