//! How many things of one kind go on at the same time for one organization: what takes a turn of the whole node, or much of
//! its memory, is not for one tenant to fill.

use super::caller::{Caller, Right};
use super::{Control, ControlProblem};
use crate::model::{EnvironmentId, Identifier};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many OpenAPI documents are taken in at once, those of operators aside: they have as many for themselves.
const DOCUMENTS: usize = 4;
/// So many of those come from one organization.
const DOCUMENTS_OF_ONE: usize = 2;

/// What goes on, by organization. Operators are not counted.
#[derive(Clone, Debug, Default)]
pub(super) struct UnderWay(Arc<Mutex<HashMap<Identifier, usize>>>);

/// One of the things that go on, for as long as it is kept.
#[derive(Debug)]
pub(super) struct Underway {
    counted: Option<(UnderWay, Identifier)>,
}

impl UnderWay {
    /// Begins one more, of at most `most`. Errors: `Busy`.
    pub(super) fn begin(
        &self,
        caller: &Caller,
        organization: &Identifier,
        most: usize,
    ) -> Result<Underway, ControlProblem> {
        if caller.is_operator() {
            return Ok(Underway { counted: None });
        }
        let mut counts = self.0.lock();
        let count = counts.entry(organization.clone()).or_default();
        if *count >= most {
            return Err(ControlProblem::Busy);
        }
        *count += 1;
        drop(counts);
        Ok(Underway { counted: Some((self.clone(), organization.clone())) })
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let Some((all, organization)) = self.counted.take() else { return };
        let mut counts = all.0.lock();
        if let Some(count) = counts.get_mut(&organization) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&organization);
            }
        }
    }
}

/// The documents that are on their way in, each as large as it may be.
#[derive(Clone, Debug)]
pub(super) struct Receiving {
    of_operators: Arc<Semaphore>,
    of_others: Arc<Semaphore>,
    by_organization: UnderWay,
}

impl Default for Receiving {
    fn default() -> Self {
        let places = || Arc::new(Semaphore::new(DOCUMENTS));
        Self { of_operators: places(), of_others: places(), by_organization: UnderWay::default() }
    }
}

/// The room for one document, for as long as it is kept.
#[derive(Debug)]
pub struct Incoming {
    _place: OwnedSemaphorePermit,
    _underway: Underway,
}

impl Control {
    /// Makes room for a document that the caller wants to send, to replace a catalogue or to compare it. Who may not do
    /// that sends nothing. Errors: `NotFound`, `NotAllowed`, `Busy`.
    pub fn receive_document(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
        replaces: bool,
    ) -> Result<Incoming, ControlProblem> {
        if !caller.sees(&id.organization) {
            return Err(ControlProblem::NotFound);
        }
        if replaces { caller.require_operator() } else { caller.require_in(Right::See, id) }?;
        let Receiving { of_operators, of_others, by_organization } = &self.receiving;
        let underway = by_organization.begin(caller, &id.organization, DOCUMENTS_OF_ONE)?;
        let places = if caller.is_operator() { of_operators } else { of_others };
        let place = Arc::clone(places).try_acquire_owned().map_err(|_| ControlProblem::Busy)?;
        Ok(Incoming { _place: place, _underway: underway })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::MemberCaller;
    use crate::model::{MemberId, MemberRole};

    #[test]
    fn an_organization_has_so_many_and_operators_are_not_counted() {
        let id = |text| Identifier::parse(text).unwrap();
        let ada = Caller::Member(MemberCaller {
            id: MemberId::from_entropy([1; 16]),
            email: "ada@acme.example".to_owned(),
            operator: false,
            roles: vec![(id("acme"), MemberRole::Admin)],
            until: None,
        });
        let all = UnderWay::default();
        let kept = [(); 2].map(|()| all.begin(&ada, &id("acme"), 2).unwrap());
        assert!(matches!(all.begin(&ada, &id("acme"), 2), Err(ControlProblem::Busy)));
        assert!(all.begin(&ada, &id("other"), 2).is_ok() && all.begin(&Caller::Operator, &id("acme"), 2).is_ok());
        drop(kept);
        assert!(all.begin(&ada, &id("acme"), 2).is_ok());
        assert!(all.0.lock().is_empty());
    }
}
