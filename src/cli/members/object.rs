//! Members as commands name and print them.

use super::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::listing::Listing;
use crate::cli::output::{NOTHING, cell, facts, note, print, print_json};
use crate::cli::secret_file;
use serde_json::Value;
use std::path::PathBuf;

/// A role in an organization.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Role {
    /// Everything, and the only one who makes and removes owners
    Owner,
    /// Keys, policies, members and the audit log
    Admin,
    /// Sees and changes keys
    Editor,
    /// Sees keys
    Viewer,
    /// Nothing yet
    None,
}

impl Role {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Editor => "editor",
            Self::Viewer => "viewer",
            Self::None => "none",
        }
    }
}

/// How a member is named on the command line.
#[derive(Clone, Debug)]
pub(super) enum MemberName {
    Email(String),
    Id(String),
}

impl MemberName {
    /// An address has an `@`; an id has letters, digits and `_`.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains('@') {
            return Ok(Self::Email(text.to_owned()));
        }
        plain_id(text).map(Self::Id).map_err(|_| "a member is an id (`mbr_...`) or an email address")
    }

    /// The member as the control API shows it now.
    pub(super) fn find(&self, context: &Context) -> Result<Value, Failure> {
        match self {
            Self::Id(id) => context.client.get(&context.path(&format!("/{id}")), &[]),
            Self::Email(email) => {
                let members = Listing::whole(&context.client, &context.path(""))?.data;
                let same = |member: &Value| cell(member, "email").to_lowercase() == email.to_lowercase();
                let found = members.into_iter().find(same);
                found.ok_or_else(|| Failure::new(Exit::NotFound, format!("`{email}` is no member here")))
            }
        }
    }

    /// The path of the member, for which an address is looked up.
    pub(super) fn path(&self, context: &Context) -> Result<String, Failure> {
        match self {
            Self::Id(id) => Ok(context.path(&format!("/{id}"))),
            Self::Email(_) => member_path(context, &self.find(context)?),
        }
    }
}

/// Text that can stand in a path as it is: 1 to 64 letters, digits and `_`.
pub(super) fn plain_id(text: &str) -> Result<String, &'static str> {
    let sound = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if sound { Ok(text.to_owned()) } else { Err("an id is 1 to 64 characters of `A-Z a-z 0-9 _`") }
}

/// The path of a member that was found.
pub(super) fn member_path(context: &Context, member: &Value) -> Result<String, Failure> {
    let id = plain_id(&cell(member, "id"));
    let id = id.map_err(|problem| Failure::new(Exit::Failure, format!("unexpected member: {problem}")))?;
    Ok(context.path(&format!("/{id}")))
}

/// The path of whoever is asking.
pub(super) fn own_path(context: &Context) -> Result<String, Failure> {
    let session = context.client.get("/v1/sessions/current", &[])?;
    match session.get("actor") {
        Some(actor) if cell(actor, "type") == "member" => member_path(context, actor),
        Some(_) | None => {
            Err(Failure::usage("the token in use belongs to no member: say whose token is meant, by id or address"))
        }
    }
}

/// Prints a member in the form asked for.
pub(super) fn print_member(member: &Value, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(member);
    }
    let names = ["id", "email", "name", "role", "operator", "has_password", "created_at", "last_sign_in_at"];
    let labels = ["id", "email", "name", "role", "operator", "has a password", "created", "last sign-in"];
    let mut rows: Vec<(&str, String)> = labels.into_iter().zip(names.map(|name| cell(member, name))).collect();
    let invitation = [("invitation", "invitation"), ("valid until", "invitation_expires_at")];
    let said = invitation.into_iter().filter(|(_, name)| member.get(name).is_some_and(|value| !value.is_null()));
    rows.extend(said.map(|(label, name)| (label, cell(member, name))));
    rows.retain(|(_, value)| !value.is_empty() && value != NOTHING);
    print(&facts(&rows))
}

/// `--save`, for an invitation.
#[derive(clap::Args)]
pub(super) struct InvitationOption {
    /// Write the invitation to this file (mode 0600) instead of printing it
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

impl InvitationOption {
    /// Prints a member, with the invitation that was just made unless it goes to a file.
    pub(super) fn print(&self, mut member: Value, json: bool) -> Result<(), Failure> {
        let invitation = member.get("invitation").and_then(Value::as_str).map(str::to_owned);
        if let (Some(path), Some(invitation)) = (&self.save, &invitation) {
            secret_file::replace("--save", path, invitation)?;
            if let Some(fields) = member.as_object_mut() {
                fields.remove("invitation");
            }
        }
        print_member(&member, json)?;
        match (&self.save, &invitation) {
            (None, Some(_)) => {
                note("warning: the invitation is shown this once and never again; hand it over in private");
                note("next, for whoever gets it: portcullis login --invitation-file FILE");
            }
            (Some(path), Some(_)) => {
                let path = path.display();
                note(&format!("next, for whoever gets that file: portcullis login --invitation-file {path}"));
            }
            (_, None) => note("no invitation was made: they have a password, or were invited elsewhere"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_named_by_id_or_address() {
        assert!(matches!(MemberName::parse("mbr_0a"), Ok(MemberName::Id(_))));
        assert!(matches!(MemberName::parse("ada@example.com"), Ok(MemberName::Email(_))));
        for text in ["", "../x", "a b", "ada"] {
            let parsed = MemberName::parse(text);
            assert!(if text == "ada" { parsed.is_ok() } else { parsed.is_err() }, "{text}");
        }
    }
}
