//! The judge itself: what it must notice, it notices.

use super::browser::Browser;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A server of one page per path, with a strict policy; `/elsewhere` has a picture of the server at `other`.
fn pages(other: Option<SocketAddr>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            let _ = lines.take_while(|line| !line.is_empty()).count();
            let body = match first.split(' ').nth(1).unwrap_or_default() {
                "/inline" => "<script>document.title = 'run'</script>".to_owned(),
                "/elsewhere" => format!("<img alt='' src='http://{}/x.png'>", other.unwrap()),
                "/unnamed" => "<button></button><input>".to_owned(),
                "/wide" => format!("<p>{}", "wide".repeat(200)),
                _ => "<p>nothing wrong<button>One</button><label>Field <input></label>".to_owned(),
            };
            let page = format!(
                "<!doctype html><html lang=en><title>T</title><link rel=icon href='data:,'><main><h1>T</h1>{body}</main>"
            );
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Security-Policy: default-src \
                 'none'; img-src * data:\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                page.len()
            );
            // The browser may have gone.
            let _ = stream.write_all(format!("{head}{page}").as_bytes());
        }
    });
    address
}

/// Whether the judgement fails; what it says of the failure goes to stderr as usual.
fn fails(judge: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(judge)).is_err()
}

#[test]
fn the_judge_notices_what_is_wrong() {
    let browser = Browser::start(pages(Some(pages(None))));
    browser.open("/sound");
    browser.judge("sound");
    assert_eq!((browser.names("button"), browser.has("textbox", "Field")), (vec!["One".to_owned()], true));
    browser.fill("Field", "typed");
    assert_eq!(browser.value("Field"), "typed");
    browser.tab_to("One");

    browser.open("/inline");
    assert!(fails(|| browser.quiet()), "an inline script is not noticed");
    browser.open("/elsewhere");
    assert!(fails(|| browser.quiet()), "a request for another host is not noticed");
    browser.open("/unnamed");
    let told = crate::tools::tool("axe").is_some();
    assert_eq!(fails(|| browser.axe()), told, "a button without a name is not noticed");
    browser.open("/wide");
    browser.look(super::browser::PHONE, "dark");
    assert!(fails(|| browser.fits()), "a page that is too wide is not noticed");
    let dark = browser.run("return matchMedia('(prefers-color-scheme: dark)').matches && innerWidth", &[]);
    assert_eq!(dark, 360);
}
