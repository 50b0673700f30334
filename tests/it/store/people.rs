//! People: members, invitations, sessions and tokens, and what ends with what.

use super::*;
use portcullis::model::{ChainHead, Email, MemberRole, MemberTokenId};
use portcullis::store::{
    MAX_MEMBER_TOKENS, MAX_SESSIONS, Member, MemberEdit, NewInvitation, NewMember, NewMemberToken, NewPassword,
    NewSession, PasswordHash, SESSION_IDLE_SECONDS, SessionProof, StoreError, Subject, USE_NOTED_SECONDS,
};
use serde_json::Value;

fn acme() -> Identifier {
    production().organization
}

fn other() -> Identifier {
    environment("other", "production").organization
}

fn email(name: &str) -> Email {
    Email::parse(&format!("{name}@acme.example")).unwrap()
}

fn fresh_member() -> MemberId {
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    MemberId::from_entropy(u128::from(DRAWN.fetch_add(1, Ordering::Relaxed)).to_be_bytes())
}

fn new_member(name: &str, role: MemberRole) -> NewMember {
    NewMember {
        id: fresh_member(),
        organization: acme(),
        email: email(name),
        name: name.to_owned(),
        role,
        operator: None,
        known: None,
        invitation: None,
    }
}

fn invitation(of: &str) -> NewInvitation {
    NewInvitation { digest: digest(of), expires_at: NOON.plus_seconds(600) }
}

fn hash(of: &str) -> PasswordHash {
    PasswordHash::new(of.to_owned())
}

fn session(of: &str, proof: SessionProof) -> NewSession {
    NewSession { digest: digest(of), ends_at: NOON.plus_seconds(12 * 3600), proof, spent: digest("spent") }
}

/// Takes up the invitation of that name, with the password of that name.
fn by_invitation(of: &str, password: &str) -> SessionProof {
    SessionProof::Invitation { digest: digest(of), password: hash(password) }
}

fn by_password(member: &Member, password: &str) -> SessionProof {
    SessionProof::Password { person: member.id.clone(), hash: hash(password) }
}

fn new_token(of: &str) -> NewMemberToken {
    NewMemberToken {
        id: MemberTokenId::from_entropy(digest(of).as_bytes()[..16].try_into().unwrap()),
        digest: digest(of),
        name: of.to_owned(),
        expires_at: NOON.plus_seconds(600),
    }
}

async fn add(store: &Arc<dyn Store>, name: &str, role: MemberRole) -> Member {
    let new = NewMember { invitation: Some(invitation(name)), ..new_member(name, role) };
    store.add_member(&new, &act()).await.unwrap()
}

/// A member who has signed in once: the password and the session have the member's name.
async fn signed_in(store: &Arc<dyn Store>, name: &str, role: MemberRole) -> Member {
    let member = add(store, name, role).await;
    store.open_session(&session(name, by_invitation(name, name)), &act()).await.unwrap();
    store.member(&acme(), &member.id).await.unwrap()
}

fn role(role: MemberRole) -> MemberEdit {
    MemberEdit { role: Some(role), ..MemberEdit::default() }
}

async fn is_live(store: &Arc<dyn Store>, session: &str) -> bool {
    store.session(&digest(session), NOON).await.unwrap().is_some()
}

async fn counts(store: &Arc<dyn Store>, token: &str) -> bool {
    store.token_holder(&digest(token), NOON).await.unwrap().is_some()
}

/// The rows of a log: every chain is sound.
async fn log(store: &Arc<dyn Store>, chain: Option<&Identifier>) -> Vec<Value> {
    let rows = store.audit_rows(chain, 0, 1000).await.unwrap();
    let mut head = ChainHead::default();
    rows.iter().for_each(|(_, text)| head.follow(text).unwrap());
    head.ends_at(&store.audit_head(chain).await.unwrap()).unwrap();
    rows.iter().map(|(_, text)| serde_json::from_str(text).unwrap()).collect()
}

