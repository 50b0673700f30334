//! Changes of the organization itself: a policy, environments, and members where the node has routes for them.

use crate::process::{Control, Dice};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

const ORGANIZATION: &str = "/v1/organizations/acme";
const MEMBERS: &str = "/v1/organizations/acme/members";
const ENVIRONMENTS: &str = "/v1/organizations/acme/environments";
/// The environments that are made and removed.
const NAMES: [&str; 4] = ["e0", "e1", "e2", "e3"];
const ROLES: [&str; 4] = ["admin", "editor", "none", "viewer"];
/// So many that adding and removing balance.
const SOME: usize = 20;

/// One change.
#[derive(Clone, Debug)]
pub(super) enum Other {
    AddMember(String),
    BlockLegacyKeys(bool),
    ChangeRole(String, &'static str),
    /// Name and base URL, which no other change has.
    PutEnvironment(&'static str, String),
    RemoveEnvironment(&'static str),
    RemoveMember(String),
}

/// What we were told.
#[derive(Default)]
pub(super) struct Others {
    members: bool,
    block_legacy_keys: bool,
    /// Id to role.
    roles: BTreeMap<String, String>,
    /// Id to base URL, of those that were made.
    environments: BTreeMap<String, String>,
    /// Changes of them.
    pub(super) placed: u64,
    made: u64,
    /// Those of them that changed a policy.
    pub(super) policies: u64,
}

impl Others {
    /// Whether this node has members.
    pub(super) fn look_around(&mut self, control: &mut Control) {
        self.members = control.get(MEMBERS).unwrap().status != 404;
    }

    pub(super) fn choose(&self, number: u64, dice: &mut Dice) -> Other {
        if dice.below(6) == 0 {
            let name = NAMES[dice.below(NAMES.len())];
            let remove = self.environments.contains_key(name) && dice.below(3) == 0;
            let base_url = format!("http://gate.test/{name}/{number}");
            return if remove { Other::RemoveEnvironment(name) } else { Other::PutEnvironment(name, base_url) };
        }
        if !self.members || dice.below(3) == 0 {
            return Other::BlockLegacyKeys(!self.block_legacy_keys);
        }
        let ids: Vec<&String> = self.roles.keys().collect();
        if ids.is_empty() || dice.below(2 * SOME) >= ids.len() + SOME / 2 {
            return Other::AddMember(format!("member-{number}@example.com"));
        }
        let id = ids[dice.below(ids.len())].clone();
        let change = dice.below(2) == 0;
        if change { Other::ChangeRole(id, ROLES[dice.below(ROLES.len())]) } else { Other::RemoveMember(id) }
    }

    /// One change; an error is the kill.
    pub(super) fn make(&mut self, other: &Other, control: &mut Control, dice: &mut Dice) -> std::io::Result<()> {
        match other {
            Other::AddMember(email) => {
                let role = ROLES[dice.below(ROLES.len())];
                let made = control.post(MEMBERS, &json!({"email": email, "name": email, "role": role}))?;
                self.added(&made.expect(201).json());
            }
            Other::BlockLegacyKeys(block) => {
                let body = json!({"policies": {"block_legacy_keys": block}});
                control.send("PATCH", ORGANIZATION, &body)?.expect(200);
                self.block_legacy_keys = *block;
                self.policies += 1;
            }
            Other::ChangeRole(id, role) => {
                control.send("PATCH", &format!("{MEMBERS}/{id}"), &json!({"role": role}))?.expect(200);
                self.roles.insert(id.clone(), (*role).to_owned());
            }
            Other::PutEnvironment(name, base_url) => {
                let body = json!({"base_url": base_url, "upstream": "http://127.0.0.1:9"});
                let status = if self.environments.contains_key(*name) { 200 } else { 201 };
                control.send("PUT", &format!("{ENVIRONMENTS}/{name}"), &body)?.expect(status);
                self.environments.insert((*name).to_owned(), base_url.clone());
                self.placed += 1;
            }
            Other::RemoveEnvironment(name) => {
                control.send("DELETE", &format!("{ENVIRONMENTS}/{name}"), &json!({}))?.expect(204);
                self.environments.remove(*name);
                self.placed += 1;
            }
            Other::RemoveMember(id) => {
                control.send("DELETE", &format!("{MEMBERS}/{id}"), &json!({}))?.expect(204);
                self.roles.remove(id);
            }
        }
        self.made += 1;
        Ok(())
    }

    fn added(&mut self, member: &Value) {
        let text = |name: &str| member[name].as_str().unwrap_or_else(|| panic!("no {name} in {member}")).to_owned();
        self.roles.insert(text("id"), text("role"));
    }

    /// Whether a change whose answer never came had happened.
    pub(super) fn resolve(&mut self, other: &Other, control: &mut Control) -> bool {
        match other {
            Other::AddMember(email) => {
                let found = members(control).into_iter().find(|member| member["email"] == **email);
                found.iter().for_each(|member| self.added(member));
                found.is_some()
            }
            Other::BlockLegacyKeys(block) => {
                let before = std::mem::replace(&mut self.block_legacy_keys, blocked(control));
                before != *block && self.block_legacy_keys == *block
            }
            Other::ChangeRole(id, role) => {
                let shown = members(control).into_iter().find(|member| member["id"] == **id).unwrap();
                // A member who had the role before shows nothing of what became of it.
                let happened = shown["role"] == **role && self.roles.get(id).is_none_or(|before| before != role);
                if happened {
                    self.roles.insert(id.clone(), (*role).to_owned());
                }
                happened
            }
            Other::PutEnvironment(name, _) | Other::RemoveEnvironment(name) => {
                let before = self.environments.get(*name).cloned();
                self.environments = environments(control);
                self.environments.get(*name) != before.as_ref()
            }
            Other::RemoveMember(id) => {
                let happened = !members(control).iter().any(|member| member["id"] == **id);
                if happened {
                    self.roles.remove(id);
                }
                happened
            }
        }
    }

    #[track_caller]
    pub(super) fn compare(&self, control: &mut Control) {
        assert_eq!(blocked(control), self.block_legacy_keys);
        assert_eq!(environments(control), self.environments);
        if self.members {
            let shown = members(control);
            let text = |member: &Value, name: &str| member[name].as_str().unwrap().to_owned();
            let shown: BTreeMap<_, _> = shown.iter().map(|one| (text(one, "id"), text(one, "role"))).collect();
            assert_eq!(shown, self.roles);
        }
    }
}

impl fmt::Display for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = self.made - self.policies - self.placed;
        write!(f, "{} changes of policies, {} of environments, {members} of members", self.policies, self.placed)
    }
}

fn environments(control: &mut Control) -> BTreeMap<String, String> {
    let page = control.get(ENVIRONMENTS).unwrap().expect(200).json();
    let made = page["data"].as_array().unwrap().iter().filter(|shown| shown["managed_by"] == "api");
    let text = |shown: &Value, name: &str| shown[name].as_str().unwrap().to_owned();
    made.map(|shown| (text(shown, "id"), text(shown, "base_url"))).collect()
}

fn blocked(control: &mut Control) -> bool {
    let shown = control.get(ORGANIZATION).unwrap().expect(200).json();
    shown["policies"]["block_legacy_keys"].as_bool().unwrap_or_else(|| panic!("no policy in {shown}"))
}

fn members(control: &mut Control) -> Vec<Value> {
    let page = control.get(&format!("{MEMBERS}?limit=100")).unwrap().expect(200).json();
    assert_eq!(page["next_cursor"], Value::Null, "more members than were made");
    page["data"].as_array().unwrap().clone()
}
