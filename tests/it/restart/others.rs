//! Changes of the organization itself: a policy, and members where the node has routes for them.

use crate::process::{Control, Dice};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

const ORGANIZATION: &str = "/v1/organizations/acme";
const MEMBERS: &str = "/v1/organizations/acme/members";
const ROLES: [&str; 4] = ["admin", "editor", "none", "viewer"];
/// So many that adding and removing balance.
const SOME: usize = 20;

/// One change.
#[derive(Clone, Debug)]
pub(super) enum Other {
    AddMember(String),
    BlockLegacyKeys(bool),
    ChangeRole(String, &'static str),
    RemoveMember(String),
}

/// What we were told.
#[derive(Default)]
pub(super) struct Others {
    members: bool,
    block_legacy_keys: bool,
    /// Id to role.
    roles: BTreeMap<String, String>,
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
        write!(f, "{} changes of policies, {} of members", self.policies, self.made - self.policies)
    }
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
