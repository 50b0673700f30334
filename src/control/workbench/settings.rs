//! Organization settings: its name, the two policies, and how many keys each of them would touch.

use super::answer::{page, page_with, see};
use super::entry::of_field;
use super::form::Form;
use super::shell::{Section, Shell};
use super::visit::Visit;
use super::words::{counted, sentence};
use crate::control::api::Refusal;
use crate::control::organizations::lifetime_words;
use crate::control::{
    ControlProblem, FieldError, FieldErrors, OrganizationDraft, OrganizationFacts, Right, lifetime_text,
};
use crate::model::{Identifier, ManagedBy, Revision};
use crate::store::Exceeding;
use askama::Template;
use axum::response::Response;

const LIFETIME: &str = "max_key_lifetime";
const LEGACY: &str = "block_legacy_keys";
const LIFETIME_POINTER: &str = "/policies/max_key_lifetime";
/// The lives to choose from by one click.
const LIVES: [(&str, &str); 3] = [("30d", "30 days"), ("90d", "90 days"), ("365d", "1 year")];

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    shell: Shell,
    action: String,
    name_locked: bool,
    legacy_locked: bool,
    lifetime_locked: bool,
    facts: OrganizationFacts,
    typed: Typed,
    lives: Vec<Life>,
    saved: bool,
    problem: String,
    is_overtaken: bool,
    /// What somebody else set meanwhile, where that differs from what was typed: field, theirs, typed.
    overtaken: Vec<(&'static str, String, String)>,
    errors: Vec<FieldError>,
    effects: Effects,
}

/// What the fields of the form hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Typed {
    name: String,
    block: bool,
    /// `none`, one of the lives, or `other`.
    lifetime: String,
    /// The other one: a number of days, or a number with its unit.
    days: String,
    revision: Option<Revision>,
}

/// A life to choose, and how many keys exceed it.
struct Life {
    value: &'static str,
    label: &'static str,
    exceeding: String,
}

/// How many keys the policies would touch, in words.
struct Effects {
    legacy: String,
    /// Under the policy that is in force; empty where there is none.
    now: String,
    /// Under the one that was typed; empty where that is the same, or none.
    typed: String,
    /// Why what was typed is none.
    wrong: String,
}

/// What came of a form.
#[derive(Default)]
struct Outcome {
    refusal: Option<Refusal>,
    errors: Vec<FieldError>,
    problem: String,
    overtaken: bool,
}

impl Outcome {
    fn of(problem: ControlProblem) -> Self {
        Self { refusal: Some(problem.into()), ..Self::default() }
    }
}

impl Typed {
    fn of(facts: &OrganizationFacts) -> Self {
        let longest = facts.policies.max_key_lifetime.map(lifetime_text);
        let (lifetime, days) = match longest {
            None => ("none".to_owned(), String::new()),
            Some(text) if LIVES.iter().any(|(known, _)| *known == text) => (text, String::new()),
            Some(text) => ("other".to_owned(), text.strip_suffix('d').map_or_else(|| text.clone(), str::to_owned)),
        };
        Self {
            name: facts.name.clone(),
            block: facts.policies.block_legacy_keys,
            lifetime,
            days,
            revision: Some(facts.policies.revision),
        }
    }

    /// What was sent; what a file sets is not asked for, and stays as it is.
    fn sent(form: &Form, facts: &OrganizationFacts) -> Self {
        let current = Self::of(facts);
        let is_locked = facts.set_by_file.contains(&LEGACY);
        Self {
            name: form.text("name").map_or(current.name, str::to_owned),
            block: form.has(LEGACY) || ((is_locked || !form.has("whole")) && current.block),
            lifetime: form.filled(LIFETIME).map_or(current.lifetime, str::to_owned),
            days: form.text("days").map_or(current.days, |text| text.trim().to_owned()),
            revision: Some(Revision(form.text("revision").and_then(|text| text.parse().ok()).unwrap_or_default())),
        }
    }

    fn is(&self, lifetime: &str) -> bool {
        self.lifetime == lifetime
    }

    /// The longest life as configuration files write it; `None` is any.
    fn longest(&self) -> Option<String> {
        let is_number = !self.days.is_empty() && self.days.bytes().all(|byte| byte.is_ascii_digit());
        match (self.lifetime.as_str(), is_number) {
            ("none", _) => None,
            ("other", true) => Some(format!("{}d", self.days)),
            ("other", false) => Some(self.days.clone()),
            (text, _) => Some(text.to_owned()),
        }
    }

