//! Whether two JSON values have one shape: the same keys, the same types, texts of the same kind.

use portcullis::model::Timestamp;
use serde_json::Value;

/// What a key has done so far: a matter of when the counts are written.
const EITHER: &[&str] = &["last_used_at", "last_address", "last_sign_in_at"];
/// Whatever an action changed.
const FREE: &[&str] = &["before", "after"];
/// Prefixes that tell what an id or a secret is.
const PREFIXES: &[&str] = &["pcull_", "pculls_", "pculli_", "pcullm_", "pcullse_", "pcullo_", "mbr_", "sha256:"];

/// Every difference of shape between what the page shows and what was printed, with its place.
pub(super) fn differences(shown: &Value, printed: &Value, at: &str) -> Vec<String> {
    match (shown, printed) {
        (Value::Object(shown), Value::Object(printed)) => {
            let missing = shown.keys().filter(|name| !printed.contains_key(*name));
            let mut found: Vec<String> = missing.map(|name| format!("{at}.{name} is not printed")).collect();
            for (name, value) in printed {
                let at = format!("{at}.{name}");
                match shown.get(name) {
                    None => found.push(format!("{at} is not on the page: {value}")),
                    Some(_) if FREE.contains(&name.as_str()) => {}
                    Some(known) if EITHER.contains(&name.as_str()) && (known.is_null() || value.is_null()) => {}
                    Some(known) => found.extend(differences(known, value, &at)),
                }
            }
            found
        }
        (Value::Array(shown), Value::Array(printed)) if shown.is_empty() != printed.is_empty() => {
            vec![format!("{at} has {} elements, on the page {}", printed.len(), shown.len())]
        }
        (Value::Array(shown), Value::Array(printed)) => {
            (0..).zip(printed).flat_map(|(i, value)| closest(shown, value, &format!("{at}[{i}]"))).collect()
        }
        (Value::String(shown), Value::String(printed)) => text(shown, printed, at),
        (Value::Null, Value::Null) | (Value::Bool(_), Value::Bool(_)) | (Value::Number(_), Value::Number(_)) => vec![],
        _ => vec![format!("{at} is {printed}, on the page {shown}")],
    }
}

/// An element has the shape of any that is shown; else its differences from the likest.
pub(super) fn closest(shown: &[Value], printed: &Value, at: &str) -> Vec<String> {
    let all = shown.iter().map(|one| differences(one, printed, at));
    all.min_by_key(Vec::len).unwrap_or_else(|| vec![format!("{at} is not on the page: {printed}")])
}

fn text(shown: &str, printed: &str, at: &str) -> Vec<String> {
    let prefix = |text: &str| PREFIXES.iter().find(|prefix| text.starts_with(**prefix)).copied();
    let instant = |text: &str| Timestamp::parse(text).is_ok();
    if prefix(shown) == prefix(printed) && instant(shown) == instant(printed) {
        return vec![];
    }
    vec![format!("{at} is `{printed}`, on the page `{shown}`: another kind of text")]
}

/// Ids and secrets of the page beside those that were really made, from the same places. Anything longer than a word
/// and of letters, digits and `_` alone is one.
pub(super) fn pairs(shown: &Value, printed: &Value) -> Vec<(String, String)> {
    match (shown, printed) {
        (Value::Object(shown), Value::Object(printed)) => {
            shown.iter().filter_map(|(name, value)| Some(pairs(value, printed.get(name)?))).flatten().collect()
        }
        (Value::Array(shown), Value::Array(printed)) => {
            shown.iter().zip(printed).flat_map(|(shown, printed)| pairs(shown, printed)).collect()
        }
        (Value::String(shown), Value::String(printed)) if shown.len() >= 20 && shown != printed && is_id(shown) => {
            vec![(shown.clone(), printed.clone())]
        }
        _ => vec![],
    }
}

fn is_id(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shapes_are_compared_and_values_are_not() {
        let shown = json!({"id": "pcull_a", "at": "2026-01-01T00:00:00Z", "n": 1, "on": true, "none": null,
            "list": [{"x": 1}, {"x": "a"}], "empty": [], "last_used_at": null, "after": {"a": 1}});
        let same = json!({"id": "pcull_b", "at": "2027-01-01T00:00:00Z", "n": 2, "on": false, "none": null,
            "list": [{"x": "b"}], "empty": [], "last_used_at": "2027-01-01T00:00:00Z", "after": null});
        assert_eq!(differences(&shown, &same, ""), Vec::<String>::new());
        let changes = [
            ("/id", json!("pculls_b")),
            ("/at", json!("soon")),
            ("/n", json!("2")),
            ("/on", Value::Null),
            ("/none", json!(1)),
            ("/list", json!([])),
            ("/list", json!([{"y": 1}])),
            ("/empty", json!([1])),
        ];
        for (pointer, value) in changes {
            let mut other = same.clone();
            *other.pointer_mut(pointer).unwrap() = value;
            assert!(!differences(&shown, &other, "").is_empty(), "{pointer}");
        }
        let mut other = same.clone();
        other["more"] = json!(1);
        assert_eq!(differences(&shown, &other, ""), [".more is not on the page: 1"]);
        assert_eq!(differences(&json!({"a": 1}), &json!({}), ""), [".a is not printed"]);
    }

    #[test]
    fn ids_are_paired_by_their_places() {
        let shown = json!({"data": [{"id": "pcull_3kTqR7yUe5WsZ1xCvB9nMa", "name": "a longer name than an id has"}]});
        let printed = json!({"data": [{"id": "pcull_x", "name": "n"}]});
        assert_eq!(pairs(&shown, &printed), [("pcull_3kTqR7yUe5WsZ1xCvB9nMa".to_owned(), "pcull_x".to_owned())]);
    }
}
