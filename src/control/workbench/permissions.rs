//! The part of a form that says what a key may do: presets, and every permission by its group.

use super::form::Form;
use super::visit::Visit;
use super::words::sentence;
use crate::catalogue::AccessClass;
use crate::control::api::Refusal;
use crate::control::{Caller, FieldErrors, PickedRequest, Right};
use crate::model::{EnvironmentId, ManagementPermission, Permission, Preset, quoted};
use crate::tables::EnvironmentTable;
use std::collections::{BTreeSet, HashMap, HashSet};

/// What the permissions over Portcullis itself are grouped under.
const OWN_GROUP: &str = "Portcullis itself";
/// What stands before a group's name in a form, by whose permissions it holds: a document may name its groups as it likes.
const OF_API: &str = "api ";
const OF_PORTCULLIS: &str = "portcullis ";

/// The part of the form.
pub(super) struct PermissionsPart {
    /// Where the form goes.
    pub(super) action: String,
    pub(super) presets: Vec<PresetRow>,
    pub(super) own_choice: bool,
    pub(super) groups: Vec<GroupRow>,
    pub(super) total: usize,
    pub(super) chosen: usize,
    /// Whether the boxes are shown filled in, from what was sent or from a key.
    pub(super) seen: bool,
    /// The preset that the boxes are filled in from; empty where it is none.
    pub(super) taken: String,
    pub(super) requests: String,
    pub(super) picked: Vec<PickedRow>,
    pub(super) errors: Vec<String>,
}

/// A preset to start from.
pub(super) struct PresetRow {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) size: usize,
    pub(super) checked: bool,
}

/// Permissions of one group.
pub(super) struct GroupRow {
    pub(super) name: String,
    /// What the form calls it.
    pub(super) value: String,
    pub(super) chosen: usize,
    pub(super) rows: Vec<PermissionRow>,
}

/// One permission.
pub(super) struct PermissionRow {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) summary: String,
    /// Methods and paths, for whoever wants to know.
    pub(super) operations: String,
    /// `read`, `write` or `delete`.
    pub(super) access: &'static str,
    pub(super) access_word: &'static str,
    /// Over Portcullis itself, not of the API.
    pub(super) own: bool,
    /// The presets it belongs to, by index.
    pub(super) presets: String,
    pub(super) checked: bool,
}

/// What was found out about a request that somebody makes.
pub(super) struct PickedRow {
    pub(super) line: usize,
    pub(super) text: String,
    /// `ok` or `bad`.
    pub(super) kind: &'static str,
    pub(super) note: String,
}

impl PermissionsPart {
    /// Everything that a key of the environment can hold, as far as the caller may give it; these are chosen.
    pub(super) fn new(action: &str, environment: &EnvironmentTable, caller: &Caller, chosen: &HashSet<String>) -> Self {
        let presets = environment.presets();
        let memberships = memberships(&presets);
        let may_manage = caller.require(Right::ChangeManagementKeys, &environment.policy.id.organization).is_ok();
        let mut groups = Groups::new(&memberships, chosen);
        for permission in environment.catalogue.permissions().iter() {
            groups.add(permission);
        }
        if may_manage {
            groups.add_own();
        }
        let Groups { rows: groups, .. } = groups;
        let of_api = |row: &&PermissionRow| !row.own;
        let rows = || groups.iter().flat_map(|group| &group.rows).filter(of_api);
        let (total, ticked) = (rows().count(), rows().filter(|row| row.checked).count());
        let preset_rows = presets.iter().enumerate().map(|(index, preset)| PresetRow {
            index,
            name: preset.name.clone(),
            size: preset.permissions.len(),
            checked: false,
        });
        Self {
            action: action.to_owned(),
            presets: preset_rows.collect(),
            own_choice: true,
            seen: !chosen.is_empty(),
            taken: String::new(),
            chosen: ticked,
            groups,
            total,
            requests: String::new(),
            picked: vec![],
            errors: vec![],
        }
    }

