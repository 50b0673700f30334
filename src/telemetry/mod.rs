//! What the node tells about itself: metrics, the access log, what keys are used for, what requests came to and what was
//! decided lately. One injected struct each, nothing global.
//!
//! Never a label or a line: a secret, a token. Never a label: client id, key name, path, address, user agent.

mod access_log;
mod decisions;
mod metrics;
mod traffic;
mod usage;

pub use access_log::{AccessLine, AccessLog, AccessLogError};
pub use decisions::{Decided, Decision, DecisionLog, Told};
pub use metrics::{EnvironmentMetrics, InFlight, Metrics, MetricsError, NO_ENVIRONMENT, Outcome};
pub use traffic::{LastSeen, TrafficCount, TrafficRecorder};
pub use usage::{KeyUse, UsageRecorder};
