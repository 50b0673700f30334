//! The part of a form that says from where a key may be used, and the verdict on it, line by line.

use super::answer::page;
use super::form::Form;
use super::visit::Visit;
use super::words::{number, sentence};
use crate::control::api::Refusal;
use crate::control::{AllowlistDraft, FieldErrors, Right};
use crate::model::{Allowlist, ApiKey, Network, NetworkError, quoted};
use crate::tables::EnvironmentTable;
use askama::Template;
use axum::response::Response;
use std::collections::HashMap;

/// The most lines that are told one by one; beyond it those that are wrong.
const MOST_TOLD: usize = 1000;
/// Up to so many lines are compared with each other.
const MOST_COMPARED: usize = 2000;

/// What is to be said of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) line: usize,
    pub(super) text: String,
    /// `ok`, `warn` or `bad`.
    pub(super) kind: &'static str,
    pub(super) note: String,
    /// What could stand there instead; empty where nothing is known.
    pub(super) proposed: String,
}

/// The part of the form.
pub(super) struct AddressesPart {
    /// Where the verdict is asked for.
    pub(super) judge: String,
    /// Whether "as it is" is to be chosen.
    pub(super) may_keep: bool,
    /// `keep`, `any` or `only`.
    pub(super) chosen: String,
    pub(super) networks: String,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) untold: usize,
    pub(super) my_address: String,
    pub(super) platform: bool,
    pub(super) platform_label: String,
    pub(super) platform_networks: Vec<String>,
    pub(super) errors: Vec<String>,
}

/// The verdict alone, for whoever types.
#[derive(Template)]
#[template(path = "allowlist_verdict.html")]
struct VerdictPage {
    addresses: AddressesPart,
}

impl AddressesPart {
    /// An empty one.
    pub(super) fn new(visit: &Visit, environment: &EnvironmentTable) -> Self {
        let id = &environment.policy.id;
        let platform = &environment.platform;
        Self {
            judge: format!("/o/{}/e/{}/allowlist", id.organization, id.environment),
            may_keep: false,
            chosen: "any".to_owned(),
            networks: String::new(),
            verdicts: vec![],
            untold: 0,
            my_address: visit.asking.act.address.map_or_else(String::new, |address| Network::of(address).to_string()),
            platform: false,
            platform_label: platform.label.clone(),
            platform_networks: platform.networks.iter().take(MOST_TOLD).map(ToString::to_string).collect(),
            errors: vec![],
        }
    }

    /// With what a key has.
    pub(super) fn of_key(mut self, key: &ApiKey) -> Self {
        if let Some(list) = &key.allowlist {
            "only".clone_into(&mut self.chosen);
            self.networks = lines_of(list);
            self.platform = list.platform();
        }
        self.judged()
    }

    /// With what a form holds.
    pub(super) fn of_form(mut self, form: &Form) -> Self {
        let mut networks = form.text("networks").unwrap_or_default().to_owned();
        self.chosen = chosen(form).to_owned();
        if form.text("step") == Some("my_address") && !self.my_address.is_empty() {
            if !networks.is_empty() && !networks.ends_with('\n') {
                networks.push('\n');
            }
            networks.push_str(&self.my_address);
            "only".clone_into(&mut self.chosen);
        }
        self.networks = networks;
        self.platform = form.has("platform");
        self.judged()
    }

    fn judged(mut self) -> Self {
        (self.verdicts, self.untold) = judge(&self.networks);
        self
    }
}

/// A list as people write it, one entry a line.
fn lines_of(list: &Allowlist) -> String {
    list.networks().iter().map(|network| format!("{network}\n")).collect()
}

/// What was chosen; a form that says nothing is about the list it holds.
fn chosen(form: &Form) -> &str {
    form.text("addresses").unwrap_or("only")
}

/// The lines that hold anything, with their numbers.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(at, line)| (at.saturating_add(1), line.trim()));
    numbered.filter(|(_, line)| !line.is_empty())
}

/// What a form asks for: `None` keeps what is there. "Any address" beside a list that is not empty is no choice that
/// anybody made: one of the two was forgotten, and the key must not be open for that.
pub(super) fn draft(form: &Form, errors: &mut FieldErrors) -> Option<Option<AllowlistDraft>> {
    let networks: Vec<String> =
        lines(form.text("networks").unwrap_or_default()).map(|(_, line)| line.to_owned()).collect();
    let list = AllowlistDraft { networks, platform: form.has("platform") };
    match chosen(form) {
        "keep" => None,
        "any" if list.networks.is_empty() && !list.platform => Some(None),
        "any" => {
            let message =
                "any address is chosen, and there is a list as well: choose only these addresses, or empty it";
            errors.add("/allowlist", "allowlist_unclear", message);
            Some(Some(list))
        }
        _ => Some(Some(list)),
    }
}

