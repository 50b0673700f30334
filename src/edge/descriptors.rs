//! How many files the process may have open: a connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a node has open besides: connections to upstreams, of which requests that are served at the same time need one each
/// and idle ones are given up, the store, logs, watched folders, listeners.
const OTHERS: u64 = 1280;

/// Raises the soft limit to the hard one. How many connections may be open: `connections`, or as many as leave room for
/// all else that is opened, which is said then. A node that can open no more would lose its probes with its callers.
pub(super) fn raise(connections: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!("the limit of open files stays at {}: {error}", current.unwrap_or(u64::MAX));
    }
    let needed = (connections as u64).saturating_add(OTHERS);
    // No limit is none to worry about.
    let Some(most) = getrlimit(Resource::Nofile).current.filter(|most| *most < needed) else { return connections };
    let taken = connections.min(beside_others(most));
    tracing::warn!(
        "`edge.limits.connections` is {connections}, which may need {needed} open files, but this process may have {most}: \
         {taken} connections are taken; raise its hard limit (`ulimit -Hn`, `LimitNOFILE=`) or lower the setting"
    );
    taken
}

/// So many of `most` files may be connections of callers: all but those for others, and where those are most of them half.
fn beside_others(most: u64) -> usize {
    usize::try_from(most.saturating_sub(OTHERS).max(most / 2)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_left_for_others() {
        for (most, taken) in [(0, 0), (600, 300), (1024, 512), (2560, 1280), (2561, 1281), (20_000, 18_720)] {
            assert_eq!(beside_others(most), taken, "{most}");
        }
    }
}
