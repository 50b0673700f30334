//! Reading the audit log: by pages, whole, and from its first row to its last to see whether it is the one that was
//! written.

mod turns;

use super::caller::{Asking, Right};
use super::{Control, ControlProblem};
use crate::model::{ChainBreak, ChainHead, Identifier};
use crate::store::{AuditFilter, AuditPage, Store};
use std::sync::Arc;
use tokio::task::JoinError;
use turns::LongRead;
pub(super) use turns::LongReads;

/// So many rows are read at a time.
const BATCH: u32 = 500;

/// What walking a chain found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditVerdict {
    /// Where the walk ended: the number and hash of the last sound row.
    pub reached: ChainHead,
    /// The first row that is wrong, if one is.
    pub problem: Option<ChainBreak>,
}

/// One chain: an organization's, or the node's own (`None`).
pub type Chain = Option<Identifier>;

impl Control {
    /// A page of a chain, newest first. With a filter it may take a look at every row, and is a long read.
    /// Errors: `NotFound`, `NotAllowed`, `LogBusy`, `Unavailable`, `Fault`.
    pub async fn audit_page(
        &self,
        asking: &Asking,
        chain: &Chain,
        filter: &AuditFilter,
        before: Option<u64>,
        limit: u32,
    ) -> Result<AuditPage, ControlProblem> {
        self.require_log(asking, chain).await?;
        if filter.is_empty() {
            return Ok(self.store.audit_page(chain.as_ref(), filter, before, limit).await?);
        }
        let read = self.long_reads.begin(chain)?;
        let (store, chain, filter) = (Arc::clone(&self.store), chain.clone(), filter.clone());
        // A task: the store goes on when the caller hangs up, and so the read has not ended.
        let page = tokio::spawn(async move {
            let _turn = read.turn().await?;
            Ok(store.audit_page(chain.as_ref(), &filter, before, limit).await?)
        });
        page.await.unwrap_or_else(|error| Err(ended(&error)))
    }

    /// The whole chain, oldest first, in batches of JSON texts. Errors: as [`audit_page`](Self::audit_page).
    pub async fn audit_export(&self, asking: &Asking, chain: Chain) -> Result<AuditRows, ControlProblem> {
        self.require_log(asking, &chain).await?;
        let read = self.long_reads.begin(&chain)?;
        Ok(AuditRows { store: Arc::clone(&self.store), chain, after: 0, read })
    }

    /// Walks the chain and tells the first row that is not as it was written.
    /// Errors: as [`audit_page`](Self::audit_page).
    pub async fn verify_audit(&self, asking: &Asking, chain: Chain) -> Result<AuditVerdict, ControlProblem> {
        let mut rows = self.audit_export(asking, chain.clone()).await?;
        let mut reached = ChainHead::default();
        let mut seen_end = false;
        loop {
            let batch = rows.next().await?;
            if batch.is_empty() {
                let end = self.store.audit_head(chain.as_ref()).await?;
                // Rows may have been written since the last batch: look once more before they are missed.
                if end.number > reached.number && !std::mem::replace(&mut seen_end, true) {
                    continue;
                }
                let problem = reached.ends_at(&end).err();
                return Ok(AuditVerdict { reached, problem });
            }
            seen_end = false;
            let problem;
            (reached, problem) = walk(reached, batch).await?;
            if problem.is_some() {
                return Ok(AuditVerdict { reached, problem });
            }
        }
    }

    async fn require_log(&self, asking: &Asking, chain: &Chain) -> Result<(), ControlProblem> {
        match chain {
            None => asking.caller.require_operator(),
            Some(organization) => {
                asking.caller.require(Right::Manage, organization)?;
                self.organization_facts(organization).await.map(|_| ())
            }
        }
    }
}

/// Follows these rows as far as they are sound, away from the threads that answer requests.
async fn walk(mut reached: ChainHead, rows: Vec<String>) -> Result<(ChainHead, Option<ChainBreak>), ControlProblem> {
    let walked = tokio::task::spawn_blocking(move || {
        let problem = rows.iter().find_map(|row| reached.follow(row).err());
        (reached, problem)
    });
    walked.await.map_err(|error| ended(&error))
}

fn ended(error: &JoinError) -> ControlProblem {
    tracing::error!("control: a read of the audit log did not end: {error}");
    ControlProblem::Fault
}

/// The rows of a chain that are not read yet.
pub struct AuditRows {
    store: Arc<dyn Store>,
    chain: Chain,
    after: u64,
    read: LongRead,
}

impl AuditRows {
    /// The next rows, oldest first; none at the end.
    pub async fn next(&mut self) -> Result<Vec<String>, ControlProblem> {
        let _turn = self.read.turn().await?;
        let rows = self.store.audit_rows(self.chain.as_ref(), self.after, BATCH).await?;
        if let Some((last, _)) = rows.last() {
            self.after = *last;
        }
        Ok(rows.into_iter().map(|(_, text)| text).collect())
    }
}

impl std::fmt::Debug for AuditRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditRows").field("chain", &self.chain).field("after", &self.after).finish_non_exhaustive()
    }
}