/// A verdict on each line, and how many are not told.
pub(super) fn judge(text: &str) -> (Vec<Verdict>, usize) {
    let parsed: Vec<(usize, &str, Result<Network, NetworkError>)> =
        lines(text).map(|(line, text)| (line, text, Network::parse(text))).collect();
    let compared = parsed.len() <= MOST_COMPARED;
    let mut first: HashMap<String, usize> = HashMap::new();
    let mut told = vec![];
    let mut untold: usize = 0;
    for (line, text, network) in &parsed {
        if told.len() >= MOST_TOLD {
            untold = untold.saturating_add(1);
            continue;
        }
        let verdict = match network {
            Ok(network) => sound(network, *line, &mut first, if compared { &parsed } else { &[] }),
            Err(error) => wrong(error),
        };
        let (kind, note, proposed) = verdict;
        told.push(Verdict { line: *line, text: quoted(text), kind, note, proposed });
    }
    (told, untold)
}

type Parsed<'a> = (usize, &'a str, Result<Network, NetworkError>);

fn sound(
    network: &Network,
    line: usize,
    first: &mut HashMap<String, usize>,
    others: &[Parsed<'_>],
) -> (&'static str, String, String) {
    if let Some(known) = first.insert(network.to_string(), line) {
        first.insert(network.to_string(), known);
        return ("warn", format!("The same as line {known}."), String::new());
    }
    let wider = others.iter().find_map(|(number, _, other)| {
        let other = other.as_ref().ok()?;
        (other != network && other.covers(network)).then_some(number)
    });
    let size = size(network);
    match wider {
        Some(wider) => ("warn", format!("{size}; lies within line {wider}."), String::new()),
        None if network.prefix().0 == 0 => ("warn", format!("{size}: this is any address of its kind."), String::new()),
        None => ("ok", format!("{size}."), String::new()),
    }
}

/// `256 addresses`; networks of IPv6 are told by their prefix.
fn size(network: &Network) -> String {
    let (shared, of) = network.prefix();
    let free = u32::from(of.saturating_sub(shared));
    match free {
        0 => "1 address".to_owned(),
        1..=32 => format!("{} addresses", number(1_u64 << free)),
        _ => format!("2^{free} addresses"),
    }
}

fn wrong(error: &NetworkError) -> (&'static str, String, String) {
    let proposed = match error {
        NetworkError::HostBits { proposed, .. } => proposed.to_string(),
        NetworkError::Malformed { .. } => String::new(),
    };
    ("bad", sentence(&error.to_string()), proposed)
}

/// Judges what somebody types.
pub(super) async fn verdict(visit: Visit) -> Result<Response, Refusal> {
    let id = visit.environment_for(Right::ChangeKeys)?;
    let snapshot = visit.control().tables.load_full();
    let environment = snapshot.environment(&id).ok_or_else(Refusal::not_found)?;
    page(&VerdictPage { addresses: AddressesPart::new(&visit, environment).of_form(&visit.form) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_verdict() {
        let (verdicts, untold) = judge(
            "203.0.113.42\n\n 198.51.100.7/24 \n203.0.113.0/24\n203.0.113.42\nnonsense\n2001:db8::/32\n0.0.0.0/0",
        );
        let told: Vec<(usize, &str, &str, &str)> =
            verdicts.iter().map(|v| (v.line, v.kind, v.note.as_str(), v.proposed.as_str())).collect();
        assert_eq!(
            told,
            [
                (1, "warn", "1 address; lies within line 4.", ""),
                (3, "bad", "“198.51.100.7/24” has host bits set; did you mean “198.51.100.0/24”?", "198.51.100.0/24"),
                (4, "warn", "256 addresses; lies within line 8.", ""),
                (5, "warn", "The same as line 1.", ""),
                (
                    6,
                    "bad",
                    "“nonsense” is not an IP address or CIDR network such as “203.0.113.42” or “198.51.100.0/24”.",
                    ""
                ),
                (7, "ok", "2^96 addresses.", ""),
                (8, "warn", "4,294,967,296 addresses: this is any address of its kind.", ""),
            ]
        );
        assert_eq!(untold, 0);
    }

    #[test]
    fn a_long_list_is_told_in_part() {
        let text: String = (0..1001).map(|at| format!("10.0.{}.{}\n", at / 256, at % 256)).collect();
        let (verdicts, untold) = judge(&text);
        assert_eq!((verdicts.len(), untold), (1000, 1));
    }

    #[test]
    fn a_forgotten_choice_opens_nothing() {
        let ask = |body: &str| {
            let mut errors = FieldErrors::default();
            let draft = draft(&Form::read(body.as_bytes()), &mut errors);
            (draft.map(|draft| draft.map(|list| list.networks)), errors.is_empty())
        };
        assert_eq!(ask("addresses=any&networks="), (Some(None), true));
        assert_eq!(ask("addresses=any&networks=10.0.0.1"), (Some(Some(vec!["10.0.0.1".into()])), false));
        assert_eq!(ask("addresses=any&platform=1"), (Some(Some(vec![])), false));
        assert_eq!(ask("addresses=only"), (Some(Some(vec![])), true));
        assert_eq!(ask("networks=10.0.0.1%0A"), (Some(Some(vec!["10.0.0.1".into()])), true));
        assert_eq!(ask("addresses=keep&networks=10.0.0.1"), (None, true));
    }
}
