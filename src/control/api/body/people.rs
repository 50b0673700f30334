//! The bodies about members, their tokens, and signing in.

use super::{Body, FieldErrors, Fields, Refusal};
use crate::control::{MemberDraft, MemberEditDraft, MemberTokenDraft, SignInDraft};
use zeroize::Zeroizing;

impl Body {
    /// Somebody to be added.
    pub(in crate::control::api) fn member_draft(self) -> Result<(MemberDraft, FieldErrors), Refusal> {
        let mut fields = Fields::new(self.required()?);
        let draft = MemberDraft {
            email: fields.text("email"),
            name: fields.text("name"),
            role: fields.text("role"),
            operator: fields.boolean("operator"),
            link: fields.boolean("link"),
        };
        Ok((draft, fields.finish(&[])))
    }

    /// A change to a member.
    pub(in crate::control::api) fn member_edit_draft(self) -> Result<(MemberEditDraft, FieldErrors), Refusal> {
        /// What a member has and an edit leaves alone.
        const IMMUTABLE: [&str; 6] = ["id", "email", "has_password", "created_at", "last_sign_in_at", "revision"];
        let mut fields = Fields::new(self.required()?);
        let draft = MemberEditDraft {
            name: fields.has("name").then(|| fields.text("name").unwrap_or_default()),
            role: fields.settable("role", Fields::text),
            operator: fields.settable("operator", Fields::boolean),
        };
        Ok((draft, fields.finish(&IMMUTABLE)))
    }

    /// A token for scripts to be made.
    pub(in crate::control::api) fn member_token_draft(self) -> Result<(MemberTokenDraft, FieldErrors), Refusal> {
        let mut fields = Fields::new(self.required()?);
        let draft = MemberTokenDraft { name: fields.text("name"), expires_at: fields.text("expires_at") };
        Ok((draft, fields.finish(&[])))
    }

    /// What somebody shows to sign in.
    pub(in crate::control::api) fn sign_in_draft(self) -> Result<(SignInDraft, FieldErrors), Refusal> {
        let mut fields = Fields::new(self.required()?);
        let draft = SignInDraft {
            email: fields.text("email"),
            invitation: fields.text("invitation").map(Zeroizing::new),
            password: fields.text("password").map(Zeroizing::new),
            token: fields.text("token").map(Zeroizing::new),
        };
        Ok((draft, fields.finish(&[])))
    }
}
