//! Organizations: what files say of them and what was set here, as one; and the policies that bind their keys.

use super::caller::{Asking, Caller, Right};
use super::field::FieldErrors;
use super::{Control, ControlProblem};
use crate::model::{Identifier, ManagedBy, Organization, Revision, is_name};
use crate::store::{Exceeding, OrganizationChange, StoredOrganization};
use std::sync::Arc;
use std::time::Duration;

/// The longest life that a policy can set: beyond it every RFC 3339 instant is allowed anyway.
const MAX_LIFETIME: Duration = Duration::from_secs(100 * 365 * 86_400);

/// What binds the keys of an organization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// Whether new legacy keys are refused.
    pub block_legacy_keys: bool,
    /// The longest life a key may be given, in whole seconds.
    pub max_key_lifetime: Option<Duration>,
    /// The revision of what was set here.
    pub revision: Revision,
}

/// An organization as files and store describe it together. The file wins.
#[derive(Clone, Debug)]
pub struct OrganizationFacts {
    /// Its id.
    pub id: Identifier,
    /// Its name for people.
    pub name: String,
    /// Who describes it.
    pub managed_by: ManagedBy,
    /// What binds its keys.
    pub policies: Policies,
    /// The policies that a file sets, by name: they cannot be changed here.
    pub set_by_file: Vec<&'static str>,
}

/// A change to an organization, as it was asked for.
#[derive(Clone, Debug, Default)]
pub struct OrganizationDraft {
    /// The new name.
    pub name: Option<String>,
    /// Whether new legacy keys are refused; `Some(None)` takes the policy away.
    pub block_legacy_keys: Option<Option<bool>>,
    /// The longest life of a key, such as `90d`; `Some(None)` takes the policy away.
    pub max_key_lifetime: Option<Option<String>>,
}

impl OrganizationFacts {
    fn new(file: Option<&Organization>, stored: StoredOrganization) -> Self {
        let by_file = |policy: bool| policy.then_some(());
        let block = file.and_then(|file| file.block_legacy_keys);
        let longest = file.and_then(|file| file.max_key_lifetime);
        let set_by_file = [
            by_file(block.is_some()).map(|()| "block_legacy_keys"),
            by_file(longest.is_some()).map(|()| "max_key_lifetime"),
        ];
        let name = file.map(|file| file.name.clone()).or(stored.name);
        Self {
            name: name.unwrap_or_else(|| stored.id.to_string()),
            id: stored.id,
            managed_by: if file.is_some() { ManagedBy::File } else { ManagedBy::Api },
            policies: Policies {
                block_legacy_keys: block.or(stored.block_legacy_keys).unwrap_or_default(),
                max_key_lifetime: longest.or(stored.max_key_lifetime),
                revision: stored.revision,
            },
            set_by_file: set_by_file.into_iter().flatten().collect(),
        }
    }
}

impl Control {
    /// The organizations that the caller has a part in, in the order of the files, then those made here.
    pub async fn list_organizations(&self, caller: &Caller) -> Result<Vec<OrganizationFacts>, ControlProblem> {
        let stored = self.store.organizations().await?;
        let snapshot = self.tables.load_full();
        let of_files = snapshot.organizations();
        let known = |id: &Identifier| stored.iter().find(|stored| stored.id == *id).cloned();
        let described = of_files.iter().map(|file| {
            let stored = known(&file.id).unwrap_or_else(|| StoredOrganization::untouched(file.id.clone()));
            OrganizationFacts::new(Some(file), stored)
        });
        let described: Vec<OrganizationFacts> = described.collect();
        let is_described = |id: &Identifier| of_files.iter().any(|file| file.id == *id);
        let made = stored.into_iter().filter(|stored| stored.made_here && !is_described(&stored.id));
        let all = described.into_iter().chain(made.map(|stored| OrganizationFacts::new(None, stored)));
        Ok(all.filter(|facts| caller.sees(&facts.id)).collect())
    }

    /// One organization. Errors: `NotFound`, `NotAllowed`, `Unavailable`, `Fault`.
    pub async fn organization(&self, asking: &Asking, id: &Identifier) -> Result<OrganizationFacts, ControlProblem> {
        asking.caller.require(Right::See, id)?;
        self.organization_facts(id).await
    }

    /// How many live keys of it the policies would refuse if they were made now: none is touched by a policy.
    pub async fn exceeding(&self, facts: &OrganizationFacts) -> Result<Exceeding, ControlProblem> {
        let Policies { block_legacy_keys, max_key_lifetime, .. } = facts.policies;
        let counted = self.count_exceeding(&facts.id, vec![max_key_lifetime]).await?;
        let Exceeding { legacy, lifetime } = counted.into_iter().next().ok_or(ControlProblem::Fault)?;
        Ok(Exceeding { legacy: if block_legacy_keys { legacy } else { 0 }, lifetime })
    }

    async fn count_exceeding(
        &self,
        id: &Identifier,
        longest: Vec<Option<Duration>>,
    ) -> Result<Vec<Exceeding>, ControlProblem> {
        let turn = self.scans.turn(id).await?;
        let (store, id, now) = (Arc::clone(&self.store), id.clone(), self.now());
        turn.read(async move { store.count_exceeding(&id, &longest, now).await }).await
    }

    /// How many live keys of it each policy of these drafts would refuse if they were made now, whether or not it is in
    /// force: what a policy would touch, before it is set. With one look at the keys, in the order of the drafts.
    /// Errors: `NotFound`, `NotAllowed`, `Invalid`, `Busy`, `Unavailable`, `Fault`.
    pub async fn would_exceed(
        &self,
        asking: &Asking,
        id: &Identifier,
        drafts: Vec<OrganizationDraft>,
    ) -> Result<Vec<Exceeding>, ControlProblem> {
        asking.caller.require(Right::Manage, id)?;
        let facts = self.organization_facts(id).await?;
        let longest = drafts.into_iter().map(|draft| {
            let change = judge(draft, FieldErrors::default())?;
            Ok(change.max_key_lifetime.unwrap_or(facts.policies.max_key_lifetime))
        });
        self.count_exceeding(id, longest.collect::<Result<_, ControlProblem>>()?).await
    }

