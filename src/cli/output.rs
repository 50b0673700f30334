//! What commands print: JSON as the control API gave it, or aligned plain columns. Never a colour, so that a
//! pipe, `NO_COLOR` and a terminal see the same bytes.

use super::failure::Failure;
use crate::model::escaped;
use serde_json::Value;
use std::borrow::Cow;
use std::io::Write;

/// What stands where nothing is.
pub(super) const NOTHING: &str = "-";

/// The form of the data on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Form {
    /// The control API's own objects.
    Json,
    /// Columns for people.
    Table,
}

/// Writes text to stdout and ends the line.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}

/// Writes JSON to stdout, indented.
pub(super) fn print_json(value: &Value) -> Result<(), Failure> {
    print(&format!("{value:#}"))
}

/// Says something on stderr. Words are a courtesy: a closed stderr fails nothing.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", visible(text));
}

/// Columns under their headings, two spaces apart, no space at line ends.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let heading_row = headings.map(String::from);
    let lines = std::iter::once(&heading_row).chain(rows).map(|row| row.iter().map(|cell| visible(cell)));
    align(lines)
}

/// One fact a line: label, value.
pub(super) fn facts(rows: &[(&str, String)]) -> String {
    align(rows.iter().map(|(label, value)| [visible(label), visible(value)]))
}

/// What stands under `name`, for one cell of a table: `-` for nothing, lists joined by commas.
pub(super) fn cell(value: &Value, name: &str) -> String {
    value.get(name).map_or_else(|| NOTHING.to_owned(), text)
}

/// A value as one cell.
fn text(value: &Value) -> String {
    match value {
        Value::Null => NOTHING.to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => NOTHING.to_owned(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// Every leaf of `value` with its dotted path, one a line, so that whatever a newer node reports is shown too.
pub(super) fn leaves(value: &Value) -> String {
    let mut rows = Vec::new();
    flatten(String::new(), value, &mut rows);
    let rows: Vec<(&str, String)> = rows.iter().map(|(path, text)| (path.as_str(), text.clone())).collect();
    facts(&rows)
}

fn flatten(path: String, value: &Value, rows: &mut Vec<(String, String)>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| flatten(below(name), value, rows)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| flatten(below(&index.to_string()), item, rows));
        }
        Value::Null | Value::String(_) | Value::Bool(_) | Value::Number(_) => rows.push((path, text(value))),
    }
}

/// Text with what nobody sees made visible, so that a key's description can neither steer a terminal nor forge a line.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    escaped(text)
}

fn align<'a, R: IntoIterator<Item = Cow<'a, str>>>(rows: impl IntoIterator<Item = R>) -> String {
    let rows: Vec<Vec<Cow<'_, str>>> = rows.into_iter().map(|row| row.into_iter().collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|i| rows.iter().filter_map(|row| row.get(i)).map(|c| c.chars().count()).max().unwrap_or(0))
        .collect();
    let lines = rows.iter().map(|row| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_align_and_lines_end_clean() {
        let rows = [["a".to_owned(), "x".to_owned()], ["long".to_owned(), String::new()]];
        assert_eq!(table(["ID", "N"], &rows), "ID    N\na     x\nlong");
        assert_eq!(facts(&[("name", "é".to_owned()), ("id", "1".to_owned())]), "name  é\nid    1");
        assert_eq!(table(["ID"], &[]), "ID");
    }

    #[test]
    fn cells_hold_any_value() {
        let value = json!({"text": "x", "none": null, "list": ["a", 1], "empty": [], "flag": true});
        let cells = ["text", "none", "list", "empty", "flag", "absent"].map(|name| cell(&value, name));
        assert_eq!(cells, ["x", "-", "a, 1", "-", "true", "-"]);
    }

    #[test]
    fn every_leaf_is_shown() {
        let shown = leaves(&json!({"a": {"b": 1, "c": [true, null]}, "d": "x"}));
        assert_eq!(shown, "a.b    1\na.c.0  true\na.c.1  -\nd      x");
    }

    #[test]
    fn hidden_characters_are_shown() {
        assert_eq!(visible("plain é"), "plain é");
        assert_eq!(visible("a\u{1b}[0m\nb\u{202e}"), "a\\u{1b}[0m\\nb\\u{202e}");
    }
}