fn actions(log: &[Value]) -> Vec<&str> {
    log.iter().map(|row| row["action"].as_str().unwrap()).collect()
}

pub(super) async fn a_member_comes_back_as_added(home: &dyn Home) {
    let store = home.open().await;
    let new = new_member("Ada", MemberRole::Editor);
    let added = store.add_member(&new, &act()).await.unwrap();
    assert_eq!((&added.id, &added.email, added.name.as_str()), (&new.id, &new.email, "Ada"));
    assert_eq!((added.role, added.operator, added.has_password), (MemberRole::Editor, false, false));
    assert_eq!((added.created_at, added.last_sign_in_at), (NOON, None));
    assert_eq!(added.revision, store.revision().await.unwrap());
    assert_eq!(store.member(&acme(), &new.id).await.unwrap(), added);
    let (person, hash) = store.person_by_email(&email("aDA")).await.unwrap().unwrap();
    assert_eq!((&person.id, person.roles.as_slice(), hash), (&new.id, &[(acme(), MemberRole::Editor)][..], None));
    let feed = store.changes(Revision(0), 10).await.unwrap();
    assert_eq!(feed.iter().map(|change| &change.subject).collect::<Vec<_>>(), [&Subject::Member(new.id.clone())]);
    for missing in [store.member(&other(), &new.id).await, store.member(&acme(), &fresh_member()).await] {
        assert!(matches!(missing, Err(StoreError::MemberNotFound)), "{missing:?}");
    }
    assert!(store.members(&other(), None, 10).await.unwrap().members.is_empty());
}

pub(super) async fn an_address_is_one_person(home: &dyn Home) {
    let store = home.open().await;
    let ada = add(&store, "ada", MemberRole::Viewer).await;
    let again = NewMember { known: Some(ada.revision), ..new_member("ADA", MemberRole::Admin) };
    let revision = store.revision().await.unwrap();
    assert!(matches!(store.add_member(&again, &act()).await, Err(StoreError::EmailTaken)));
    let elsewhere = NewMember { organization: other(), ..again };
    for known in [None, Some(Revision(ada.revision.0 + 1))] {
        let overtaken = store.add_member(&NewMember { known, ..elsewhere.clone() }, &act()).await;
        assert!(matches!(overtaken, Err(StoreError::RevisionMismatch { .. })), "{overtaken:?}");
    }
    let gone = NewMember { known: Some(Revision(7)), ..new_member("bob", MemberRole::Viewer) };
    assert!(matches!(store.add_member(&gone, &act()).await, Err(StoreError::RevisionMismatch { .. })));
    assert_eq!(store.revision().await.unwrap(), revision);
    let linked = store.add_member(&elsewhere, &act()).await.unwrap();
    assert_eq!((&linked.id, linked.role), (&ada.id, MemberRole::Admin));
    let person = store.person_by_email(&email("ada")).await.unwrap().unwrap().0;
    assert_eq!(person.roles, [(acme(), MemberRole::Viewer), (other(), MemberRole::Admin)]);
    assert_eq!(person.email.as_str(), "ada@acme.example", "the address stays as it was first given");
}

pub(super) async fn members_come_in_pages(home: &dyn Home) {
    let store = home.open().await;
    let mut expected = Vec::new();
    for name in ["c", "a", "b", "e", "d"] {
        expected.push(add(&store, name, MemberRole::Viewer).await.id);
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.members(&acme(), after, 2).await.unwrap();
        after = page.members.last().map(|member| member.place);
        seen.extend(page.members.into_iter().map(|member| member.id));
        if !page.more {
            break;
        }
        store.remove_member(&acme(), seen.last().unwrap(), None, &act()).await.unwrap();
    }
    assert_eq!(seen, expected);
}

