//! Request bodies of what was said on the command line, and nothing else: the rest is the control API's to decide.

use serde_json::{Map, Value, json};

/// An object of the fields that were said.
pub(super) fn said<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let said = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(said.collect::<Map<_, _>>())
}

/// A text that may have been said.
pub(super) fn text(given: Option<&str>) -> Option<Value> {
    given.map(|text| json!(text))
}

/// A list, where anything of it was said.
pub(super) fn list(given: &[String]) -> Option<Value> {
    (!given.is_empty()).then(|| json!(given))
}
