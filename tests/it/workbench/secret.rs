//! The page with a secret, without a browser: what its file holds, and what comes when its form is sent again.

use super::house::House;
use super::visitor::Page;

fn attribute<'p>(page: &'p Page, before: &str) -> &'p str {
    let rest = page.text.split_once(before).unwrap_or_else(|| panic!("no {before}: {}", page.text)).1;
    rest.split('"').next().unwrap()
}

#[test]
fn the_file_holds_what_a_program_needs_and_the_form_works_once() {
    let house = House::start();
    let mut editor = house.visitor("editor");
    let path = "/o/acme/e/production/keys/new";
    let form = editor.get(path).expect(200);
    let fields = [("name", "file"), ("permission", "cards:read"), ("addresses", "any"), ("expiry", "none")];
    let fields = fields.map(|(name, value)| (name, value.to_owned()));
    let made = editor.submit(&form, path, &fields).expect(200);
    assert_eq!(made.heading(), "Copy the secret now");
    let key = &house.named("file")[0];
    let id = key["client_id"].as_str().unwrap();
    let secret = attribute(&made, "<code id=\"client-secret\" data-secret>").split('<').next().unwrap();
    let file = attribute(&made, "href=\"data:text/plain;charset=utf-8,");
    let pairs: Vec<(String, String)> = form_urlencoded::parse(format!("file={file}").as_bytes()).into_owned().collect();
    let base = "http://gate.test/v1/production";
    assert_eq!(
        pairs[0].1,
        format!(
            "PORTCULLIS_CLIENT_ID={id}\nPORTCULLIS_CLIENT_SECRET={secret}\nPORTCULLIS_TOKEN_URL={base}/oauth2/token\n\
             PORTCULLIS_BASE_URL={base}\n"
        )
    );
    assert_eq!(attribute(&made, "download=\""), format!("{id}.env"));
    let again = editor.submit(&form, path, &fields).expect(200);
    assert_eq!(again.heading(), "The secret was shown already");
    assert!(!again.text.contains(secret));
    assert_eq!(house.named("file").len(), 1);
    // The same form with something else in it is no repetition, and is asked about.
    let other = fields.map(|(name, value)| (name, if name == "name" { "other".to_owned() } else { value }));
    editor.submit(&form, path, &other).expect(422);
    assert!(house.named("other").is_empty());
}