    /// Changes name and policies. `found` is what reading the draft found wrong already.
    /// Errors: `NotFound`, `NotAllowed`, `Invalid`, `ManagedByFile`, `RevisionMismatch`, `Unavailable`, `Fault`.
    pub async fn edit_organization(
        &self,
        asking: &Asking,
        id: &Identifier,
        draft: OrganizationDraft,
        found: FieldErrors,
        expected: Option<Revision>,
    ) -> Result<OrganizationFacts, ControlProblem> {
        asking.caller.require(Right::Manage, id)?;
        let current = self.organization_facts(id).await?;
        let touches_file = (draft.name.is_some() && current.managed_by == ManagedBy::File)
            || (draft.block_legacy_keys.is_some() && current.set_by_file.contains(&"block_legacy_keys"))
            || (draft.max_key_lifetime.is_some() && current.set_by_file.contains(&"max_key_lifetime"));
        let change = judge(draft, found)?;
        if touches_file {
            return Err(ControlProblem::ManagedByFile);
        }
        self.write_organization(asking, id, change, expected).await
    }

    /// Makes an organization that no file describes, or names it anew; whether it was made just now. For operators.
    /// Errors: `NotAllowed`, `Invalid`, `ManagedByFile`, `RevisionMismatch`, `Unavailable`, `Fault`.
    pub async fn put_organization(
        &self,
        asking: &Asking,
        id: &Identifier,
        draft: OrganizationDraft,
        found: FieldErrors,
        expected: Option<Revision>,
    ) -> Result<(OrganizationFacts, bool), ControlProblem> {
        asking.caller.require_operator()?;
        let change = OrganizationChange { make: true, ..judge(draft, found)? };
        if self.tables.load().organizations().iter().any(|file| file.id == *id) {
            return Err(ControlProblem::ManagedByFile);
        }
        let made = !self.store.organization(id).await?.made_here;
        Ok((self.write_organization(asking, id, change, expected).await?, made))
    }

    async fn write_organization(
        &self,
        asking: &Asking,
        id: &Identifier,
        change: OrganizationChange,
        expected: Option<Revision>,
    ) -> Result<OrganizationFacts, ControlProblem> {
        self.store.change_organization(id, &change, expected, &asking.act).await?;
        self.organization_facts(id).await
    }

    /// What is known of an organization, whoever asks.
    pub(super) async fn organization_facts(&self, id: &Identifier) -> Result<OrganizationFacts, ControlProblem> {
        let stored = self.store.organization(id).await?;
        let snapshot = self.tables.load();
        let file = snapshot.organizations().iter().find(|known| known.id == *id);
        if file.is_none() && !stored.made_here {
            return Err(ControlProblem::NotFound);
        }
        Ok(OrganizationFacts::new(file, stored))
    }
}

fn judge(draft: OrganizationDraft, mut errors: FieldErrors) -> Result<OrganizationChange, FieldErrors> {
    let OrganizationDraft { name, block_legacy_keys, max_key_lifetime } = draft;
    let name = name.map(|name| name.trim().to_owned());
    if let Some(name) = &name
        && !is_name(name)
    {
        errors.add("/name", "name_invalid", "a name has 1 to 100 characters, all of which can be seen");
    }
    let max_key_lifetime = max_key_lifetime.map(|given| given.and_then(|text| lifetime(&text, &mut errors)));
    errors.or(Some(OrganizationChange { make: false, name, block_legacy_keys, max_key_lifetime }))
}

/// Whole seconds, at least one.
fn lifetime(text: &str, errors: &mut FieldErrors) -> Option<Duration> {
    const POINTER: &str = "/policies/max_key_lifetime";
    match humantime::parse_duration(text) {
        Ok(longest) if longest.subsec_nanos() == 0 && !longest.is_zero() && longest <= MAX_LIFETIME => Some(longest),
        Ok(_) => {
            errors.add(POINTER, "lifetime_invalid", "a lifetime is 1 second to 100 years, in whole seconds");
            None
        }
        Err(_) => {
            let message = "this is not a duration such as `90d` or `12h`; null takes the policy away";
            errors.add(POINTER, "lifetime_invalid", message);
            None
        }
    }
}

/// A duration in the largest unit that divides it, as configuration files write it: `90d`, `36h`, `90s`.
pub fn lifetime_text(longest: Duration) -> String {
    let (count, unit) = largest_unit(longest);
    format!("{count}{}", unit.get(..1).unwrap_or_default())
}

/// The same in words: humantime would call 90 days two months and some.
pub(super) fn lifetime_words(longest: Duration) -> String {
    let (count, unit) = largest_unit(longest);
    format!("{count} {unit}")
}

fn largest_unit(longest: Duration) -> (u64, &'static str) {
    let seconds = longest.as_secs();
    let units = [(86_400, "days"), (3600, "hours"), (60, "minutes")];
    let unit = units.into_iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    let (unit, name) = unit.unwrap_or((1, "seconds"));
    (seconds / unit, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_round_trip() {
        for text in ["90d", "36h", "90m", "61s", "1d"] {
            let longest = humantime::parse_duration(text).unwrap();
            assert_eq!(lifetime_text(longest), text);
        }
        assert_eq!(lifetime_words(Duration::from_secs(90 * 86_400)), "90 days");
    }
}