    /// Marks the preset, where the selection is still what it holds.
    pub(super) fn started_from(mut self, preset: &str) -> Self {
        for row in &mut self.presets {
            row.checked = row.name == preset && is_selected(&self.groups, row.index);
        }
        let taken = self.presets.iter().find(|row| row.checked);
        self.taken = taken.map(|row| row.name.clone()).unwrap_or_default();
        self.own_choice = self.taken.is_empty();
        self
    }
}

/// Whether exactly the permissions of a preset are chosen.
fn is_selected(groups: &[GroupRow], preset: usize) -> bool {
    let preset = preset.to_string();
    let mut rows = groups.iter().flat_map(|group| &group.rows);
    rows.all(|row| row.checked == row.presets.split(' ').any(|index| index == preset))
}

/// Permissions as they are put into groups, in the order of the document.
struct Groups<'a> {
    memberships: &'a HashMap<String, String>,
    chosen: &'a HashSet<String>,
    rows: Vec<GroupRow>,
    places: HashMap<String, usize>,
    next: usize,
}

impl<'a> Groups<'a> {
    fn new(memberships: &'a HashMap<String, String>, chosen: &'a HashSet<String>) -> Self {
        Self { memberships, chosen, rows: vec![], places: HashMap::new(), next: 0 }
    }

    fn add(&mut self, permission: &Permission) {
        let class = AccessClass::of(permission);
        let operations: Vec<String> = permission.operations.iter().map(|it| it.pattern.to_string()).collect();
        let group = if permission.group.is_empty() { "Permissions" } else { permission.group.as_str() };
        self.put((OF_API, group), permission.name.as_str(), &permission.summary, operations.join("\n"), class);
    }

    fn add_own(&mut self) {
        for permission in ManagementPermission::ALL {
            let (summary, class) = match permission {
                ManagementPermission::KeysEdit => ("Make, edit, rotate and revoke keys", AccessClass::Write),
                ManagementPermission::KeysView => ("See keys", AccessClass::Read),
                ManagementPermission::TokensIntrospect => ("Ask about any token", AccessClass::Read),
            };
            self.put((OF_PORTCULLIS, OWN_GROUP), permission.as_str(), summary, String::new(), class);
        }
    }

    fn put(&mut self, (whose, group): (&str, &str), name: &str, summary: &str, operations: String, class: AccessClass) {
        let checked = self.chosen.contains(name);
        let row = PermissionRow {
            index: self.next,
            name: name.to_owned(),
            summary: if summary == name { String::new() } else { summary.to_owned() },
            operations,
            own: whose == OF_PORTCULLIS,
            access: class.as_str(),
            access_word: word(class),
            presets: self.memberships.get(name).cloned().unwrap_or_default(),
            checked,
        };
        self.next = self.next.saturating_add(1);
        let value = format!("{whose}{group}");
        let place = match self.places.get(&value) {
            Some(place) => *place,
            None => {
                let place = self.rows.len();
                self.places.insert(value.clone(), place);
                self.rows.push(GroupRow { name: group.to_owned(), value, chosen: 0, rows: vec![] });
                place
            }
        };
        if let Some(group) = self.rows.get_mut(place) {
            group.chosen = group.chosen.saturating_add(usize::from(checked));
            group.rows.push(row);
        }
    }
}

/// What a permission does, for people.
pub(super) const fn word(class: AccessClass) -> &'static str {
    match class {
        AccessClass::Delete => "Delete",
        AccessClass::Read => "Read",
        AccessClass::Write => "Write",
    }
}

/// For each permission the presets that hold it: `0 2`.
fn memberships(presets: &[Preset]) -> HashMap<String, String> {
    let mut memberships: HashMap<String, String> = HashMap::new();
    for (index, preset) in presets.iter().enumerate() {
        for name in &preset.permissions {
            let text = memberships.entry(name.as_str().to_owned()).or_default();
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&index.to_string());
        }
    }
    memberships
}