pub(super) async fn the_last_owner_stays(home: &dyn Home) {
    let store = home.open().await;
    let ada = add(&store, "ada", MemberRole::Owner).await;
    add(&store, "eve", MemberRole::Admin).await;
    let elsewhere = NewMember { organization: other(), ..new_member("bob", MemberRole::Owner) };
    store.add_member(&elsewhere, &act()).await.unwrap();
    let revision = store.revision().await.unwrap();
    for lower in [MemberRole::Admin, MemberRole::None] {
        let refused = store.edit_member(&acme(), &ada.id, &role(lower), None, &act()).await;
        assert!(matches!(refused, Err(StoreError::LastOwner)), "{refused:?}");
    }
    assert!(matches!(store.remove_member(&acme(), &ada.id, None, &act()).await, Err(StoreError::LastOwner)));
    assert_eq!(store.revision().await.unwrap(), revision);
    store.edit_member(&acme(), &ada.id, &role(MemberRole::Owner), None, &act()).await.unwrap();
    add(&store, "joe", MemberRole::Owner).await;
    store.edit_member(&acme(), &ada.id, &role(MemberRole::Viewer), None, &act()).await.unwrap();
    let expected = Some(Revision(1));
    let refused = store.edit_member(&acme(), &ada.id, &role(MemberRole::Owner), expected, &act()).await;
    assert!(matches!(refused, Err(StoreError::RevisionMismatch { .. })), "{refused:?}");
    store.remove_member(&acme(), &ada.id, None, &act()).await.unwrap();
}

pub(super) async fn of_two_owners_that_leave_at_once_one_stays(home: &dyn Home) {
    let store = home.open().await;
    let ada = add(&store, "ada", MemberRole::Owner).await;
    let joe = add(&store, "joe", MemberRole::Owner).await;
    let (organization, act, none) = (acme(), act(), role(MemberRole::None));
    let (first, second) = tokio::join!(
        store.remove_member(&organization, &ada.id, None, &act),
        store.edit_member(&organization, &joe.id, &none, None, &act),
    );
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
}

pub(super) async fn who_rises_loses_what_others_made(home: &dyn Home) {
    let store = home.open().await;
    let ada = add(&store, "ada", MemberRole::Editor).await;
    store.add_member_token(&acme(), &ada.id, &new_token("t"), None, &act()).await.unwrap();
    store.edit_member(&acme(), &ada.id, &role(MemberRole::Admin), None, &act()).await.unwrap();
    assert!(counts(&store, "t").await && store.invited(&digest("ada"), NOON).await.unwrap().is_some());
    store.edit_member(&acme(), &ada.id, &role(MemberRole::Owner), None, &act()).await.unwrap();
    assert!(!counts(&store, "t").await && store.invited(&digest("ada"), NOON).await.unwrap().is_none());
    let bob = add(&store, "bob", MemberRole::Editor).await;
    let operator = MemberEdit { operator: Some(true), ..MemberEdit::default() };
    let raised = store.edit_member(&acme(), &bob.id, &operator, None, &act()).await.unwrap();
    assert!(raised.operator && store.invited(&digest("bob"), NOON).await.unwrap().is_none());
    let eve = add(&store, "eve", MemberRole::Editor).await;
    let owner = NewMember { organization: other(), known: Some(eve.revision), ..new_member("eve", MemberRole::Owner) };
    store.add_member(&owner, &act()).await.unwrap();
    assert!(store.invited(&digest("eve"), NOON).await.unwrap().is_none());
    let node = log(&store, None).await;
    assert_eq!(actions(&node), ["member.edit"]);
    assert_eq!((&node[0]["before"]["operator"], &node[0]["after"]["operator"]), (&false.into(), &true.into()));
}