    /// What is to become different.
    fn draft(&self, facts: &OrganizationFacts) -> OrganizationDraft {
        let longest = self.longest();
        let current = facts.policies.max_key_lifetime.map(lifetime_text);
        OrganizationDraft {
            name: (self.name.trim() != facts.name).then(|| self.name.clone()),
            block_legacy_keys: (self.block != facts.policies.block_legacy_keys).then_some(Some(self.block)),
            max_key_lifetime: (longest != current).then_some(longest),
        }
    }

    /// Where this and what is in force now differ: field, in force, typed.
    fn against(&self, facts: &OrganizationFacts) -> Vec<(&'static str, String, String)> {
        let block = |blocks: bool| if blocks { "refused" } else { "allowed" }.to_owned();
        let life = |longest: Option<String>| longest.unwrap_or_else(|| "any".to_owned());
        let rows = [
            ("Name", facts.name.clone(), self.name.trim().to_owned()),
            ("New legacy keys", block(facts.policies.block_legacy_keys), block(self.block)),
            ("Longest life", life(facts.policies.max_key_lifetime.map(lifetime_text)), life(self.longest())),
        ];
        rows.into_iter().filter(|(_, theirs, typed)| theirs != typed).collect()
    }
}

impl SettingsPage {
    fn errors_of(&self, pointer: &str) -> Vec<String> {
        of_field(&self.errors, pointer).into_iter().map(worded).collect()
    }
}

/// The API's words speak of JSON.
fn worded(message: String) -> String {
    if message.contains("null") {
        "This is no length of time: give a number of days, or one with its unit such as “36h”.".to_owned()
    } else {
        message
    }
}

pub(super) async fn show(visit: Visit) -> Result<Response, Refusal> {
    let (_, facts) = managed(&visit).await?;
    let typed = Typed::of(&facts);
    render(&visit, facts, typed, Outcome::default()).await
}

/// The organization of the path, for those who look after it.
async fn managed(visit: &Visit) -> Result<(Identifier, OrganizationFacts), Refusal> {
    let id = visit.place.organization()?;
    visit.asking.caller.require(Right::Manage, &id)?;
    let facts = visit.control().organization(&visit.asking, &id).await?;
    Ok((id, facts))
}

pub(super) async fn save(visit: Visit) -> Result<Response, Refusal> {
    let (id, facts) = managed(&visit).await?;
    let typed = Typed::sent(&visit.form, &facts);
    if visit.only_shows() {
        return render(&visit, facts, typed, Outcome::default()).await;
    }
    let saved = see(&format!("/o/{id}/settings?saved=1"));
    let draft = typed.draft(&facts);
    if draft.name.is_none() && draft.block_legacy_keys.is_none() && draft.max_key_lifetime.is_none() {
        return Ok(saved);
    }
    let expected = typed.revision;
    let edited = visit.control().edit_organization(&visit.asking, &id, draft, FieldErrors::default(), expected).await;
    let Err(problem) = edited else { return Ok(saved) };
    let outcome = match problem {
        ControlProblem::Invalid(errors) => {
            Outcome { errors: errors.clone().into_vec(), ..Outcome::of(ControlProblem::Invalid(errors)) }
        }
        ControlProblem::RevisionMismatch { .. } => Outcome { overtaken: true, ..Outcome::of(problem) },
        ControlProblem::ManagedByFile => {
            Outcome { problem: sentence(&problem.to_string()), ..Outcome::of(ControlProblem::ManagedByFile) }
        }
        problem => return Err(problem.into()),
    };
    let (_, facts) = managed(&visit).await?;
    // Sent again, it is meant.
    let typed = if outcome.overtaken { Typed { revision: Some(facts.policies.revision), ..typed } } else { typed };
    render(&visit, facts, typed, outcome).await
}

async fn render(visit: &Visit, facts: OrganizationFacts, typed: Typed, outcome: Outcome) -> Result<Response, Refusal> {
    let (lives, effects) = counts(visit, &facts, &typed).await?;
    let template = SettingsPage {
        shell: visit.shell_of(&facts.id, Section::Settings, "Organization settings").await,
        action: format!("/o/{}/settings", facts.id),
        name_locked: facts.managed_by == ManagedBy::File,
        legacy_locked: facts.set_by_file.contains(&LEGACY),
        lifetime_locked: facts.set_by_file.contains(&LIFETIME),
        lives,
        saved: visit.query.has("saved") && outcome.refusal.is_none(),
        problem: outcome.problem,
        is_overtaken: outcome.overtaken,
        overtaken: if outcome.overtaken { typed.against(&facts) } else { vec![] },
        errors: outcome.errors,
        effects,
        facts,
        typed,
    };
    match &outcome.refusal {
        Some(refusal) => page_with(refusal, &template),
        None => page(&template),
    }
}