/// What a form chose: boxes and whole groups; exactly what the preset holds where no box is ticked, or with `step=preset`.
pub(super) fn chosen(form: &Form, environment: &EnvironmentTable) -> HashSet<String> {
    let boxes = ticked(form, environment);
    // Who has seen the boxes filled and emptied them means none.
    let unseen = boxes.is_empty() && !form.has("boxes");
    let preset = form.filled("preset").filter(|_| unseen || form.text("step") == Some("preset"));
    preset.and_then(|name| environment.preset(name)).map_or(boxes, |preset| names(&preset))
}

/// Tells where a preset is chosen that the boxes do not come from, and they say something else: one of the two was forgotten.
pub(super) fn judge(form: &Form, environment: &EnvironmentTable, errors: &mut FieldErrors) {
    let Some(name) = form.filled("preset").filter(|name| form.text("boxes") != Some(name)) else { return };
    let (boxes, preset) = (ticked(form, environment), environment.preset(name).map(|preset| names(&preset)));
    if !boxes.is_empty() && preset.is_some_and(|preset| preset != boxes) {
        let message = format!(
            "the preset `{}` is chosen, and the boxes say something else: choose your own choice, or take the preset's over",
            quoted(name)
        );
        errors.add("/permissions", "permissions_unclear", message);
    }
}

fn ticked(form: &Form, environment: &EnvironmentTable) -> HashSet<String> {
    let mut chosen: HashSet<String> = form.all("permission").map(str::to_owned).collect();
    let groups: HashSet<&str> = form.all("group").collect();
    if !groups.is_empty() {
        for permission in environment.catalogue.permissions().iter() {
            let group = if permission.group.is_empty() { "Permissions" } else { permission.group.as_str() };
            if groups.contains(format!("{OF_API}{group}").as_str()) {
                chosen.insert(permission.name.as_str().to_owned());
            }
        }
        if groups.contains(format!("{OF_PORTCULLIS}{OWN_GROUP}").as_str()) {
            chosen.extend(ManagementPermission::ALL.map(|permission| permission.as_str().to_owned()));
        }
    }
    chosen
}

fn names(preset: &Preset) -> HashSet<String> {
    preset.permissions.iter().map(|name| name.as_str().to_owned()).collect()
}

/// What is chosen, in the order of the document; what it does not know comes last, to be refused by name.
pub(super) fn in_order(chosen: &HashSet<String>, environment: &EnvironmentTable) -> Vec<String> {
    let known = environment.catalogue.permissions();
    let mut ordered: Vec<String> = known
        .iter()
        .map(|permission| permission.name.as_str())
        .filter(|name| chosen.contains(*name))
        .map(str::to_owned)
        .collect();
    let seen: HashSet<&String> = ordered.iter().collect();
    let rest: BTreeSet<&String> = chosen.iter().filter(|name| !seen.contains(name)).collect();
    let rest: Vec<String> = rest.into_iter().cloned().collect();
    ordered.extend(rest);
    ordered
}

/// A request that was read, and the permissions that it needs.
pub(super) type Picked = (PickedRow, Vec<String>);

/// What the requests need that somebody pasted, where that is asked for.
pub(super) async fn picked(visit: &Visit, id: &EnvironmentId) -> Result<Vec<Picked>, Refusal> {
    let (Some("requests"), Some(text)) = (visit.form.text("step"), visit.form.filled("requests")) else {
        return Ok(vec![]);
    };
    let requests = visit.control().match_requests(&visit.asking, id, text).await?;
    Ok(requests.into_iter().map(told).collect())
}

fn told(request: PickedRequest) -> Picked {
    let names: Vec<String> = request.permissions.iter().map(|name| name.as_str().to_owned()).collect();
    let (kind, note) = match request.problem {
        Some(problem) => ("bad", sentence(&problem)),
        None => ("ok", format!("needs {}, now chosen", names.join(" and "))),
    };
    (PickedRow { line: request.line, text: request.text, kind, note }, names)
}