pub(super) async fn who_leaves_leaves_nothing_behind(home: &dyn Home) {
    let store = home.open().await;
    let ada = signed_in(&store, "ada", MemberRole::Editor).await;
    let linked =
        NewMember { organization: other(), known: Some(ada.revision), ..new_member("ada", MemberRole::Viewer) };
    store.add_member(&linked, &act()).await.unwrap();
    for (organization, token) in [(acme(), "here"), (other(), "there")] {
        store.add_member_token(&organization, &ada.id, &new_token(token), None, &act()).await.unwrap();
    }
    store.remove_member(&acme(), &ada.id, None, &act()).await.unwrap();
    assert!(!counts(&store, "here").await && counts(&store, "there").await && is_live(&store, "ada").await);
    let live = store.session(&digest("ada"), NOON).await.unwrap().unwrap();
    assert_eq!(live.person.unwrap().roles, [(other(), MemberRole::Viewer)]);
    store.remove_member(&other(), &ada.id, None, &act()).await.unwrap();
    assert!(!counts(&store, "there").await && !is_live(&store, "ada").await);
    assert!(store.person_by_email(&email("ada")).await.unwrap().is_none());
    let bob = NewMember { operator: Some(true), ..new_member("bob", MemberRole::Viewer) };
    let bob = store.add_member(&bob, &act()).await.unwrap();
    store.remove_member(&acme(), &bob.id, None, &act()).await.unwrap();
    assert!(store.person_by_email(&email("bob")).await.unwrap().unwrap().0.operator, "operators stay");
}

pub(super) async fn an_invitation_counts_once_and_for_a_while(home: &dyn Home) {
    let store = home.open().await;
    let ada = add(&store, "ada", MemberRole::Editor).await;
    store.invite_member(&acme(), &ada.id, &invitation("second"), None, &act()).await.unwrap();
    assert!(store.invited(&digest("ada"), NOON).await.unwrap().is_none(), "the one before has ended");
    let (last, over) = (NOON.plus_seconds(599), NOON.plus_seconds(600));
    assert_eq!(store.invited(&digest("second"), last).await.unwrap().unwrap().id, ada.id);
    assert!(store.invited(&digest("second"), over).await.unwrap().is_none());
    let revision = store.revision().await.unwrap();
    for (of, at) in [("second", over), ("ada", NOON), ("nothing", NOON)] {
        let refused = store.open_session(&session("s", by_invitation(of, "p")), &act_at(at)).await;
        assert!(matches!(refused, Err(StoreError::CredentialEnded)), "{refused:?}");
    }
    assert_eq!(store.revision().await.unwrap(), revision);
    let opened = store.open_session(&session("s", by_invitation("second", "p")), &act_at(last)).await.unwrap();
    let person = opened.person.unwrap();
    assert!(person.has_password && person.last_sign_in_at == Some(last) && !opened.bootstrap_ended);
    assert_eq!(person.revision, store.member(&acme(), &ada.id).await.unwrap().revision);
    let again = store.open_session(&session("t", by_invitation("second", "q")), &act_at(last)).await;
    assert!(matches!(again, Err(StoreError::CredentialEnded)), "{again:?}");
}

pub(super) async fn a_new_password_ends_other_sessions(home: &dyn Home) {
    let store = home.open().await;
    let ada = signed_in(&store, "ada", MemberRole::Editor).await;
    signed_in(&store, "bob", MemberRole::Editor).await;
    store.open_session(&session("more", by_password(&ada, "ada")), &act()).await.unwrap();
    store.invite_member(&acme(), &ada.id, &invitation("reset"), None, &act()).await.unwrap();
    assert!(is_live(&store, "ada").await && is_live(&store, "more").await);
    store.open_session(&session("new", by_invitation("reset", "new")), &act()).await.unwrap();
    assert!(!is_live(&store, "ada").await && !is_live(&store, "more").await);
    assert!(is_live(&store, "new").await && is_live(&store, "bob").await);
    let old = store.open_session(&session("late", by_password(&ada, "ada")), &act()).await;
    assert!(matches!(old, Err(StoreError::CredentialEnded)), "a password that was compared before it changed: {old:?}");
}

