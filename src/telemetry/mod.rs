//! What the node tells about itself: metrics, the access log and what keys are used for. One injected struct each, nothing global.
//!
//! Never a label or a line: a secret, a token. Never a label: client id, key name, path, address, user agent.

mod access_log;
mod metrics;
mod usage;

pub use access_log::{AccessLine, AccessLog, AccessLogError};
pub use metrics::{EnvironmentMetrics, InFlight, Metrics, MetricsError, NO_ENVIRONMENT, Outcome};
pub use usage::{KeyUse, UsageRecorder};