/// How many live keys each policy would touch, with these longest lives.
async fn count(visit: &Visit, id: &Identifier, longest: Vec<Option<String>>) -> Result<Vec<Exceeding>, ControlProblem> {
    let draft = |longest| OrganizationDraft { max_key_lifetime: Some(longest), ..OrganizationDraft::default() };
    visit.control().would_exceed(&visit.asking, id, longest.into_iter().map(draft).collect()).await
}

/// The lives to choose from, with what each would touch, and what the policies touch as they are and as they were typed.
async fn counts(visit: &Visit, facts: &OrganizationFacts, typed: &Typed) -> Result<(Vec<Life>, Effects), Refusal> {
    let now = facts.policies.max_key_lifetime;
    let longest = LIVES.iter().map(|(value, _)| Some((*value).to_owned())).chain([now.map(lifetime_text)]);
    let counts = count(visit, &facts.id, longest.collect()).await?;
    let lives = LIVES.iter().zip(&counts).map(|((value, label), count)| Life {
        value,
        label,
        exceeding: match count.lifetime {
            0 => "No live key exceeds it".to_owned(),
            1 => "1 key exceeds it".to_owned(),
            keys => format!("{} exceed it", counted(keys, "key")),
        },
    });
    let current = counts.last().copied().ok_or(ControlProblem::Fault)?;
    Ok((lives.collect(), effects(visit, facts, typed, current).await?))
}

/// How many keys the policies touch, as they are (`current`) and as they were typed.
async fn effects(
    visit: &Visit,
    facts: &OrganizationFacts,
    typed: &Typed,
    current: Exceeding,
) -> Result<Effects, Refusal> {
    let now = facts.policies.max_key_lifetime;
    let Exceeding { legacy, lifetime } = current;
    let mut effects = Effects {
        legacy: legacy_words(legacy),
        now: now.map_or_else(String::new, |longest| exceeding_words(lifetime, &lifetime_words(longest))),
        typed: String::new(),
        wrong: String::new(),
    };
    let longest = typed.longest().filter(|longest| Some(longest) != now.map(lifetime_text).as_ref());
    let Some(longest) = longest.filter(|longest| !longest.is_empty()) else { return Ok(effects) };
    match count(visit, &facts.id, vec![Some(longest.clone())]).await {
        Ok(counts) => {
            let lifetime = counts.first().map_or(0, |count| count.lifetime);
            effects.typed = exceeding_words(lifetime, &longest);
        }
        Err(ControlProblem::Invalid(errors)) => {
            let messages = of_field(&errors.into_vec(), LIFETIME_POINTER);
            effects.wrong = messages.into_iter().map(worded).collect::<Vec<_>>().join(" ");
        }
        Err(problem) => return Err(problem.into()),
    }
    Ok(effects)
}

fn legacy_words(legacy: u64) -> String {
    match legacy {
        0 => "No live key is legacy.".to_owned(),
        1 => "1 live key is legacy. It keeps working either way.".to_owned(),
        keys => format!("{} are legacy. They keep working either way.", counted(keys, "live key")),
    }
}

fn exceeding_words(keys: u64, longest: &str) -> String {
    match keys {
        0 => format!("No live key has a longer life than {longest}."),
        1 => {
            format!("1 live key has a longer life than {longest}, or no end. It goes on as it is until it is rotated.")
        }
        keys => {
            let keys = counted(keys, "live key");
            format!(
                "{keys} have a longer life than {longest}, or no end. They go on as they are until they are rotated."
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_chosen_or_typed() {
        for (lifetime, days, longest) in [
            ("none", "5", None),
            ("90d", "5", Some("90d")),
            ("other", "180", Some("180d")),
            ("other", "36h", Some("36h")),
            ("other", "", Some("")),
            ("soon", "", Some("soon")),
        ] {
            let (lifetime, days) = (lifetime.to_owned(), days.to_owned());
            let typed = Typed { name: String::new(), block: false, lifetime, days, revision: None };
            assert_eq!(typed.longest().as_deref(), longest);
        }
    }
}
