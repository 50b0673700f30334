//! Prometheus metrics with handles that are resolved once: the request path touches atomics alone.

use crate::model::Timestamp;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The label of requests that no environment serves.
pub const NO_ENVIRONMENT: &str = "-";

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Portcullis answered itself (token endpoint, keys, metadata).
    Answered,
    /// Under way when its key ended.
    Cut,
    /// Refused; nothing reached the upstream.
    Denied,
    /// The upstream or the caller failed.
    Failed,
    /// The upstream answered.
    Forwarded,
}

impl Outcome {
    /// The label and log value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Cut => "cut",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Forwarded => "forwarded",
        }
    }
}

/// A metric could not be registered or written.
#[derive(Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

/// Every metric of the node.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    denials: IntCounterVec,
    request_duration: HistogramVec,
    upstream_duration: HistogramVec,
    upstream_errors: IntCounterVec,
    token_requests: IntCounterVec,
    token_questions: IntCounterVec,
    keys: IntGaugeVec,
    upstreams: IntGaugeVec,
    connections: IntGaugeVec,
    certificate_expiry: IntGaugeVec,
    connections_refused: IntCounterVec,
    store_errors: IntCounterVec,
    reloads: IntCounterVec,
    last_reload_successful: IntGauge,
    environments: papaya::HashMap<Box<str>, Arc<EnvironmentMetrics>, ahash::RandomState>,
    per_environment: bool,
    /// Head read to decision.
    pub overhead: Histogram,
    /// Requests that are being served.
    pub in_flight: IntGauge,
    /// Panics, wherever they were.
    pub panics: IntCounter,
    /// Time to answer a token request.
    pub token_duration: Histogram,
    /// Tokens whose signature was proven before.
    pub token_cache_hits: IntCounter,
    /// Tokens whose signature had to be proven.
    pub token_cache_misses: IntCounter,
    /// The highest revision the tables show.
    pub tables_revision: IntGauge,
    /// Seconds since the tables last agreed with the store.
    pub tables_age: Gauge,
    /// Access log lines that were dropped because the log could not keep up.
    pub access_log_dropped: IntCounter,
}

/// The metrics of one environment.
#[derive(Debug)]
pub struct EnvironmentMetrics {
    label: Box<str>,
    requests: papaya::HashMap<(usize, u16, Outcome), IntCounter, ahash::RandomState>,
    denials: papaya::HashMap<&'static str, IntCounter, ahash::RandomState>,
    /// Head read to last byte of the answer.
    pub request_duration: Histogram,
    /// Connection chosen to last byte of the upstream's answer.
    pub upstream_duration: Histogram,
}

/// The methods that have a label of their own; all others share one.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];
const SECONDS: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
const FINE_SECONDS: [f64; 10] = [5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 1e-2, 1e-1];

