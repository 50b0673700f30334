//! `portcullis status`: what a node says of itself.

use super::client::Client;
use super::failure::Failure;
use super::options::ClientOptions;
use super::output::{facts, print, print_json};
use serde_json::Value;

/// Show what a node says of itself
#[derive(clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    options: ClientOptions,
}

impl Status {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let status = Client::new(&self.options)?.get("/v1/status", &[])?;
        if self.options.is_json() {
            return print_json(&status);
        }
        let mut rows = Vec::new();
        flatten(String::new(), &status, &mut rows);
        let rows: Vec<(&str, String)> = rows.iter().map(|(path, text)| (path.as_str(), text.clone())).collect();
        print(&facts(&rows))
    }
}

/// Every leaf of `value` with its dotted path, so that whatever a newer node reports is shown too.
fn flatten(path: String, value: &Value, rows: &mut Vec<(String, String)>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| flatten(below(name), value, rows)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| flatten(below(&index.to_string()), item, rows));
        }
        Value::Null => rows.push((path, "-".to_owned())),
        Value::String(text) => rows.push((path, text.clone())),
        Value::Bool(_) | Value::Number(_) => rows.push((path, value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_leaf_is_shown() {
        let mut rows = Vec::new();
        flatten(String::new(), &json!({"a": {"b": 1, "c": [true, null]}, "d": "x"}), &mut rows);
        let shown: Vec<String> = rows.iter().map(|(path, text)| format!("{path}={text}")).collect();
        assert_eq!(shown, ["a.b=1", "a.c.0=true", "a.c.1=-", "d=x"]);
    }
}
