//! Who asks, and what they may do: the one table of rights (5.2), for every face of the control plane.
//!
//! Whoever has no part in an organization is told that there is nothing of that name, never that it is forbidden.

use super::ControlProblem;
use crate::model::{
    Act, Actor, ApiKey, ClientId, EnvironmentId, Identifier, ManagementPermission, ManagementSet, MemberId, MemberRole,
    PermissionName, Timestamp,
};
use std::collections::HashSet;

/// Who asks for what, and the circumstances: every method of the control plane takes one.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Who.
    pub caller: Caller,
    /// From where, in which request, when.
    pub act: Act,
}

/// Somebody who has proven who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A management key, by an access token for the control API.
    Key(KeyCaller),
    /// A member, by a session or a token.
    Member(MemberCaller),
    /// The node's operator, by the bootstrap token.
    Operator,
}

/// A management key at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCaller {
    /// Which key.
    pub client_id: ClientId,
    /// The one environment where it may work.
    pub environment: EnvironmentId,
    /// What its token lets it do here.
    pub management: ManagementSet,
    /// What keys that it makes or changes may hold: its own permissions and `may_grant`.
    pub grantable: HashSet<PermissionName>,
}

/// A member at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberCaller {
    /// Which member.
    pub id: MemberId,
    /// The email address, for the log.
    pub email: String,
    /// Whether this is an operator as well.
    pub operator: bool,
    /// The organizations and the roles in them. A token for one organization holds that one alone.
    pub roles: Vec<(Identifier, MemberRole)>,
    /// Where a token for scripts was shown: when it ends. What it makes ends no later.
    pub until: Option<Timestamp>,
}

/// What somebody may want to do in an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Make, edit, rotate and revoke keys.
    ChangeKeys,
    /// The same for keys that hold permissions over Portcullis itself.
    ChangeManagementKeys,
    /// Change policies and members, read the audit log.
    Manage,
    /// See keys, environments, catalogues and policies.
    See,
}

impl Right {
    /// The least role that holds the right.
    pub const fn least_role(self) -> MemberRole {
        match self {
            Self::ChangeKeys => MemberRole::Editor,
            Self::ChangeManagementKeys | Self::Manage => MemberRole::Admin,
            Self::See => MemberRole::Viewer,
        }
    }
}

impl Caller {
    /// Who this is in the audit log.
    pub fn actor(&self) -> Actor {
        match self {
            Self::Key(key) => Actor::Key(key.client_id.clone()),
            Self::Member(member) => Actor::Member { id: member.id.clone(), email: member.email.clone() },
            Self::Operator => Actor::Operator,
        }
    }

    /// Whether this is an operator, who looks after the node and every organization.
    pub const fn is_operator(&self) -> bool {
        match self {
            Self::Key(_) => false,
            Self::Member(member) => member.operator,
            Self::Operator => true,
        }
    }

    /// Errors: `NotAllowed` for everybody but an operator.
    pub fn require_operator(&self) -> Result<(), ControlProblem> {
        if self.is_operator() { Ok(()) } else { Err(ControlProblem::NotAllowed("this is for the node's operators")) }
    }

    /// The role in an organization, where there is one. Operators have every right without a role.
    pub fn role(&self, organization: &Identifier) -> Option<MemberRole> {
        match self {
            Self::Member(member) => member.roles.iter().find(|(id, _)| id == organization).map(|(_, role)| *role),
            Self::Key(_) | Self::Operator => None,
        }
    }

    /// Whether the organization is any of the caller's business.
    pub fn sees(&self, organization: &Identifier) -> bool {
        match self {
            Self::Key(key) => key.environment.organization == *organization,
            Self::Member(_) | Self::Operator => self.is_operator() || self.role(organization).is_some(),
        }
    }

    /// Errors: `NotFound` where the organization is none of the caller's business, `NotAllowed` where it is, and the
    /// role is too low.
    pub fn require(&self, right: Right, organization: &Identifier) -> Result<(), ControlProblem> {
        if self.is_operator() {
            return Ok(());
        }
        match self {
            Self::Member(_) => {
                let role = self.role(organization).ok_or(ControlProblem::NotFound)?;
                if role >= right.least_role() { Ok(()) } else { Err(ControlProblem::NotAllowed(needs(right))) }
            }
            Self::Key(key) if key.environment.organization == *organization => {
                Err(ControlProblem::NotAllowed("a management key works in its own environment alone"))
            }
            Self::Key(_) | Self::Operator => Err(ControlProblem::NotFound),
        }
    }

