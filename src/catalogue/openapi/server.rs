//! `servers` and `basePath`: where a document thinks its API is. Operations stay relative to the environment's base
//! URL; all that follows from servers is a note where they tell of another path.

use super::document::shape;
use super::error::ImportError;
use super::notes::Notes;
use super::pointer::below;
use super::sift::Kept;
use crate::model::{ImportNote, NoteKind, quoted};

/// A server of the whole document.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// Where it stands.
    pub(super) place: String,
    /// As it is written, with its variables' defaults.
    url: String,
    /// Its path without a slash at the end; `None` where that cannot be told.
    pub(super) path: Option<String>,
}

/// The servers of the document, in its order; a Swagger document has one.
pub(super) fn of_document(root: &Kept) -> Result<Vec<Server>, ImportError> {
    match root.member("basePath") {
        Some(Kept::Text(path)) if root.member("openapi").is_none() => {
            Ok(vec![server("/basePath".to_owned(), path.clone())])
        }
        Some(other) if root.member("openapi").is_none() => Err(shape("/basePath", other, "text")),
        Some(_) | None => Ok(of_list("", root)),
    }
}

/// Notes where a path or an operation has servers that the document does not have.
pub(super) fn note_override(place: &str, kept: &Kept, servers: &[Server], notes: &mut Notes) {
    let own = of_list(place, kept);
    let Some(other) = own.iter().find(|server| servers.iter().all(|known| known.url != server.url)) else { return };
    notes.add(NoteKind::OverrideServers, &below(place, "servers"), || {
        format!(
            "`{place}` has servers of its own (`{}`): its requests go to the environment's upstream all the same",
            quoted(&other.url)
        )
    });
}

fn of_list(place: &str, kept: &Kept) -> Vec<Server> {
    let place = below(place, "servers");
    let listed = kept.member("servers").map(Kept::elements).unwrap_or_default().iter().enumerate();
    listed.filter_map(|(at, element)| Some(server(format!("{place}/{at}"), url(element)?))).collect()
}

fn server(place: String, url: String) -> Server {
    Server { place, path: path(&url), url }
}

/// The longest URL of a server that is looked at, in bytes.
const MAX_URL_BYTES: usize = 2000;

/// The URL with the defaults of its variables, in which no other variables count; `None` where it is too long.
fn url(server: &Kept) -> Option<String> {
    let text = server.member("url")?.text().filter(|text| text.len() <= MAX_URL_BYTES)?;
    let variables = server.member("variables");
    let mut url = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}')?;
        url.push_str(before);
        match variables.and_then(|variables| variables.member(name)?.member("default")) {
            Some(Kept::Text(default) | Kept::Number(default)) => url.push_str(default),
            Some(Kept::Bool(_) | Kept::List(_) | Kept::Null | Kept::Object(_) | Kept::Passed) | None => {
                url.push_str(&format!("{{{name}}}"));
            }
        }
        if url.len() > MAX_URL_BYTES {
            return None;
        }
        rest = tail;
    }
    url.push_str(rest);
    Some(url)
}

/// The path of a URL that has a host, or that begins with its path.
fn path(url: &str) -> Option<String> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => match url.strip_prefix("//") {
            Some(rest) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
            None if url.is_empty() || url.starts_with('/') => url,
            None => return None,
        },
    };
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    (!path.contains(['{', '}'])).then(|| path.to_owned())
}

/// A note where none of the servers' paths is the end of where requests go: `upstream`, an upstream's path, with the
/// environment's prefix behind it.
pub(super) fn base_path_note(servers: &[Server], upstream: &str, prefix: &str) -> Option<ImportNote> {
    let goes_to = format!("{upstream}{prefix}");
    let fits = |server: &Server| server.path.as_deref().is_none_or(|path| goes_to.ends_with(path));
    let first = servers.first().filter(|_| !servers.iter().any(fits))?;
    let path = quoted(first.path.as_deref().unwrap_or_default());
    let shown = if goes_to.is_empty() { "/".to_owned() } else { quoted(&goes_to) };
    let message = format!(
        "the document's server is at the path `{path}`, but requests go to `{shown}` and the operation's path: put \
         `{path}` at the end of `upstream`, or say `openapi_prefix = \"{path}\"` if callers are to send it"
    );
    Some(ImportNote { kind: NoteKind::ServerBasePath, place: first.place.clone(), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_paths() {
        for (url, expected) in [
            ("https://api.example.com", Some("")),
            ("https://api.example.com/", Some("")),
            ("https://api.example.com/2.0/", Some("/2.0")),
            ("//api.example.com/v1?x#y", Some("/v1")),
            ("/v1", Some("/v1")),
            ("/", Some("")),
            ("", Some("")),
            ("../v1", None),
            ("https://api.example.com/{version}", None),
            ("https://{region}.example.com/v1", Some("/v1")),
        ] {
            assert_eq!(path(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn variables_stand_for_their_defaults_and_nothing_grows() {
        let text = |text: &str| Kept::Text(text.to_owned());
        let server = |url: &str, default: &str| {
            let variable = |name: &str| (name.to_owned(), Kept::Object(vec![("default".to_owned(), text(default))]));
            let variables = Kept::Object(vec![variable("a"), variable("b")]);
            Kept::Object(vec![("url".to_owned(), text(url)), ("variables".to_owned(), variables)])
        };
        assert_eq!(url(&server("/{a}/x/{b}/{c}", "v1")).unwrap(), "/v1/x/v1/{c}");
        assert_eq!(url(&server("/{a}", "{b}{b}")).unwrap(), "/{b}{b}");
        assert_eq!(url(&server("/{a", "v1")), None);
        let long = "x".repeat(MAX_URL_BYTES);
        assert_eq!(url(&server("{a}", &long)).unwrap(), long);
        assert_eq!(url(&server("/{a}", &long)), None);
        assert_eq!(url(&server(&long, "")).unwrap(), long);
        assert_eq!(url(&server(&format!("/{long}"), "")), None);
    }

    #[test]
    fn a_base_path_must_be_where_requests_go() {
        let servers = [server("/servers/0".to_owned(), "https://api.example.com/api/2.0".to_owned())];
        for (upstream, prefix, noted) in [
            ("", "", true),
            ("/api/2.0", "", false),
            ("/x/api/2.0", "", false),
            ("/api", "/2.0", false),
            ("", "/api/2.0", false),
            ("/2.0", "", true),
        ] {
            assert_eq!(base_path_note(&servers, upstream, prefix).is_some(), noted, "{upstream} {prefix}");
        }
        assert!(base_path_note(&[], "", "").is_none());
    }
}