pub(super) async fn a_password_in_place_of_another_ends_tokens(home: &dyn Home) {
    let store = home.open().await;
    let ada = add(&store, "ada", MemberRole::Editor).await;
    let linked = NewMember {
        organization: other(),
        known: Some(ada.revision),
        invitation: Some(invitation("ada")),
        ..new_member("ada", MemberRole::Viewer)
    };
    store.add_member(&linked, &act()).await.unwrap();
    let bob = add(&store, "bob", MemberRole::Editor).await;
    for (organization, id, name) in [(acme(), &ada.id, "a"), (other(), &ada.id, "o"), (acme(), &bob.id, "b")] {
        store.add_member_token(&organization, id, &new_token(name), None, &act()).await.unwrap();
    }
    store.open_session(&session("s1", by_invitation("ada", "first")), &act()).await.unwrap();
    assert!(counts(&store, "a").await && counts(&store, "o").await, "a first password replaces none");
    store.invite_member(&acme(), &ada.id, &invitation("again"), None, &act()).await.unwrap();
    assert!(counts(&store, "a").await && counts(&store, "o").await, "an invitation that nobody took up");
    store.open_session(&session("s2", by_invitation("again", "second")), &act()).await.unwrap();
    assert!(!counts(&store, "a").await && !counts(&store, "o").await);
    assert!(store.member_tokens(&other(), &ada.id).await.unwrap().is_empty());
    assert!(counts(&store, "b").await, "somebody else's");
}

pub(super) async fn a_changed_password_ends_other_sessions(home: &dyn Home) {
    let store = home.open().await;
    let ada = signed_in(&store, "ada", MemberRole::Editor).await;
    signed_in(&store, "eve", MemberRole::Editor).await;
    store.open_session(&session("second", by_password(&ada, "ada")), &act()).await.unwrap();
    let new = |known: &str, of: &str| NewPassword {
        person: ada.id.clone(),
        known: hash(known),
        password: hash("new"),
        session: digest(of),
    };
    let revision = store.revision().await.unwrap();
    // Not the password; another one's session; none.
    for refused in [new("eve", "second"), new("ada", "eve"), new("ada", "third")] {
        let refused = store.change_password(&refused, &act()).await;
        assert!(matches!(refused, Err(StoreError::CredentialEnded)), "{refused:?}");
    }
    assert_eq!(store.revision().await.unwrap(), revision);
    store.change_password(&new("ada", "second"), &act()).await.unwrap();
    assert_eq!(
        (is_live(&store, "ada").await, is_live(&store, "second").await, is_live(&store, "eve").await),
        (false, true, true)
    );
    let (person, known) = store.person_by_email(&email("ada")).await.unwrap().unwrap();
    assert_eq!((known, person.revision), (Some(hash("new")), store.revision().await.unwrap()));
    assert!(store.open_session(&session("third", by_password(&ada, "ada")), &act()).await.is_err());
    assert_eq!(actions(&log(&store, Some(&acme())).await).last(), Some(&"password.change"));
}

pub(super) async fn a_session_ends_by_idleness_and_by_age(home: &dyn Home) {
    let store = home.open().await;
    signed_in(&store, "ada", MemberRole::Editor).await;
    let at = |seconds| NOON.plus_seconds(seconds);
    let live = async |seconds| store.session(&digest("ada"), at(seconds)).await.unwrap();
    assert!(live(SESSION_IDLE_SECONDS - 1).await.is_some() && live(SESSION_IDLE_SECONDS).await.is_none());
    store.note_use(&digest("ada"), at(USE_NOTED_SECONDS - 1)).await.unwrap();
    assert_eq!(live(0).await.unwrap().last_seen_at, NOON, "noted once a minute");
    for minutes in (20..720).step_by(20) {
        assert!(live(minutes * 60).await.is_some(), "{minutes}");
        store.note_use(&digest("ada"), at(minutes * 60)).await.unwrap();
    }
    store.note_use(&digest("ada"), at(0)).await.unwrap();
    assert_eq!(live(700 * 60).await.unwrap().last_seen_at, at(700 * 60), "never moves back");
    store.note_use(&digest("ada"), at(719 * 60)).await.unwrap();
    assert!(live(720 * 60 - 1).await.is_some() && live(720 * 60).await.is_none());
    store.forget_ended(at(720 * 60)).await.unwrap();
    assert!(!is_live(&store, "ada").await);
}