impl Metrics {
    /// Registers everything. With `per_environment = false` the environment label is folded away.
    pub fn new(version: &str, per_environment: bool) -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let r = Registration(&registry);
        let build = r.gauges("portcullis_build_info", "What runs; always 1.", &["version", "revision"])?;
        build.with_label_values(&[version, "release"]).set(1);
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let last_reload_successful =
            r.gauge("portcullis_last_reload_successful", "Whether the last reload (or the start) was good.")?;
        last_reload_successful.set(1);
        Ok(Self {
            requests: r.counters(
                "portcullis_requests_total",
                "Requests by outcome.",
                &["environment", "method", "code_class", "outcome"],
            )?,
            denials: r.counters("portcullis_denials_total", "Refusals by code.", &["environment", "code"])?,
            request_duration: r
                .histograms("portcullis_request_duration_seconds", "Head read to last byte of the answer.")?,
            upstream_duration: r.histograms("portcullis_upstream_duration_seconds", "Time spent with the upstream.")?,
            upstream_errors: r.counters(
                "portcullis_upstream_errors_total",
                "Failures of upstreams.",
                &["environment", "reason"],
            )?,
            token_requests: r.counters(
                "portcullis_token_requests_total",
                "Token requests by result.",
                &["environment", "result"],
            )?,
            token_questions: r.counters(
                "portcullis_token_questions_total",
                "Introspections and revocations by result.",
                &["environment", "endpoint", "result"],
            )?,
            keys: r.gauges("portcullis_keys", "Live keys.", &["environment", "type", "status"])?,
            upstreams: r.gauges("portcullis_upstreams", "Addresses of upstreams.", &["environment", "state"])?,
            connections: r.gauges("portcullis_connections", "Open connections.", &["listener"])?,
            certificate_expiry: r.gauges(
                "portcullis_certificate_expiry_timestamp_seconds",
                "When the first certificate of a listener ends.",
                &["listener"],
            )?,
            connections_refused: r.counters(
                "portcullis_connections_refused_total",
                "Connections of the edge that were closed before a request.",
                &["reason"],
            )?,
            store_errors: r.counters("portcullis_store_errors_total", "Failed store operations.", &["op"])?,
            reloads: r.counters("portcullis_reloads_total", "Reloads by result.", &["result"])?,
            last_reload_successful,
            environments: papaya::HashMap::default(),
            per_environment,
            overhead: r.histogram("portcullis_overhead_seconds", "Head read to decision.", &FINE_SECONDS)?,
            in_flight: r.gauge("portcullis_requests_in_flight", "Requests that are being served.")?,
            panics: r.counter("portcullis_panics_total", "Panics; each ended one request or task.")?,
            token_duration: r.histogram(
                "portcullis_token_duration_seconds",
                "Time to answer a token request.",
                &FINE_SECONDS,
            )?,
            token_cache_hits: r.counter("portcullis_token_cache_hits_total", "Tokens proven before.")?,
            token_cache_misses: r
                .counter("portcullis_token_cache_misses_total", "Tokens whose signature had to be proven.")?,
            tables_revision: r.gauge("portcullis_tables_revision", "The highest revision the tables show.")?,
            tables_age: r
                .float_gauge("portcullis_tables_age_seconds", "Seconds since the tables agreed with the store.")?,
            access_log_dropped: r.counter("portcullis_access_log_dropped_total", "Access log lines dropped.")?,
            registry,
        })
    }

    /// The handles of an environment (`org/env`), made at its first request.
    pub fn environment(&self, label: &str) -> Arc<EnvironmentMetrics> {
        let label = if self.per_environment || label == NO_ENVIRONMENT { label } else { "all" };
        let known = self.environments.pin();
        if let Some(metrics) = known.get(label) {
            return Arc::clone(metrics);
        }
        let made = Arc::new(EnvironmentMetrics {
            label: label.into(),
            requests: papaya::HashMap::default(),
            denials: papaya::HashMap::default(),
            request_duration: self.request_duration.with_label_values(&[label]),
            upstream_duration: self.upstream_duration.with_label_values(&[label]),
        });
        Arc::clone(known.get_or_insert(label.into(), made))
    }

    /// Counts a finished request. `status` is what the caller saw, 0 where it saw none.
    pub fn count_request(&self, environment: &EnvironmentMetrics, method: &str, status: u16, outcome: Outcome) {
        let method = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1);
        let class = status / 100;
        let handles = environment.requests.pin();
        handles
            .get_or_insert_with((method, class, outcome), || {
                let name = METHODS.get(method).copied().unwrap_or("other");
                self.requests.with_label_values(&[&*environment.label, name, class_name(class), outcome.as_str()])
            })
            .inc();
    }

    /// Counts a refusal.
    pub fn count_denial(&self, environment: &EnvironmentMetrics, code: &'static str) {
        let handles = environment.denials.pin();
        handles.get_or_insert_with(code, || self.denials.with_label_values(&[&*environment.label, code])).inc();
    }

    /// Counts a failure of an upstream.
    pub fn count_upstream_error(&self, environment: &EnvironmentMetrics, reason: &'static str) {
        self.upstream_errors.with_label_values(&[&*environment.label, reason]).inc();
    }

    /// Counts a request to an endpoint that authenticates its clients: `token`, `introspect` or `revoke`, with its
    /// result (`issued`, `active`, `inactive`, `revoked`, `unchanged`) or the error's code.
    pub fn count_endpoint_request(
        &self,
        environment: &EnvironmentMetrics,
        endpoint: &'static str,
        result: &'static str,
    ) {
        let label = &*environment.label;
        match endpoint {
            "token" => self.token_requests.with_label_values(&[label, result]).inc(),
            _ => self.token_questions.with_label_values(&[label, endpoint, result]).inc(),
        }
    }

    /// Counts a failed store operation.
    pub fn count_store_error(&self, op: &'static str) {
        self.store_errors.with_label_values(&[op]).inc();
    }

    /// Counts a reload.
    pub fn count_reload(&self, good: bool) {
        self.reloads.with_label_values(&[if good { "success" } else { "failure" }]).inc();
        self.last_reload_successful.set(i64::from(good));
    }

    /// The gauge of a listener's open connections.
    pub fn connections(&self, listener: &str) -> IntGauge {
        self.connections.with_label_values(&[listener])
    }

    /// Tells when the first certificate of a listener ends.
    pub fn set_certificate_expiry(&self, listener: &str, at: Timestamp) {
        self.certificate_expiry.with_label_values(&[listener]).set(at.as_unix());
    }

    /// Counts a connection of the edge that was closed before a request.
    pub fn count_refused_connection(&self, reason: &'static str) {
        self.connections_refused.with_label_values(&[reason]).inc();
    }

    /// Starts a new count of live keys.
    pub fn reset_keys(&self) {
        self.keys.reset();
    }

    /// Sets a count of live keys.
    pub fn set_keys(&self, environment: &str, kind: &str, status: &str, count: u64) {
        self.keys.with_label_values(&[environment, kind, status]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Sets how many addresses the upstreams of environments have in each state.
    pub fn set_upstreams<'l>(&self, counted: impl Iterator<Item = (&'l str, [(&'static str, u32); 3])>) {
        let mut sums: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for (environment, states) in counted {
            let label = if self.per_environment { environment } else { "all" };
            states.into_iter().for_each(|(state, count)| *sums.entry((label, state)).or_default() += i64::from(count));
        }
        self.upstreams.reset();
        for ((label, state), count) in sums {
            self.upstreams.with_label_values(&[label, state]).set(count);
        }
    }

    /// Records when the tables last agreed with the store.
    pub fn set_tables_age(&self, agreed_at: Timestamp, now: Timestamp) {
        let age = u64::try_from(now.as_unix() - agreed_at.as_unix()).unwrap_or(0);
        self.tables_age.set(Duration::from_secs(age).as_secs_f64());
    }

    /// The text exposition format.
    pub fn render(&self) -> Result<Vec<u8>, MetricsError> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// One request that is being served; it counts until it is dropped, however it ends.
#[derive(Debug)]
pub struct InFlight(IntGauge);

impl InFlight {
    /// Counts one more.
    pub fn enter(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

const fn class_name(class: u16) -> &'static str {
    match class {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "none",
    }
}

/// Makes and registers in one step.
struct Registration<'r>(&'r Registry);

impl Registration<'_> {
    fn add<C: prometheus::core::Collector + Clone + 'static>(&self, metric: C) -> prometheus::Result<C> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::new(name, help)?)
    }
    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }
    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.add(IntGauge::new(name, help)?)
    }
    fn float_gauge(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.add(Gauge::new(name, help)?)
    }
    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }
    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }
    fn histograms(&self, name: &str, help: &str) -> prometheus::Result<HistogramVec> {
        self.add(HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), &["environment"])?)
    }
}
