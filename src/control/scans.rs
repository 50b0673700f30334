//! Who may look at many keys at the same time: searches, lists in an order that no index gives, counts.
//!
//! Such a read takes the store as long as an environment is large. One of an organization goes on at a time, and two of all
//! at once; the others wait in the line of their organization. So whoever proves who they are always finds a reader, and
//! of two organizations neither waits for more than one read of the other.

use super::ControlProblem;
use crate::model::Identifier;
use crate::store::StoreError;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many scans touch the store at once.
const AT_ONCE: usize = 2;
/// So many of one organization wait, or go on.
const IN_LINE: usize = 33;

/// The scans that go on, and the lines before them.
#[derive(Clone, Debug)]
pub(super) struct Scans {
    at_once: Arc<Semaphore>,
    lines: Arc<Mutex<HashMap<Identifier, Line>>>,
}

#[derive(Debug)]
struct Line {
    turn: Arc<Semaphore>,
    length: usize,
}

impl Default for Scans {
    fn default() -> Self {
        Self { at_once: Arc::new(Semaphore::new(AT_ONCE)), lines: Arc::default() }
    }
}

/// A place in an organization's line, for as long as it is kept.
#[derive(Debug)]
struct InLine {
    lines: Arc<Mutex<HashMap<Identifier, Line>>>,
    organization: Identifier,
}

/// The one scan of its organization, for as long as it is kept.
#[derive(Debug)]
pub(super) struct Turn {
    _at_once: OwnedSemaphorePermit,
    _of_one: OwnedSemaphorePermit,
    _place: InLine,
}

impl Scans {
    /// Waits until this scan may touch the store. Errors: `Busy`, where the line is too long already.
    pub(super) async fn turn(&self, organization: &Identifier) -> Result<Turn, ControlProblem> {
        let (turn, place) = self.line_up(organization)?;
        let of_one = turn.acquire_owned().await.map_err(|_| ControlProblem::Fault)?;
        let at_once = Arc::clone(&self.at_once).acquire_owned().await.map_err(|_| ControlProblem::Fault)?;
        Ok(Turn { _at_once: at_once, _of_one: of_one, _place: place })
    }

    fn line_up(&self, organization: &Identifier) -> Result<(Arc<Semaphore>, InLine), ControlProblem> {
        let mut lines = self.lines.lock();
        let new = || Line { turn: Arc::new(Semaphore::new(1)), length: 0 };
        let line = lines.entry(organization.clone()).or_insert_with(new);
        if line.length >= IN_LINE {
            return Err(ControlProblem::Busy);
        }
        line.length += 1;
        let turn = Arc::clone(&line.turn);
        drop(lines);
        Ok((turn, InLine { lines: Arc::clone(&self.lines), organization: organization.clone() }))
    }
}

impl Turn {
    /// Reads in this turn. A task: the store goes on when the caller hangs up, and so the turn has not ended.
    pub(super) async fn read<T: Send + 'static>(
        self,
        read: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, ControlProblem> {
        let reading = tokio::spawn(async move {
            let _turn = self;
            read.await
        });
        match reading.await {
            Ok(read) => Ok(read?),
            Err(error) => {
                tracing::error!("control: a read of many keys did not end: {error}");
                Err(ControlProblem::Fault)
            }
        }
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        let mut lines = self.lines.lock();
        if let Some(line) = lines.get_mut(&self.organization) {
            line.length -= 1;
            if line.length == 0 {
                lines.remove(&self.organization);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::future::pending;

    fn organization(id: &str) -> Identifier {
        Identifier::parse(id).unwrap()
    }

    #[test]
    fn an_organization_has_one_turn_and_all_have_two() {
        let scans = Scans::default();
        let [one, two, three] = ["one", "two", "three"].map(organization);
        let turn = |of| scans.turn(of).now_or_never();
        let (first, second) = (turn(&one).unwrap().unwrap(), turn(&one));
        assert!(second.is_none(), "two of one organization");
        let other = turn(&two).unwrap().unwrap();
        assert!(turn(&three).is_none(), "three at once");
        drop(first);
        assert!(turn(&three).unwrap().is_ok());
        assert!(turn(&two).is_none());
        drop(other);
        assert!(scans.lines.lock().is_empty(), "whoever went away is in no line");
    }

    #[test]
    fn a_line_ends_somewhere_and_is_nobody_else_s() {
        let scans = Scans::default();
        let [one, two] = ["one", "two"].map(organization);
        let _turn = scans.turn(&one).now_or_never().unwrap().unwrap();
        let mut waiting: Vec<_> = (1..IN_LINE).map(|_| Box::pin(scans.turn(&one))).collect();
        assert!(waiting.iter_mut().all(|turn| turn.now_or_never().is_none()));
        assert!(matches!(scans.turn(&one).now_or_never(), Some(Err(ControlProblem::Busy))));
        assert!(scans.turn(&two).now_or_never().unwrap().is_ok());
        drop(waiting);
        assert!(scans.turn(&one).now_or_never().is_none(), "there is room in the line");
    }

    #[tokio::test]
    async fn a_turn_lasts_as_long_as_the_store_reads() {
        let scans = Scans::default();
        let one = organization("one");
        let turn = scans.turn(&one).await.unwrap();
        let reading = tokio::time::timeout(std::time::Duration::from_millis(20), turn.read(pending::<Result<(), _>>()));
        assert!(reading.await.is_err(), "the caller hung up");
        assert!(scans.turn(&one).now_or_never().is_none());
    }
}