pub(super) async fn a_session_is_ended(home: &dyn Home) {
    let store = home.open().await;
    signed_in(&store, "ada", MemberRole::Editor).await;
    store.end_session(&digest("ada"), &act()).await.unwrap();
    assert!(!is_live(&store, "ada").await);
    let again = store.end_session(&digest("ada"), &act()).await;
    assert!(matches!(again, Err(StoreError::CredentialEnded)), "{again:?}");
    assert_eq!(actions(&log(&store, Some(&acme())).await), ["member.add", "session.create", "session.end"]);
}

pub(super) async fn sessions_are_bounded(home: &dyn Home) {
    let store = home.open().await;
    let ada = signed_in(&store, "ada", MemberRole::Editor).await;
    for number in 1..MAX_SESSIONS {
        store.open_session(&session(&format!("s{number}"), by_password(&ada, "ada")), &act()).await.unwrap();
    }
    assert!(is_live(&store, "ada").await && is_live(&store, "s1").await);
    store.note_use(&digest("ada"), NOON.plus_seconds(60)).await.unwrap();
    store.open_session(&session("last", by_password(&ada, "ada")), &act()).await.unwrap();
    assert!(is_live(&store, "ada").await && is_live(&store, "last").await && !is_live(&store, "s1").await);
}

pub(super) async fn an_owner_ends_the_bootstrap_token(home: &dyn Home) {
    let store = home.open().await;
    let bootstrap = digest("bootstrap");
    store.set_bootstrap_digest(Some(&bootstrap), &act()).await.unwrap();
    store.open_session(&session("operator", SessionProof::Bootstrap(bootstrap)), &act()).await.unwrap();
    assert!(store.session(&digest("operator"), NOON).await.unwrap().unwrap().person.is_none());
    signed_in(&store, "eve", MemberRole::Admin).await;
    assert!(is_live(&store, "operator").await);
    let ada = add(&store, "ada", MemberRole::Owner).await;
    let opened = store.open_session(&session("ada", by_invitation("ada", "ada")), &act()).await.unwrap();
    assert!(opened.bootstrap_ended && !is_live(&store, "operator").await);
    assert_eq!(store.bootstrap_digest().await.unwrap(), Some(digest("spent")), "not gone: it would be made anew");
    for dead in ["bootstrap", "spent"] {
        let refused = store.open_session(&session("x", SessionProof::Bootstrap(digest(dead))), &act()).await;
        assert!(matches!(refused, Err(StoreError::CredentialEnded)), "{dead}: {refused:?}");
    }
    let again = store.open_session(&session("more", by_password(&ada, "ada")), &act()).await.unwrap();
    assert!(!again.bootstrap_ended);
    store.set_bootstrap_digest(Some(&digest("fresh")), &act()).await.unwrap();
    store.open_session(&session("o", SessionProof::Bootstrap(digest("fresh"))), &act()).await.unwrap();
    store.set_bootstrap_digest(Some(&digest("fresher")), &act()).await.unwrap();
    assert!(!is_live(&store, "o").await, "sessions by a token that was replaced end");
    let node = log(&store, None).await;
    let expected = ["bootstrap.make", "session.create", "bootstrap.end", "bootstrap.make", "session.create"];
    assert_eq!(actions(&node)[..5], expected);
    assert_eq!(node[2]["actor"]["type"], "member");
}

