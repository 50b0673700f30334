//! What was decided lately, as this node remembers it.

use super::caller::{Asking, Right};
use super::overview::works_in;
use super::{Control, ControlProblem};
use crate::model::{ClientId, EnvironmentId, EnvironmentIndex};
use crate::telemetry::Decision;

impl Control {
    /// What was decided lately about a key's requests, newest first: refusals, and of what was permitted one request a
    /// second. This node alone, since its start. Errors: `NotFound`, `NotAllowed`.
    pub fn recent_decisions(
        &self,
        asking: &Asking,
        environment: &EnvironmentId,
        id: &ClientId,
    ) -> Result<Vec<Decision>, ControlProblem> {
        asking.caller.require_in(Right::See, environment)?;
        if !self.with_environment(environment, |snapshot| works_in(snapshot, environment, id))? {
            return Err(ControlProblem::NotFound);
        }
        Ok(self.decisions.recent(self.place_of(environment)?, id))
    }

    /// What was decided about one request of the environment, if this node still remembers it.
    /// Errors: `NotFound` (no such environment), `NotAllowed`.
    pub fn find_decision(
        &self,
        asking: &Asking,
        environment: &EnvironmentId,
        request_id: &str,
    ) -> Result<Option<Decision>, ControlProblem> {
        asking.caller.require_in(Right::See, environment)?;
        Ok(self.decisions.find(self.place_of(environment)?, request_id.trim()))
    }

    /// The latest requests of an environment that were refused, or failed, with this code, newest first, as far as this
    /// node remembers them. Errors: as [`find_decision`](Self::find_decision).
    pub fn refused_lately(
        &self,
        asking: &Asking,
        environment: &EnvironmentId,
        code: &str,
        most: usize,
    ) -> Result<Vec<Decision>, ControlProblem> {
        asking.caller.require_in(Right::See, environment)?;
        Ok(self.decisions.refused(self.place_of(environment)?, code, most))
    }

    fn place_of(&self, environment: &EnvironmentId) -> Result<EnvironmentIndex, ControlProblem> {
        let place = self.with_environment(environment, |snapshot| {
            snapshot.environment(environment).map(|table| table.policy.index)
        })?;
        place.ok_or(ControlProblem::NotFound)
    }
}
