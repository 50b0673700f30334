//! Forms that are older than what they are about, cut short, or too long: nothing is widened by what they leave out.

use super::house::House;
use super::visitor::{Page, Visitor};
use serde_json::json;

const KEYS: &str = "/o/acme/e/production/keys";

type Form = Vec<(&'static str, String)>;

fn form(pairs: &[(&'static str, &str)]) -> Form {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// An edit that opens a key to any address, with what is on top of it.
fn opening(more: &[(&'static str, &str)]) -> Form {
    [form(&[("permission", "cards:read"), ("addresses", "any"), ("networks", "")]), form(more)].concat()
}

fn tighten(house: &House, id: &str) {
    let body = json!({"allowlist": {"networks": ["192.0.2.1"], "platform": false}});
    house.done("PATCH", &format!("/v1{}/{id}", "/organizations/acme/environments/production/keys"), &body);
}

fn submit(visitor: &mut Visitor, page: &Page, path: &str, form: &Form) -> Page {
    visitor.submit(page, path, form)
}

#[test]
fn an_old_form_stays_old_through_steps_and_mistakes() {
    let house = House::start();
    for role in ["owner", "editor"] {
        let id = house.key(&json!({"name": format!("old {role}"), "permissions": ["cards:read"]})).0;
        let path = format!("{KEYS}/{id}/edit");
        let mut visitor = house.visitor(role);
        let page = visitor.get(&path).expect(200);
        tighten(&house, &id);
        let name = format!("old {role}");
        let stepped = submit(&mut visitor, &page, &path, &opening(&[("name", &name), ("step", "review")])).expect(200);
        assert_eq!(stepped.hidden("revision"), page.hidden("revision"), "{role}");
        // An owner's mistake is told before the revision is looked at; an editor's is not judged at all then.
        let slip = submit(&mut visitor, &stepped, &path, &opening(&[("name", "")]));
        if slip.status == 422 {
            assert_eq!(slip.hidden("revision"), page.hidden("revision"), "{role}");
        }
        let told = submit(&mut visitor, &stepped, &path, &opening(&[("name", &name)])).expect(412);
        assert!(told.text.contains("changed this key meanwhile"), "{}", told.text);
        assert!(told.text.contains("the key takes the allowlist alone, yours any address"), "{}", told.text);
        assert_eq!(house.shown(&id)["allowlist"]["networks"], json!(["192.0.2.1"]), "{role}");
        // Who has been told may go on.
        submit(&mut visitor, &told, &path, &opening(&[("name", &name)])).expect(303);
        assert_eq!(house.shown(&id)["allowlist"], json!(null), "{role}");
    }
}

#[test]
fn a_form_without_a_revision_is_as_old_as_can_be() {
    let house = House::start();
    let id = house.keys["branch-office"].clone();
    let mut owner = house.visitor("owner");
    let csrf = owner.get("/account").expect(200).hidden("csrf").unwrap();
    for (rest, fields) in [
        ("edit", opening(&[("name", "branch-office")])),
        ("rotate", form(&[("expiry", "none"), ("addresses", "any")])),
        ("revoke", form(&[])),
        ("remove-unused", form(&[])),
    ] {
        for revision in ["", "x", "0"] {
            let own = form(&[("csrf", &csrf), ("revision", revision)]);
            let answer = owner.post(&format!("{KEYS}/{id}/{rest}"), &[fields.clone(), own].concat());
            assert!([412, 422].contains(&answer.status), "{rest} {revision}: {}", answer.head);
        }
    }
    let key = house.shown(&id);
    assert_eq!((&key["status"], &key["secret_version"]), (&json!("active"), &json!(1)));
    assert_eq!(key["allowlist"]["networks"], json!(["192.0.2.0/24"]));
}

#[test]
fn what_is_left_out_or_contradicts_itself_widens_nothing() {
    let house = House::start();
    let mut editor = house.visitor("editor");
    let page = editor.get(&format!("{KEYS}/new")).expect(200);
    let path = format!("{KEYS}/new");
    for (fields, words) in [
        // A list, and "any address" beside it.
        (
            form(&[("permission", "cards:read"), ("addresses", "any"), ("networks", "192.0.2.1"), ("expiry", "none")]),
            "any address is chosen, and there is a list",
        ),
        // "Only these", and none.
        (form(&[("permission", "cards:read"), ("addresses", "only"), ("expiry", "none")]), "Allowlist"),
        // A preset, and boxes that say something else.
        (
            form(&[("preset", "Everything"), ("permission", "cards:read"), ("addresses", "any"), ("expiry", "none")]),
            "the boxes say something else",
        ),
        // The boxes of a preset, all emptied.
        (
            form(&[("preset", "Everything"), ("boxes", "Everything"), ("addresses", "any"), ("expiry", "none")]),
            "at least one permission",
        ),
        // No choice of an expiry.
        (form(&[("permission", "cards:read"), ("addresses", "any")]), "choose until when"),
    ] {
        let answer = submit(&mut editor, &page, &path, &[fields, form(&[("name", "wide")])].concat()).expect(422);
        assert!(answer.text.to_lowercase().contains(&words.to_lowercase()), "{words}: {}", answer.text);
    }
    assert!(house.named("wide").is_empty());
}

#[test]
fn long_forms_are_for_those_who_may_change_keys() {
    let house = House::start();
    let long = "192.0.2.1\n".repeat(8_000);
    let judge = "/o/acme/e/production/allowlist";
    for (role, status) in [("editor", 200), ("viewer", 400), ("none", 400)] {
        let mut visitor = house.visitor(role);
        let csrf = visitor.get("/account").expect(200).hidden("csrf").unwrap();
        let answer = visitor.post(judge, &form(&[("csrf", &csrf), ("networks", &long)]));
        assert_eq!(answer.status, status, "{role}: {}", answer.head);
    }
    // Where nothing long is asked for, nothing long is read; one without a session has little room anyway.
    let mut owner = house.visitor("owner");
    let csrf = owner.get("/account").expect(200).hidden("csrf").unwrap();
    owner.post("/sign-out", &form(&[("csrf", &csrf), ("more", &long)])).expect(400);
    owner.get("/account").expect(200);
    house.anonymous().post(judge, &form(&[("networks", &long)])).expect(400);
}
