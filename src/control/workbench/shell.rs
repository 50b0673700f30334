//! What stands around every page: the menu as far as its reader may go, where they are, who they are.

use super::visit::Visit;
use super::{Bench, Workbench};
use crate::control::api::Refusal;
use crate::control::{Asking, Caller, Right};
use crate::model::{EnvironmentId, Identifier, MemberRole};

/// The most organizations in the menu; the page of all of them lists the rest.
const MAX_CHOICES: usize = 30;

/// A page's entry in the menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Account,
    Audit,
    BaseUrls,
    Find,
    Keys,
    Members,
    Nowhere,
    Overview,
    Settings,
}

impl Section {
    const fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Audit => "audit",
            Self::BaseUrls => "base-urls",
            Self::Find => "find",
            Self::Keys => "keys",
            Self::Members => "members",
            Self::Nowhere => "",
            Self::Overview => "overview",
            Self::Settings => "settings",
        }
    }
}

/// What stands around a page.
pub(super) struct Shell {
    pub(super) title: String,
    pub(super) section: Section,
    pub(super) style: String,
    pub(super) script: String,
    pub(super) htmx: String,
    pub(super) icon: String,
    /// What every form of the page carries; empty where nobody is signed in.
    pub(super) csrf: String,
    /// Who is signed in; empty where nobody is.
    pub(super) who: String,
    /// The organizations to choose from.
    pub(super) organizations: Vec<Choice>,
    pub(super) here: Option<Here>,
}

/// Something to choose.
pub(super) struct Choice {
    pub(super) name: String,
    pub(super) href: String,
    pub(super) current: bool,
}

/// The organization that a page is about, and what its reader may do there.
pub(super) struct Here {
    /// Its name for people.
    pub(super) name: String,
    /// `/o/acme`.
    pub(super) base: String,
    /// `/o/acme/e/production`; the first environment where the page is about none. Empty where there is none.
    pub(super) environment_base: String,
    pub(super) environment: String,
    pub(super) environments: Vec<Choice>,
    /// `Owner`, `Operator`, ...
    pub(super) role: &'static str,
    pub(super) sees: bool,
    pub(super) changes_keys: bool,
    pub(super) manages: bool,
}

impl Shell {
    /// Around pages for nobody in particular.
    pub(super) fn bare(bench: &Workbench) -> Self {
        let assets = &bench.assets;
        Self {
            title: String::new(),
            section: Section::Nowhere,
            style: assets.style.path.clone(),
            script: assets.script.path.clone(),
            htmx: assets.htmx.path.clone(),
            icon: assets.icon.path.clone(),
            csrf: String::new(),
            who: String::new(),
            organizations: vec![],
            here: None,
        }
    }

    /// Around a page for whoever asks. What cannot be told at the moment is left out of the menu.
    pub(super) async fn around(
        bench: &Bench,
        asking: &Asking,
        csrf: &str,
        place: Option<(Identifier, Option<Identifier>)>,
    ) -> Self {
        let all = bench.control.list_organizations(&asking.caller).await.unwrap_or_default();
        let choice = |facts: &crate::control::OrganizationFacts| Choice {
            name: facts.name.clone(),
            href: format!("/o/{}", facts.id),
            current: place.as_ref().is_some_and(|(id, _)| *id == facts.id),
        };
        let organizations = all.iter().take(MAX_CHOICES).map(choice).collect();
        let here = place.as_ref().and_then(|(id, environment)| {
            let facts = all.iter().find(|facts| facts.id == *id)?;
            Some(Here::new(bench, asking, id, &facts.name, environment.as_ref()))
        });
        Self {
            csrf: csrf.to_owned(),
            who: match &asking.caller {
                Caller::Member(member) => member.email.clone(),
                Caller::Key(_) | Caller::Operator => asking.caller.actor().label().to_owned(),
            },
            organizations,
            here,
            ..Self::bare(bench)
        }
    }

    pub(super) fn titled(mut self, title: &str) -> Self {
        title.clone_into(&mut self.title);
        self
    }

    /// Whether the page belongs to the entry of that name.
    pub(super) fn is(&self, name: &str) -> bool {
        self.section.name() == name
    }
}

impl Here {
    fn new(bench: &Workbench, asking: &Asking, id: &Identifier, name: &str, environment: Option<&Identifier>) -> Self {
        let snapshot = bench.control.tables.load();
        let names: Vec<Identifier> =
            snapshot.environments_of(id).map(|table| table.policy.id.environment.clone()).collect();
        let current = environment.filter(|wanted| names.contains(wanted)).or_else(|| names.first()).cloned();
        let base = format!("/o/{id}");
        let may = |right| asking.caller.require(right, id).is_ok();
        let environments = names.iter().map(|known| Choice {
            name: known.to_string(),
            href: format!("{base}/e/{known}/overview"),
            current: current.as_ref() == Some(known),
        });
        Self {
            name: name.to_owned(),
            environment_base: current.as_ref().map_or_else(String::new, |known| format!("{base}/e/{known}")),
            environment: current.as_ref().map_or_else(String::new, ToString::to_string),
            environments: environments.take(MAX_CHOICES).collect(),
            base,
            role: asking.caller.role(id).map_or("Operator", role_word),
            sees: may(Right::See),
            changes_keys: may(Right::ChangeKeys),
            manages: may(Right::Manage),
        }
    }
}

/// A role for people.
pub(super) const fn role_word(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Admin => "Admin",
        MemberRole::Editor => "Editor",
        MemberRole::None => "No access",
        MemberRole::Owner => "Owner",
        MemberRole::Viewer => "Viewer",
    }
}

impl Visit {
    /// Around a page of an environment.
    pub(super) async fn shell_in(&self, environment: &EnvironmentId, section: Section, title: &str) -> Shell {
        let place = (environment.organization.clone(), Some(environment.environment.clone()));
        self.around(Some(place), section, title).await
    }

    /// Around a page of an organization.
    pub(super) async fn shell_of(&self, organization: &Identifier, section: Section, title: &str) -> Shell {
        self.around(Some((organization.clone(), None)), section, title).await
    }

    /// Around a page of nobody's but the reader's.
    pub(super) async fn shell(&self, section: Section, title: &str) -> Shell {
        self.around(None, section, title).await
    }

    async fn around(&self, place: Option<(Identifier, Option<Identifier>)>, section: Section, title: &str) -> Shell {
        let shell = Shell::around(&self.bench, &self.asking, &self.csrf, place).await;
        Shell { section, ..shell.titled(title) }
    }

    /// The environment of the path, where it is there and the caller sees it. Errors: `NotFound`, `NotAllowed`.
    pub(super) fn environment(&self) -> Result<EnvironmentId, Refusal> {
        let environment = self.place.environment()?;
        self.asking.caller.require_in(Right::See, &environment)?;
        let known = self.control().tables.load().environment(&environment).is_some();
        if known { Ok(environment) } else { Err(Refusal::not_found()) }
    }

    /// The same for a right that changes something.
    pub(super) fn environment_for(&self, right: Right) -> Result<EnvironmentId, Refusal> {
        let environment = self.environment()?;
        self.asking.caller.require_in(right, &environment)?;
        Ok(environment)
    }
}
