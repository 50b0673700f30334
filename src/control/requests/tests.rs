//! What is read of pasted requests.

use super::read::{Target, Written, read};

/// The method and where to, of a text of one request.
fn one(text: &str) -> Result<(String, String, String), &'static str> {
    let mut found = read(text);
    assert_eq!(found.len(), 1, "{text}: {found:?}");
    let (method, target) = found.remove(0).request?;
    Ok(match target {
        Target::Path(path) => (method, String::new(), path),
        Target::Url { authority, path } => (method, authority, path),
    })
}

#[test]
fn lines_and_commands_are_read() {
    for (text, method, authority, path) in [
        ("GET /cards/42", "GET", "", "/cards/42"),
        ("  get   /cards?x=1#y  ", "GET", "", "/cards"),
        ("POST https://a.test:8443/v1/cards?x=1 HTTP/1.1", "POST", "a.test:8443", "/v1/cards"),
        ("https://u:p@a.test", "GET", "a.test", "/"),
        ("/cards", "GET", "", "/cards"),
        ("curl https://a.test/v1/cards", "GET", "a.test", "/v1/cards"),
        ("$ curl -sSL 'https://a.test/v1/cards?a=b&c=d'", "GET", "a.test", "/v1/cards"),
        ("curl -XDELETE a.test/v1/cards/1", "DELETE", "a.test", "/v1/cards/1"),
        ("curl --request patch --url \"https://a.test/x\" --data '{}'", "PATCH", "a.test", "/x"),
        ("curl -H 'Authorization: Bearer a/b' -d @file https://a.test/x", "POST", "a.test", "/x"),
        ("curl --json '{\"a\": \"b\"}' https://a.test/x", "POST", "a.test", "/x"),
        ("curl --data-raw $'it\\'s' https://a.test/x", "POST", "a.test", "/x"),
        ("curl -G -d a=b https://a.test/x", "GET", "a.test", "/x"),
        ("curl -I https://a.test/x", "HEAD", "a.test", "/x"),
        ("curl -T file https://a.test/x", "PUT", "a.test", "/x"),
        ("curl --unheard-of some/value https://a.test/x", "GET", "a.test", "/x"),
        ("curl -d 'a\nb' \\\n  https://a.test/x | jq .\n", "POST", "a.test", "/x"),
        ("curl {{base}}/cards/1", "GET", "{{base}}", "/cards/1"),
        ("curl \"$BASE/cards\"", "GET", "$BASE", "/cards"),
        ("curl -- https://a.test/-x", "GET", "a.test", "/-x"),
        ("curl https://a.test/a\\\r\n -d x", "POST", "a.test", "/a"),
    ] {
        let expected = (method.to_owned(), authority.to_owned(), path.to_owned());
        assert_eq!(one(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_request_says_why() {
    for text in ["hello", "curl -X POST", "curl 'a", "curl \"a\\", "ftp://a.test/x", "GET http:///x", "curl $'a"] {
        assert!(one(text).is_err(), "{text}: {:?}", one(text));
    }
    assert!(one(&format!("GET /{}", "a".repeat(8000))).is_err());
    let long = read(&format!("curl -d '{}", "a\n".repeat(20_000))).remove(0);
    assert!(long.request.is_err_and(|why| why.contains("quote")));
    assert!(read("").is_empty() && read("\n\n# nothing\n").is_empty());
}

#[test]
fn lines_are_counted_and_bounded() {
    let lines = |found: &[Written]| found.iter().map(|written| written.line).collect::<Vec<_>>();
    assert_eq!(lines(&read("GET /a\n\ncurl \\\n http://a/b\nGET /c")), [1, 3, 5]);
    // A quote that is not closed takes its own line along and nothing else.
    assert_eq!(lines(&read("curl 'x\nGET /a\nGET /b")), [1, 2, 3]);
    let found = read(&"GET /a\n".repeat(1002));
    assert_eq!(found.len(), 1001);
    assert!(found[1000].request.is_err() && found[999].request.is_ok());
    assert!(found.iter().all(|written| written.text.len() < 600));
}

#[test]
fn a_hostile_text_takes_no_time() {
    let began = std::time::Instant::now();
    for text in ["curl '\n".repeat(1000), "curl \\\n".repeat(100_000), format!("curl {}", "'a' ".repeat(100_000))] {
        read(&text);
    }
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}
