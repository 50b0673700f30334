//! What is told of a request once it is over, however it ended: metrics, counts, recent decisions, one line of the log.
//!
//! pingora tells us of the end of a request unless the request was dropped: cut by its lease, by a panic, or by the end of
//! the process. So a context that is dropped without having been told of tells of itself.

use super::context::RequestContext;
use crate::access::{Denial, Permit};
use crate::model::Timestamp;
use crate::telemetry::{
    AccessLine, AccessLog, Decided, DecisionLog, Metrics, NO_ENVIRONMENT, Outcome, Told, TrafficRecorder,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most of a path that is logged, in bytes.
const MOST_PATH: usize = 1024;

/// Where requests are told of.
#[derive(Debug)]
pub(super) struct Accounts {
    pub(super) metrics: Arc<Metrics>,
    pub(super) access_log: Arc<AccessLog>,
    pub(super) traffic: Arc<TrafficRecorder>,
    pub(super) decisions: Arc<DecisionLog>,
    pub(super) clock: fn() -> Timestamp,
}

impl Accounts {
    /// Tells of a request, once. `status` is what the caller saw, 0 where it saw none.
    pub(super) fn tell(&self, context: &mut RequestContext, status: u16, bytes_out: u64) {
        if std::mem::replace(&mut context.is_told, true) {
            return;
        }
        if context.permit.is_some() && context.code.is_none() {
            context.outcome = Outcome::Forwarded;
        }
        let now = Instant::now();
        let duration = now.duration_since(context.started);
        self.count(context, status, duration, now);
        self.remember(context, status);
        if self.access_log.is_on() {
            self.log(context, status, duration, bytes_out);
        }
    }

    fn count(&self, context: &RequestContext, status: u16, duration: Duration, now: Instant) {
        let Some(asked) = &context.asked else { return };
        let nowhere = || self.metrics.environment(NO_ENVIRONMENT);
        let metrics = &context.metrics.as_ref().map_or_else(nowhere, Arc::clone);
        let method = asked.method.as_str();
        self.metrics.count_request(metrics, method, status, context.outcome);
        metrics.request_duration.observe(duration.as_secs_f64());
        if let Some(since) = context.upstream_since {
            metrics.upstream_duration.observe(now.duration_since(since).as_secs_f64());
        }
        if let Some(code) = context.code.filter(|_| context.outcome == Outcome::Denied) {
            self.metrics.count_denial(metrics, code);
        }
    }

    /// Counts what a request came to, and remembers it where it was refused, or failed, or is the first of its second.
    fn remember(&self, context: &mut RequestContext, status: u16) {
        let (Some(environment), Some(asked)) = (&context.environment, &context.asked) else { return };
        let (id, code) = (&environment.policy.id, context.code);
        match (context.outcome, code) {
            (Outcome::Forwarded, _) => self.traffic.answered(id, context.at),
            (Outcome::Failed, Some(code)) if code.starts_with("upstream_") => self.traffic.failed(id, code, context.at),
            (_, Some(code)) => self.traffic.refused(id, code),
            (_, None) => {}
        }
        if !context.is_sample && context.told.is_none() {
            return;
        }
        // A token of elsewhere is genuine and proves no key of this environment.
        let is_own = code != Some(Denial::WrongEnvironment.code());
        let whose = context.proven.as_ref().or(context.client_id.as_ref()).filter(|_| is_own);
        let decided = Decided {
            request_id: &context.request_id,
            at: context.at,
            method: &asked.method,
            path: asked.path(),
            address: context.address,
            operation: context.permit.as_ref().map(Permit::operation),
            status,
            outcome: context.outcome,
            told: context.told.take(),
        };
        self.decisions.record(environment.policy.index, whose, decided);
    }

    fn log(&self, context: &RequestContext, status: u16, duration: Duration, bytes_out: u64) {
        let asked = context.asked.as_ref();
        let path = asked.map(|asked| asked.path()).unwrap_or_default();
        let path = String::from_utf8_lossy(path.get(..path.len().min(MOST_PATH)).unwrap_or_default());
        // Nothing that could panic once more is asked for in the middle of a panic.
        let time = if std::thread::panicking() { context.at } else { (self.clock)() };
        self.access_log.write(&AccessLine {
            time: time.to_string(),
            request_id: &context.request_id,
            trace_id: asked.and_then(|asked| asked.trace_id.as_deref()).unwrap_or(&context.request_id),
            environment: context.environment.as_ref().map_or(NO_ENVIRONMENT, |environment| environment.label.as_str()),
            client_id: context.client_id.as_ref().map(|id| id.as_str()),
            address: context.address,
            method: asked.map_or("-", |asked| asked.method.as_str()),
            path: &path,
            operation: context.permit.as_ref().map(|permit| permit.operation().as_ref()),
            status,
            outcome: context.outcome.as_str(),
            code: context.code,
            duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            bytes_out,
        });
    }
}

impl Drop for RequestContext {
    fn drop(&mut self) {
        self.lease.leave();
        if self.is_told || self.asked.is_none() {
            return;
        }
        let cut = self.lease.cut();
        if let Some(denial) = cut {
            let outcome = if denial == Denial::RequestTimeout { Outcome::Failed } else { Outcome::Cut };
            self.note(&denial, outcome);
        } else if self.code.is_none() {
            self.outcome = Outcome::Failed;
            let code = if std::thread::panicking() { Denial::InternalError.code() } else { "abandoned" };
            self.code = Some(code);
            self.told = Some(Told::Nothing(code));
        }
        let (accounts, status, bytes_out) = (Arc::clone(&self.accounts), self.status, self.bytes_out);
        accounts.tell(self, status, bytes_out);
    }
}
