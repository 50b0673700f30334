//! The cookies of the control plane's pages. Cookies know no ports: a browser sends them to every listener of a host, and
//! takes them from every one, so that whoever serves there has to tell them apart.

/// What stands in each of their names.
const MARK: &[u8] = b"portcullis_";
const SESSION: &str = "portcullis_session";
const HOST_SESSION: &str = "__Host-portcullis_session";
const FORM: &str = "portcullis_form";
const HOST_FORM: &str = "__Host-portcullis_form";

/// The cookie of whoever is signed in, under https or not.
pub const fn session_cookie(tls: bool) -> &'static str {
    if tls { HOST_SESSION } else { SESSION }
}

/// The cookie that forms are bound to before there is a session.
pub const fn form_cookie(tls: bool) -> &'static str {
    if tls { HOST_FORM } else { FORM }
}

/// The name of the cookie that begins here: what stands before the first `=`, or all where there is none.
fn name(pair: &[u8]) -> &[u8] {
    pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii()
}

fn is_ours(name: &[u8]) -> bool {
    [SESSION, HOST_SESSION, FORM, HOST_FORM].iter().any(|ours| ours.as_bytes() == name)
}

/// Whether a `Cookie` header may hold one of ours. Quick: most hold none.
pub fn may_hold_own_cookie(header: &[u8]) -> bool {
    header.windows(MARK.len()).any(|window| window == MARK)
}

/// A `Cookie` header without ours, the others byte for byte; `None` where nothing is left.
pub fn without_own_cookies(header: &[u8]) -> Option<Vec<u8>> {
    let others: Vec<&[u8]> = header.split(|byte| *byte == b';').filter(|pair| !is_ours(name(pair))).collect();
    let left = others.join(&b';');
    let left = left.trim_ascii();
    left.iter().any(|byte| *byte != b';' && !byte.is_ascii_whitespace()).then(|| left.to_vec())
}

/// Whether a `Set-Cookie` header sets, or ends, one of ours. A cookie without a name is sent as its value alone, and so
/// `=portcullis_session=..` sets one as well.
pub fn sets_own_cookie(header: &[u8]) -> bool {
    let pair = header.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    is_ours(name(pair)) || pair.strip_prefix(b"=").is_some_and(|value| is_ours(name(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_go_and_others_stay() {
        for (header, left) in [
            ("portcullis_session=s", None),
            ("portcullis_session=s; __Host-portcullis_form=f;", None),
            ("a=1; portcullis_session=s; b=\"2\"", Some("a=1; b=\"2\"")),
            ("portcullis_form=f;a=1;  b", Some("a=1;  b")),
            ("a=1;__Host-portcullis_session = s", Some("a=1")),
            ("portcullis_session", None),
            ("a=portcullis_session=s", Some("a=portcullis_session=s")),
            ("xportcullis_session=1; portcullis_session2=2", Some("xportcullis_session=1; portcullis_session2=2")),
            ("Portcullis_session=1; ;b=2", Some("Portcullis_session=1; ;b=2")),
        ] {
            let kept = without_own_cookies(header.as_bytes()).map(|kept| String::from_utf8(kept).unwrap());
            assert_eq!(kept.as_deref(), left, "{header}");
        }
        assert!(may_hold_own_cookie(b"a=1; portcullis_form=2") && !may_hold_own_cookie(b"a=1; portcullis=2"));
    }

    #[test]
    fn names_are_compared_exactly() {
        for header in ["portcullis_session=s; Path=/", "  __Host-portcullis_form =; Max-Age=0", "=portcullis_form=1"] {
            assert!(sets_own_cookie(header.as_bytes()), "{header}");
        }
        for header in ["portcullis_sessions=s", "a=portcullis_session", "a=1; portcullis_session=s", ""] {
            assert!(!sets_own_cookie(header.as_bytes()), "{header}");
        }
    }
}
