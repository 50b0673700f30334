//! HTTP with cookies: what a browser sends, without one.

use crate::process::Wire;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Somebody with cookies.
pub(super) struct Visitor {
    wire: Wire,
    origin: String,
    pub(super) cookies: BTreeMap<String, String>,
}

/// An answer as a page.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) text: String,
}

impl Page {
    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}{}", self.head, self.text);
        self
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields(name).next()
    }

    pub(super) fn fields(&self, name: &str) -> impl Iterator<Item = &str> {
        self.head.lines().filter_map(move |line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The value of a hidden field.
    pub(super) fn hidden(&self, name: &str) -> Option<String> {
        self.text.split("<input").skip(1).find_map(|rest| {
            let tag = rest.split('>').next()?;
            let attribute = |key: &str| tag.split(&format!(" {key}=\"")).nth(1)?.split('"').next();
            (attribute("name") == Some(name)).then(|| attribute("value").unwrap_or_default().to_owned())
        })
    }

    /// The words of the `h1`.
    pub(super) fn heading(&self) -> String {
        let rest = self.text.split("<h1").nth(1).and_then(|rest| rest.split_once('>')).map_or("", |(_, rest)| rest);
        rest.split("</h1>").next().unwrap_or_default().trim().to_owned()
    }
}

impl Visitor {
    pub(super) fn new(control: SocketAddr) -> Self {
        let wire = Wire::new(control, &control.to_string());
        Self { wire, origin: format!("http://{control}"), cookies: BTreeMap::new() }
    }

    /// One request and its answer; cookies are kept.
    #[track_caller]
    pub(super) fn send(&mut self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Page {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut fields = fields.to_vec();
        if !cookies.is_empty() {
            fields.push(("Cookie", &cookies));
        }
        let answer = self.wire.send(method, path, &fields, body.as_bytes()).unwrap();
        let page = Page { status: answer.status, text: answer.text(), head: answer.head };
        for cookie in page.fields("set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() || cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        page
    }

    #[track_caller]
    pub(super) fn get(&mut self, path: &str) -> Page {
        self.send("GET", path, &[("Sec-Fetch-Site", "same-origin")], "")
    }

    /// A form as a browser sends it from a page of the workbench.
    #[track_caller]
    pub(super) fn post(&mut self, path: &str, form: &[(&str, String)]) -> Page {
        let origin = self.origin.clone();
        self.post_from(path, form, &[("Origin", &origin), ("Sec-Fetch-Site", "same-origin")])
    }

    /// A form with these header fields.
    #[track_caller]
    pub(super) fn post_from(&mut self, path: &str, form: &[(&str, String)], fields: &[(&str, &str)]) -> Page {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([kind]).collect();
        self.send("POST", path, &fields, &body.finish())
    }

    /// Fills in the form of a page, hidden fields and all.
    #[track_caller]
    pub(super) fn submit(&mut self, page: &Page, path: &str, form: &[(&str, String)]) -> Page {
        let hidden = ["csrf", "once", "revision"];
        let hidden = hidden.into_iter().filter_map(|name| page.hidden(name).map(|value| (name, value)));
        let form: Vec<(&str, String)> = hidden.chain(form.iter().cloned()).collect();
        self.post(path, &form)
    }
}
