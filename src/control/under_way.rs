//! How many things of one kind go on at the same time for one organization: what takes a turn of the whole node, or much of
//! its memory, is not for one tenant to fill.

use super::ControlProblem;
use super::caller::Caller;
use crate::model::Identifier;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

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