pub(super) async fn a_token_holds_one_organization(home: &dyn Home) {
    let store = home.open().await;
    let ada = signed_in(&store, "ada", MemberRole::Editor).await;
    let linked =
        NewMember { organization: other(), known: Some(ada.revision), ..new_member("ada", MemberRole::Viewer) };
    let ada = store.add_member(&linked, &act()).await.unwrap();
    let made = store.add_member_token(&acme(), &ada.id, &new_token("t"), Some(ada.revision), &act()).await.unwrap();
    assert_eq!(store.member_tokens(&acme(), &ada.id).await.unwrap(), std::slice::from_ref(&made));
    assert_eq!(store.member_token(&acme(), &ada.id, &made.id).await.unwrap(), made);
    assert!(store.member_tokens(&other(), &ada.id).await.unwrap().is_empty());
    store.edit_member(&acme(), &ada.id, &role(MemberRole::None), None, &act()).await.unwrap();
    let holder = store.token_holder(&digest("t"), NOON.plus_seconds(599)).await.unwrap().unwrap();
    assert_eq!(
        (holder.token, holder.person.roles),
        (made.id.clone(), vec![(acme(), MemberRole::None)]),
        "the live role"
    );
    assert!(store.token_holder(&digest("t"), NOON.plus_seconds(600)).await.unwrap().is_none());
    store.note_use(&digest("t"), NOON.plus_seconds(5)).await.unwrap();
    store.note_use(&digest("t"), NOON.plus_seconds(64)).await.unwrap();
    let used = store.member_token(&acme(), &ada.id, &made.id).await.unwrap();
    assert_eq!(used.last_used_at, Some(NOON.plus_seconds(5)));
    let elsewhere = store.remove_member_token(&other(), &ada.id, &made.id, &act()).await;
    assert!(matches!(elsewhere, Err(StoreError::MemberTokenNotFound)), "{elsewhere:?}");
    let stale = store.add_member_token(&acme(), &ada.id, &new_token("u"), Some(Revision(1)), &act()).await;
    assert!(matches!(stale, Err(StoreError::RevisionMismatch { .. })), "{stale:?}");
    store.remove_member_token(&acme(), &ada.id, &made.id, &act()).await.unwrap();
    assert!(!counts(&store, "t").await);
    let again = store.remove_member_token(&acme(), &ada.id, &made.id, &act()).await;
    assert!(matches!(again, Err(StoreError::MemberTokenNotFound)), "{again:?}");
}

pub(super) async fn tokens_are_bounded(home: &dyn Home) {
    let store = home.open().await;
    let ada = add(&store, "ada", MemberRole::Editor).await;
    for number in 0..MAX_MEMBER_TOKENS {
        let token = new_token(&format!("t{number}"));
        store.add_member_token(&acme(), &ada.id, &token, None, &act()).await.unwrap();
    }
    let refused = store.add_member_token(&acme(), &ada.id, &new_token("more"), None, &act()).await;
    assert!(matches!(refused, Err(StoreError::TooManyTokens)), "{refused:?}");
    let later = act_at(NOON.plus_seconds(600));
    store.add_member_token(&acme(), &ada.id, &new_token("later"), None, &later).await.unwrap();
    store.forget_ended(NOON.plus_seconds(600)).await.unwrap();
    assert!(store.member_tokens(&acme(), &ada.id).await.unwrap().is_empty());
}

pub(super) async fn sign_ins_are_told_where_their_person_belongs(home: &dyn Home) {
    let store = home.open().await;
    let ada = signed_in(&store, "ada", MemberRole::Editor).await;
    let linked =
        NewMember { organization: other(), known: Some(ada.revision), ..new_member("ada", MemberRole::Viewer) };
    store.add_member(&linked, &act()).await.unwrap();
    store.open_session(&session("more", by_password(&ada, "ada")), &act()).await.unwrap();
    assert_eq!(actions(&log(&store, Some(&acme())).await), ["member.add", "session.create", "session.create"]);
    assert_eq!(actions(&log(&store, Some(&other())).await), ["member.add", "session.create"]);
    assert!(log(&store, None).await.is_empty());
    let operator = MemberEdit { operator: Some(true), ..MemberEdit::default() };
    store.edit_member(&acme(), &ada.id, &operator, None, &act()).await.unwrap();
    store.end_session(&digest("more"), &act()).await.unwrap();
    assert_eq!(actions(&log(&store, None).await), ["member.edit", "session.end"]);
    let everything = format!("{:?}", log(&store, Some(&acme())).await);
    for secret in [digest("ada"), digest("more")] {
        assert!(!everything.contains(&secret.to_text()), "digests stay out of the log");
    }
}
