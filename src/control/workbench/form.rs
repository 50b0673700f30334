//! Forms and queries as browsers send them (`application/x-www-form-urlencoded`): names and values, in order.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// The most fields of one form: every permission of a large API, several times over.
const MOST_FIELDS: usize = 20_000;

/// What came with a form or in a query.
#[derive(Clone, Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form, up to its 20,000th field. Line ends become `\n`; what is no UTF-8 becomes U+FFFD, which no rule takes.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(bytes).take(MOST_FIELDS);
        Self(pairs.map(|(name, value)| (name.into_owned(), value.replace("\r\n", "\n"))).collect())
    }

    /// The first value of that name.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The same where an empty field is as good as none.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.text(name).map(str::trim).filter(|text| !text.is_empty())
    }

    /// Every value of that name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a box of that name was ticked, or a field sent at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    /// A password or token.
    pub(super) fn secret(&self, name: &str) -> Option<Zeroizing<String>> {
        self.text(name).map(|text| Zeroizing::new(text.to_owned()))
    }

    /// Everything but what proves who sent it, to be sent again.
    pub(super) fn carried(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pairs.filter(|(name, _)| !matches!(*name, "csrf" | "step" | "once") && !name.contains("password"))
    }

    /// The same as text.
    pub(super) fn to_text(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.carried()).finish()
    }

    /// The same as a field of another form, where it is not to grow much.
    pub(super) fn to_field(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.to_text())
    }

    /// Reads such a field; nothing where it is none.
    pub(super) fn of_field(text: &str) -> Self {
        URL_SAFE_NO_PAD.decode(text).map(|bytes| Self::read(&bytes)).unwrap_or_default()
    }
}

/// A path with a query of these names and values; those without a value are left out.
pub(super) fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let filled = pairs.iter().filter(|(_, value)| !value.is_empty());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(filled).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_more_than_once() {
        let form = Form::read(b"permission=a&permission=b%20c&networks=1%0D%0A2&empty=&csrf=x&new_password=y");
        assert_eq!(form.all("permission").collect::<Vec<_>>(), ["a", "b c"]);
        assert_eq!(form.text("networks"), Some("1\n2"));
        assert_eq!((form.text("empty"), form.filled("empty"), form.text("none")), (Some(""), None, None));
        assert_eq!(form.to_text(), "permission=a&permission=b+c&networks=1%0A2&empty=");
        assert_eq!(Form::of_field(&form.to_field()).to_text(), form.to_text());
        assert_eq!(Form::of_field("%%").to_text(), "");
    }

    #[test]
    fn queries_hold_what_has_a_value() {
        assert_eq!(with_query("/a", &[("q", "x y"), ("type", "")]), "/a?q=x+y");
        assert_eq!(with_query("/a", &[("q", "")]), "/a");
    }
}
