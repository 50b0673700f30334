//! Who may read much of the audit log at the same time: a whole chain, or rows that few others are like.
//!
//! Such a read takes the store as long as the log is long. One a chain goes on at a time, and two of all chains touch the
//! store at once, so that the rest of the control plane always finds a reader.

use super::Chain;
use crate::control::ControlProblem;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many long reads touch the store at once.
const AT_ONCE: usize = 2;
/// When to come back where the chain is being read, in seconds.
const COME_BACK: u64 = 2;

/// The long reads that go on.
#[derive(Clone, Debug)]
pub(in crate::control) struct LongReads {
    chains: Arc<Mutex<HashSet<Chain>>>,
    at_once: Arc<Semaphore>,
}

impl Default for LongReads {
    fn default() -> Self {
        Self { chains: Arc::default(), at_once: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl LongReads {
    /// Begins a long read of a chain, unless one goes on: then `LogBusy`.
    pub(super) fn begin(&self, chain: &Chain) -> Result<LongRead, ControlProblem> {
        if !self.chains.lock().insert(chain.clone()) {
            return Err(ControlProblem::LogBusy { retry_after: COME_BACK });
        }
        Ok(LongRead { reads: self.clone(), chain: chain.clone() })
    }
}

/// The one long read of its chain, for as long as it is kept.
#[derive(Debug)]
pub(super) struct LongRead {
    reads: LongReads,
    chain: Chain,
}

impl LongRead {
    /// Waits until this read may touch the store: those of all chains take turns. Whoever takes the rows slowly holds
    /// no turn meanwhile.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, ControlProblem> {
        Arc::clone(&self.reads.at_once).acquire_owned().await.map_err(|_| ControlProblem::Fault)
    }
}

impl Drop for LongRead {
    fn drop(&mut self) {
        self.reads.chains.lock().remove(&self.chain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Identifier;
    use futures_util::FutureExt;

    fn chain(id: &str) -> Chain {
        Some(Identifier::parse(id).unwrap())
    }

    #[test]
    fn a_chain_has_one_long_read_and_the_store_two() {
        let reads = LongReads::default();
        let [one, two, own] = [chain("one"), chain("two"), None].map(|chain| reads.begin(&chain).unwrap());
        for chain in [chain("one"), None] {
            assert!(matches!(reads.begin(&chain), Err(ControlProblem::LogBusy { retry_after: 2 })), "{chain:?}");
        }
        let turns = [&one, &two].map(|read| read.turn().now_or_never().unwrap().unwrap());
        assert!(own.turn().now_or_never().is_none());
        drop(turns);
        assert!(own.turn().now_or_never().is_some());
        drop(one);
        assert!(reads.begin(&chain("one")).is_ok());
        assert!(reads.begin(&chain("two")).is_err());
    }
}
