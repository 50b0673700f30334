//! How many files the process may have open: a connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a node has open besides: connections to upstreams, of which requests that are served at the same time need one each
/// and idle ones are given up, the store, logs, watched folders, listeners.
const OTHERS: u64 = 1280;

/// Raises the soft limit to the hard one, and says so where `connections` may still be too many.
pub(super) fn raise(connections: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!("the limit of open files stays at {}: {error}", current.unwrap_or(u64::MAX));
    }
    let needed = (connections as u64).saturating_add(OTHERS);
    // No limit is none to worry about.
    let most = getrlimit(Resource::Nofile).current.filter(|most| *most < needed);
    if let Some(most) = most {
        tracing::warn!(
            "`edge.limits.connections` is {connections}, which may need {needed} open files, but this process may have \
             {most}: raise its hard limit (`ulimit -Hn`, `LimitNOFILE=`) or lower the setting"
        );
    }
}