    /// The same for something within one environment, where a management key may work as well.
    pub fn require_in(&self, right: Right, environment: &EnvironmentId) -> Result<(), ControlProblem> {
        match self {
            Self::Key(key) => key.require(right, environment),
            Self::Member(_) | Self::Operator => self.require(right, &environment.organization),
        }
    }

    /// Whether keys may be changed here, and this one in particular. Errors as [`require`](Self::require).
    pub fn require_change_of(&self, key: &ApiKey) -> Result<(), ControlProblem> {
        let right = if key.is_management() { Right::ChangeManagementKeys } else { Right::ChangeKeys };
        self.require_in(right, &key.environment)
    }
}

impl KeyCaller {
    fn require(&self, right: Right, environment: &EnvironmentId) -> Result<(), ControlProblem> {
        if self.environment != *environment {
            return Err(ControlProblem::NotFound);
        }
        match right {
            Right::See if self.management.manages_keys() => Ok(()),
            Right::ChangeKeys if self.management.holds(ManagementPermission::KeysEdit) => Ok(()),
            Right::ChangeKeys | Right::See => Err(ControlProblem::NotAllowed(
                "this key, or its token's scope, lacks the permission `portcullis:keys:edit`",
            )),
            Right::ChangeManagementKeys => {
                Err(ControlProblem::NotAllowed("a key has no power over keys that hold a `portcullis:` permission"))
            }
            Right::Manage => Err(ControlProblem::NotAllowed("a management key manages keys and nothing else")),
        }
    }
}

const fn needs(right: Right) -> &'static str {
    match right {
        Right::ChangeKeys => "this needs the role editor, admin or owner",
        Right::ChangeManagementKeys => {
            "keys that hold a `portcullis:` permission are made and changed by admins and owners"
        }
        Right::Manage => "this needs the role admin or owner",
        Right::See => "your role in this organization shows nothing; ask an admin for another one",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Identifier {
        Identifier::parse(text).unwrap()
    }

    fn member(role: MemberRole) -> Caller {
        Caller::Member(MemberCaller {
            id: MemberId::from_entropy([1; 16]),
            email: "ada@acme.example".to_owned(),
            operator: false,
            roles: vec![(id("acme"), role)],
            until: None,
        })
    }

    #[test]
    fn the_table_of_rights() {
        use MemberRole::{Admin, Editor, None, Owner, Viewer};
        let rights = [Right::See, Right::ChangeKeys, Right::ChangeManagementKeys, Right::Manage];
        for (role, allowed) in [(Owner, 4), (Admin, 4), (Editor, 2), (Viewer, 1), (None, 0)] {
            for (at, right) in rights.into_iter().enumerate() {
                let verdict = member(role).require(right, &id("acme"));
                match verdict {
                    Ok(()) => assert!(at < allowed, "{role:?} {right:?}"),
                    Err(ControlProblem::NotAllowed(_)) => assert!(at >= allowed, "{role:?} {right:?}"),
                    other => panic!("{other:?}"),
                }
                let elsewhere = member(role).require(right, &id("other"));
                assert!(matches!(elsewhere, Err(ControlProblem::NotFound)), "{elsewhere:?}");
            }
        }
    }

    #[test]
    fn a_key_works_in_its_own_environment() {
        let environment = |name| EnvironmentId { organization: id("acme"), environment: id(name) };
        let caller = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| PermissionName::parse(name).unwrap()).collect();
            Caller::Key(KeyCaller {
                client_id: ClientId::parse("pcull_m").unwrap(),
                environment: environment("production"),
                management: ManagementSet::of(&names),
                grantable: HashSet::new(),
            })
        };
        let (viewer, editor) = (caller(&["portcullis:keys:view"]), caller(&["portcullis:keys:edit"]));
        let here = environment("production");
        assert!(viewer.require_in(Right::See, &here).is_ok() && editor.require_in(Right::See, &here).is_ok());
        assert!(editor.require_in(Right::ChangeKeys, &here).is_ok());
        for refused in [
            viewer.require_in(Right::ChangeKeys, &here),
            editor.require_in(Right::ChangeManagementKeys, &here),
            editor.require_in(Right::Manage, &here),
            editor.require(Right::See, &here.organization),
        ] {
            assert!(matches!(refused, Err(ControlProblem::NotAllowed(_))), "{refused:?}");
        }
        for unseen in [editor.require_in(Right::See, &environment("staging")), editor.require(Right::See, &id("other"))]
        {
            assert!(matches!(unseen, Err(ControlProblem::NotFound)), "{unseen:?}");
        }
    }
}
