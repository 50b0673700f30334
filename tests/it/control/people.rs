//! How tests add people and let them in.

use super::*;
use portcullis::model::{OpaqueToken, TokenKind};
use portcullis::store::{NewSession, PasswordHash, PeopleStore, SessionProof, SessionStore};

pub(super) const PASSWORD: &str = "correct horse battery staple";

impl Answer {
    /// An answer without a body.
    #[track_caller]
    pub(super) fn expect_nothing(self) {
        assert_eq!((self.status, self.text.as_str()), (204, ""));
    }
}

impl Node {
    pub(super) fn send_as(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        self.send_bare(method, path, &headers, body)
    }

    pub(super) fn post_as(&self, token: &str, path: &str, body: &Value) -> Answer {
        self.send_as(token, "POST", path, &body.to_string())
    }

    /// Signs in without any credential but the body.
    pub(super) fn try_sign_in(&self, body: &Value) -> Answer {
        self.send_bare("POST", "/v1/sessions", &[("content-type", "application/json")], &body.to_string())
    }

    /// A session's token.
    #[track_caller]
    pub(super) fn sign_in(&self, body: &Value) -> String {
        self.try_sign_in(body).expect(201)["token"].as_str().unwrap().to_owned()
    }

    /// Adds `name@acme.example`, as the bootstrap operator: id and invitation.
    #[track_caller]
    pub(super) fn add(&self, organization: &str, name: &str, role: &str) -> (String, String) {
        let body = json!({"email": format!("{name}@acme.example"), "name": name, "role": role});
        let made = self.post(&format!("/v1/organizations/{organization}/members"), &body).expect(201);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&made["id"]), text(&made["invitation"]))
    }

    /// A member with a password and a session: id and the session's token.
    #[track_caller]
    pub(super) fn member(&self, organization: &str, name: &str, role: &str) -> (String, String) {
        let (id, invitation) = self.add(organization, name, role);
        (id, self.sign_in(&json!({"invitation": invitation, "password": PASSWORD})))
    }

    /// A member's token for scripts, made by the bootstrap operator.
    #[track_caller]
    pub(super) fn member_token(&self, organization: &str, member: &str) -> Value {
        let path = format!("/v1/organizations/{organization}/members/{member}/tokens");
        self.post(&path, &json!({"name": "script"})).expect(201)
    }

    /// A session of `name@acme.example` that is 31 minutes old and was not used since.
    pub(super) fn old_session(&self, name: &str) -> String {
        let token = OpaqueToken::from_entropy(TokenKind::Session, [9; 32]);
        let email = portcullis::model::Email::parse(&format!("{name}@acme.example")).unwrap();
        self.runtime.block_on(async {
            let (person, hash) = self.store.person_by_email(&email).await.unwrap().unwrap();
            let hash: PasswordHash = hash.unwrap();
            let proof = SessionProof::Password { person: person.id, hash };
            let ends_at = NOON.plus_seconds(3600);
            let new = NewSession { digest: token.digest(), ends_at, proof, spent: SecretDigest::of(b"spent") };
            let then = Act::of(Actor::Operator, NOON.plus_seconds(-31 * 60));
            self.store.open_session(&new, &then).await.unwrap();
        });
        token.expose().to_owned()
    }
}
