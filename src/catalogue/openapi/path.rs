//! The path of a document in a form that requests can have.

use crate::catalogue::{Template, TemplateError};

/// The longest path, in bytes: no request is longer by default.
const MAX_BYTES: usize = 8 * 1024;

/// A path as operations take it.
#[derive(Debug)]
pub(super) struct Written {
    /// The path template, without prefix.
    pub(super) path: String,
    /// The same, parsed, with the prefix.
    pub(super) template: Template,
    /// A fragment or a query was cut off.
    pub(super) cut: bool,
    /// Characters or touching parameters were written differently.
    pub(super) tidied: bool,
    /// A parameter is marked, in a way of other tools, to stand for several segments.
    pub(super) greedy: bool,
}

/// Reads a path of the document.
///
/// # Errors
///
/// Why no request can have the path.
pub(super) fn read(text: &str, prefix: &str) -> Result<Written, String> {
    if !text.starts_with('/') {
        return Err("a path starts with `/`".to_owned());
    }
    if text.len() > MAX_BYTES {
        return Err(format!("a path has at most {MAX_BYTES} bytes"));
    }
    let (path, cut, tidied) = tidy(text);
    let template = Template::parse(&format!("{prefix}{path}")).map_err(|error: TemplateError| error.to_string())?;
    let greedy = is_greedy(&path);
    Ok(Written { path, template, cut, tidied, greedy })
}

/// `{path+}` and `{path*}` (API Gateway), `{+path}` (RFC 6570 section 3.2.3), `{*path}`.
fn is_greedy(path: &str) -> bool {
    path.split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .any(|name| name.starts_with(['+', '*']) || name.ends_with(['+', '*']))
}

/// Cuts fragment and query off. What stands where no request could have it is percent-encoded, or becomes `_` in the
/// name of a parameter; parameters that touch become one.
fn tidy(text: &str) -> (String, bool, bool) {
    let mut path = String::with_capacity(text.len());
    let (mut inside, mut tidied) = (false, false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '?' | '#' if !inside => return (path, true, tidied),
            // A form-style or fragment expansion (RFC 6570 sections 3.2.4, 3.2.8 and 3.2.9).
            '{' if rest.peek().is_some_and(|next| matches!(next, '?' | '#' | '&')) => return (path, true, tidied),
            '{' if !inside && path.ends_with('}') => {
                path.pop();
                path.push('-');
                (inside, tidied) = (true, true);
            }
            '{' | '}' => {
                inside = c == '{';
                path.push(c);
            }
            '?' | '#' => {
                path.push('_');
                tidied = true;
            }
            _ if c == ' ' || c.is_ascii_control() => {
                if inside {
                    path.push('_');
                } else {
                    path.push_str(&format!("%{:02X}", u32::from(c)));
                }
                tidied = true;
            }
            _ => path.push(c),
        }
    }
    (path, false, tidied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_take_a_form_that_requests_have() {
        for (given, path, cut, tidied) in [
            ("/a/{id}", "/a/{id}", false, false),
            ("/Calls/{Sid}.json", "/Calls/{Sid}.json", false, false),
            ("/a#b", "/a", true, false),
            ("/a?b={c}", "/a", true, false),
            ("/a?b#c", "/a", true, false),
            ("/a{?b,c}", "/a", true, false),
            ("/a/{b}{#c}", "/a/{b}", true, false),
            ("/a/{b c}", "/a/{b_c}", false, true),
            ("/a b/{c?}", "/a%20b/{c_}", false, true),
            ("/a/{b}{c}.{d}", "/a/{b-c}.{d}", false, true),
            ("/a/{b}{c}{d}", "/a/{b-c-d}", false, true),
            ("/a/{b}/{c}", "/a/{b}/{c}", false, false),
            ("/é", "/é", false, false),
            ("/#x", "/", true, false),
        ] {
            let written = read(given, "").unwrap();
            assert_eq!((written.path.as_str(), written.cut, written.tidied), (path, cut, tidied), "{given}");
        }
        for (given, greedy) in
            [("/{a+}", true), ("/x/{+a}/y", true), ("/{*a}", true), ("/{a*}", true), ("/+{a}*", false)]
        {
            assert_eq!(read(given, "").unwrap().greedy, greedy, "{given}");
        }
        assert_eq!(read("/a", "/v1").unwrap().template, Template::parse("/v1/a").unwrap());
    }

    #[test]
    fn paths_that_no_request_has_are_refused() {
        for text in ["", "a", "#a", "/a//b", "/a/../b", "/{a", "/a}", "/{}", "/a\\b", "/{a/b}"] {
            assert!(read(text, "").is_err(), "{text}");
        }
        assert!(read(&format!("/{}", "a".repeat(MAX_BYTES - 1)), "").is_ok());
        assert!(read(&format!("/{}", "a".repeat(MAX_BYTES)), "").is_err());
    }
}
