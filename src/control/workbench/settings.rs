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
const UNITS: [(&str, &str); 4] = [("d", "days"), ("h", "hours"), ("m", "minutes"), ("s", "seconds")];

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
    units: Vec<(&'static str, &'static str, bool)>,
    saved: bool,
    problem: String,
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
    /// A number, or a number with its unit.
    lifetime: String,
    unit: String,
    revision: Option<Revision>,
}

/// How many keys the policies would touch, in words.
struct Effects {
    legacy: String,
    /// As the policy is now; empty where there is none.
    lifetime_now: String,
    /// As it was typed; empty where nothing else was.
    lifetime_typed: String,
    /// Why what was typed is none.
    lifetime_wrong: String,
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
        let mut typed = Self {
            name: facts.name.clone(),
            block: facts.policies.block_legacy_keys,
            lifetime: String::new(),
            unit: "d".to_owned(),
            revision: Some(facts.policies.revision),
        };
        if let Some(longest) = facts.policies.max_key_lifetime {
            typed.lifetime = lifetime_text(longest);
            typed.unit = typed.lifetime.pop().map_or_else(String::new, String::from);
        }
        typed
    }

    /// What was sent; what a file sets is not asked for, and stays as it is.
    fn sent(form: &Form, facts: &OrganizationFacts) -> Self {
        let current = Self::of(facts);
        let locked = |policy: &&str| facts.set_by_file.contains(policy);
        let unit = form.text("unit").filter(|unit| UNITS.iter().any(|(known, _)| known == unit));
        Self {
            name: form.text("name").map_or(current.name, str::to_owned),
            block: if locked(&LEGACY) { current.block || form.has(LEGACY) } else { form.has(LEGACY) },
            lifetime: form.text(LIFETIME).map_or(current.lifetime, |text| text.trim().to_owned()),
            unit: unit.map_or(current.unit, str::to_owned),
            revision: form.text("revision").and_then(|text| text.parse().ok()).map(Revision).or(current.revision),
        }
    }

    /// The longest life as configuration files write it; `None` is any.
    fn longest(&self) -> Option<String> {
        let is_number = self.lifetime.bytes().all(|byte| byte.is_ascii_digit());
        match (self.lifetime.is_empty(), is_number) {
            (true, _) => None,
            (false, true) => Some(format!("{}{}", self.lifetime, self.unit)),
            (false, false) => Some(self.lifetime.clone()),
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
        "This is not a length of time: give a number and choose its unit, or leave it empty.".to_owned()
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
    let template = SettingsPage {
        shell: visit.shell_of(&facts.id, Section::Settings, "Organization settings").await,
        action: format!("/o/{}/settings", facts.id),
        name_locked: facts.managed_by == ManagedBy::File,
        legacy_locked: facts.set_by_file.contains(&LEGACY),
        lifetime_locked: facts.set_by_file.contains(&LIFETIME),
        units: UNITS.iter().map(|(unit, words)| (*unit, *words, *unit == typed.unit)).collect(),
        saved: visit.query.has("saved") && outcome.refusal.is_none(),
        problem: outcome.problem,
        overtaken: if outcome.overtaken { typed.against(&facts) } else { vec![] },
        errors: outcome.errors,
        effects: effects(visit, &facts, &typed).await?,
        facts,
        typed,
    };
    match &outcome.refusal {
        Some(refusal) => page_with(refusal, &template),
        None => page(&template),
    }
}

/// How many keys the policies touch, as they are and as they were typed.
async fn effects(visit: &Visit, facts: &OrganizationFacts, typed: &Typed) -> Result<Effects, Refusal> {
    let under = |longest: Option<String>| {
        let draft = OrganizationDraft { max_key_lifetime: Some(longest), ..OrganizationDraft::default() };
        visit.control().would_exceed(&visit.asking, &facts.id, draft)
    };
    let now = facts.policies.max_key_lifetime;
    let Exceeding { legacy, lifetime } = under(now.map(lifetime_text)).await?;
    let mut effects = Effects {
        legacy: legacy_words(legacy, typed.block),
        lifetime_now: now.map_or_else(String::new, |longest| exceeding_words(lifetime, &lifetime_words(longest))),
        lifetime_typed: String::new(),
        lifetime_wrong: String::new(),
    };
    if let Some(longest) = typed.longest().filter(|longest| Some(longest) != now.map(lifetime_text).as_ref()) {
        match under(Some(longest.clone())).await {
            Ok(counts) => effects.lifetime_typed = exceeding_words(counts.lifetime, &longest),
            Err(ControlProblem::Invalid(errors)) => {
                let messages = of_field(&errors.into_vec(), LIFETIME_POINTER);
                effects.lifetime_wrong = messages.into_iter().map(worded).collect::<Vec<_>>().join(" ");
            }
            Err(problem) => return Err(problem.into()),
        }
    }
    Ok(effects)
}

fn legacy_words(legacy: u64, blocked: bool) -> String {
    let keys = counted(legacy, "live legacy key");
    let go = if legacy == 1 { "goes" } else { "go" };
    match (legacy, blocked) {
        (0, _) => "No live key is a legacy key.".to_owned(),
        (_, true) => format!("{keys} {go} on working; no new one can be made."),
        (_, false) => format!("{keys}. If new ones were refused, nothing would happen to what is there."),
    }
}

fn exceeding_words(keys: u64, longest: &str) -> String {
    let have = if keys == 1 { "has" } else { "have" };
    match keys {
        0 => format!("At most {longest}: no live key has a longer life."),
        _ => format!(
            "At most {longest}: {} {have} a longer life, or no end. Nothing happens to {} until the next rotation.",
            counted(keys, "live key"),
            if keys == 1 { "it" } else { "them" }
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(lifetime: &str, unit: &str) -> Option<String> {
        let (lifetime, unit) = (lifetime.to_owned(), unit.to_owned());
        Typed { name: String::new(), block: false, lifetime, unit, revision: None }.longest()
    }

    #[test]
    fn a_life_is_typed_with_its_unit_or_beside_it() {
        assert_eq!(typed("90", "d").as_deref(), Some("90d"));
        assert_eq!(typed("36h", "d").as_deref(), Some("36h"));
        assert_eq!(typed("", "d"), None);
        assert_eq!(typed("soon", "d").as_deref(), Some("soon"));
    }
}
