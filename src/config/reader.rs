//! A small reader over TOML whose values remember their place.
//!
//! A [`Reader`] hands out the keys of one table and remembers which were asked for; whatever is left when it ends
//! is an unknown key. A [`Value`] turns into a type or into a problem at its own line, never into a default.

use super::json::ROOT;
use super::quantity::{duration, duration_text, size, size_text};
use super::sheet::Sheet;
use crate::model::{Timestamp, quoted};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// A value and the line it stands on.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) line: usize,
}

/// Parses a whole sheet, reports what is not TOML, and reads what was understood.
pub(super) fn read_document<T>(sheet: &Sheet, read: impl FnOnce(&mut Reader<'_>) -> T) -> T {
    let (tree, errors) = DeTable::parse_recoverable(sheet.text());
    for error in errors {
        let line = error.span().map_or(1, |span| sheet.line(span.start));
        sheet.syntax(line, format!("is not TOML: {}", error.message()));
    }
    let mut reader = Reader::new(sheet, Some(tree.get_ref()), String::new(), 1);
    let read = read(&mut reader);
    reader.finish();
    read
}

/// Reads a JSON document that was made into a table.
pub(super) fn read_table<'a, T>(
    sheet: &'a Sheet,
    table: &'a DeTable<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> T,
) -> T {
    let mut reader = Reader::new(sheet, Some(table), String::new(), ROOT);
    let read = read(&mut reader);
    reader.finish();
    read
}

/// One table.
pub(super) struct Reader<'a> {
    sheet: &'a Sheet,
    table: Option<&'a DeTable<'a>>,
    name: String,
    line: usize,
    known: Vec<&'static str>,
    /// What tenant files alone have, and was told of.
    elsewhere: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    fn new(sheet: &'a Sheet, table: Option<&'a DeTable<'a>>, name: String, line: usize) -> Self {
        Self { sheet, table, name, line, known: Vec::new(), elsewhere: Vec::new() }
    }

    /// The sheet it reads.
    pub(super) const fn sheet(&self) -> &'a Sheet {
        self.sheet
    }

    /// The line of the table.
    pub(super) const fn line(&self) -> usize {
        self.line
    }

    /// The value of a key, if it is there. The key is known from here on.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        let (name, value) = self.table?.get_key_value(key)?;
        Some(self.value(name, value))
    }

    /// The value of a key that must be there.
    pub(super) fn require(&mut self, key: &'static str) -> Option<Value<'a>> {
        let value = self.take(key);
        if value.is_none() {
            self.sheet.missing_key(self.line, key, format!("`{key}` is missing in {}", self.title()));
        }
        value
    }

    /// The value of a key that tenant files alone have. In JSON it is a problem, which says what to do `instead`.
    pub(super) fn take_in_file(&mut self, key: &'static str, instead: &str) -> Option<Value<'a>> {
        if !self.sheet.is_json() {
            return self.take(key);
        }
        self.elsewhere.push(key);
        let (name, value) = self.table?.get_key_value(key)?;
        self.value(name, value).coded("field_elsewhere", format!("`{key}` has no place here: {instead}"));
        None
    }

    /// A table of known keys; one that is absent reads as empty, so that its defaults stand in one place.
    pub(super) fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Reader<'a>) -> T) -> T {
        let found = self.take(key);
        let line = found.as_ref().map_or(self.line, |value| value.line);
        let table = found.as_ref().and_then(Value::table);
        let mut reader = Reader::new(self.sheet, table, self.path(key), line);
        let read = read(&mut reader);
        reader.finish();
        read
    }

    /// Every key of a table whose keys are free, in the order of the file.
    pub(super) fn entries(&mut self, key: &'static str) -> Vec<(At<&'a str>, Value<'a>)> {
        let Some(found) = self.take(key) else { return Vec::new() };
        let Some(table) = found.table() else { return Vec::new() };
        let inner = Reader::new(self.sheet, Some(table), self.path(key), found.line);
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        entries
            .into_iter()
            .map(|(name, value)| {
                let value = inner.value(name, value);
                (At { value: name.get_ref().as_ref(), line: value.line }, value)
            })
            .collect()
    }

    /// Reports the keys that nobody asked for.
    fn finish(self) {
        let Some(table) = self.table else { return };
        for (name, _) in table {
            let given = name.get_ref().as_ref();
            if !self.known.contains(&given) && !self.elsewhere.contains(&given) {
                let line = self.sheet.line(name.span().start);
                self.sheet.coded(line, "field_unknown", self.unknown(given));
            }
        }
    }

    fn unknown(&self, given: &str) -> String {
        let hint = hint(self.sheet, given, self.known.iter().copied());
        if !self.sheet.is_json() {
            return format!("unknown key `{}` in {}{hint}", quoted(given), self.title());
        }
        let known: Vec<String> = self.known.iter().map(|name| format!("`{name}`")).collect();
        format!("there is no field `{}`{hint}; this takes {}", quoted(given), known.join(", "))
    }

    fn value(&self, name: &Spanned<std::borrow::Cow<'_, str>>, value: &'a Spanned<DeValue<'a>>) -> Value<'a> {
        let key = name.get_ref().as_ref();
        // A table's own span is its header; for a scalar it is the value, which may stand below its key.
        let line = self.sheet.line(value.span().start);
        Value { sheet: self.sheet, name: key.to_owned(), path: self.path(key), line, value: value.get_ref() }
    }

    fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn title(&self) -> String {
        match (self.name.as_str(), self.sheet.is_json()) {
            ("", false) => "the file".to_owned(),
            ("", true) => "the definition".to_owned(),
            (name, false) => format!("`[{name}]`"),
            (name, true) => format!("`{name}`"),
        }
    }
}

/// One value of a table or list.
#[derive(Clone)]
pub(super) struct Value<'a> {
    sheet: &'a Sheet,
    name: String,
    path: String,
    line: usize,
    value: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    /// The sheet it stands in.
    pub(super) const fn sheet(&self) -> &'a Sheet {
        self.sheet
    }

    /// The line it stands on.
    pub(super) const fn line(&self) -> usize {
        self.line
    }

    /// Reports a problem at its place.
    pub(super) fn problem(&self, message: impl Into<String>) {
        self.sheet.problem(self.line, message);
    }

    /// The same, of a kind that has a name.
    pub(super) fn coded(&self, code: &'static str, message: impl Into<String>) {
        self.sheet.coded(self.line, code, message);
    }

    /// Whether it is a table.
    pub(super) const fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    /// Whether it is this text.
    pub(super) fn is_text(&self, word: &str) -> bool {
        matches!(self.value, DeValue::String(text) if text == word)
    }

    /// Whether it switches its setting off.
    pub(super) fn is_off(&self) -> bool {
        matches!(self.value, DeValue::Boolean(false)) || self.is_text("off")
    }

    /// Whether it is a list without elements.
    pub(super) fn is_empty_list(&self) -> bool {
        matches!(self.value, DeValue::Array(list) if list.is_empty())
    }

    /// A text.
    pub(super) fn string(&self) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text.as_ref()),
            _ => self.mismatch("a string"),
        }
    }

    /// A text that a parser accepts; its error becomes the problem.
    pub(super) fn parsed<T, E: Display>(&self, parse: impl FnOnce(&'a str) -> Result<T, E>) -> Option<At<T>> {
        self.accept(parse(self.string()?))
    }

    fn accept<T, E: Display>(&self, result: Result<T, E>) -> Option<At<T>> {
        let value = self.sheet.accept(self.line, result.map_err(|error| format!("`{}`: {error}", self.name)))?;
        Some(At { value, line: self.line })
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.string()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            let hint = did_you_mean(text, words.iter().map(|(word, _)| *word));
            self.problem(format!("`{}` is `{}`, but it takes {}{hint}", self.name, quoted(text), names.join(" or ")));
        }
        found
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            _ => self.mismatch("`true` or `false`"),
        }
    }

    /// A whole number within a range.
    pub(super) fn integer(&self, range: RangeInclusive<usize>) -> Option<usize> {
        let DeValue::Integer(number) = self.value else { return self.mismatch("a whole number") };
        let value = usize::from_str_radix(number.as_str(), number.radix()).ok().filter(|value| range.contains(value));
        if value.is_none() {
            self.problem(format!("`{}` is {number}, but it goes from {} to {}", self.name, range.start(), range.end()));
        }
        value
    }

    /// A duration with its unit, within a range.
    pub(super) fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let value = self.parsed(duration)?.value;
        if !range.contains(&value) {
            let (given, low, high) = (duration_text(value), duration_text(*range.start()), duration_text(*range.end()));
            self.problem(format!("`{}` is {given}, but it goes from {low} to {high}", self.name));
            return None;
        }
        Some(value)
    }

    /// A size with its unit, within a range of bytes.
    pub(super) fn size(&self, range: RangeInclusive<u64>) -> Option<usize> {
        let value = self.parsed(size)?.value;
        if !range.contains(&value) {
            let (low, high) = (size_text(*range.start()), size_text(*range.end()));
            self.problem(format!("`{}` is {}, but it goes from {low} to {high}", self.name, size_text(value)));
            return None;
        }
        usize::try_from(value).ok()
    }

    /// A path relative to the file.
    pub(super) fn path(&self) -> Option<At<PathBuf>> {
        let text = self.string()?;
        if text.is_empty() || text.contains('\0') {
            self.problem(format!("`{}` is not a path", self.name));
            return None;
        }
        Some(At { value: self.sheet.resolve(text), line: self.line })
    }

    /// An instant: a TOML date-time with an offset, or the same as text.
    pub(super) fn instant(&self) -> Option<At<Timestamp>> {
        match self.value {
            DeValue::Datetime(instant) if instant.offset.is_some() => {
                self.accept(Timestamp::parse(&instant.to_string()))
            }
            DeValue::Datetime(instant) => {
                self.problem(format!("`{}` is `{instant}`, which names no instant: add `Z` or an offset", self.name));
                None
            }
            DeValue::String(text) => self.accept(Timestamp::parse(text)),
            _ => self.mismatch("an instant such as `2027-01-31T00:00:00Z`"),
        }
    }

    /// A list of texts, each with its line; elements of another type are reported and left out.
    pub(super) fn strings(&self) -> Option<Vec<At<&'a str>>> {
        Some(self.elements("a list of strings")?.iter().filter_map(Value::string_at).collect())
    }

    /// A list of texts, or one text.
    pub(super) fn one_or_more_strings(&self) -> Option<Vec<At<&'a str>>> {
        match self.value {
            DeValue::String(text) => Some(vec![At { value: text.as_ref(), line: self.line }]),
            DeValue::Array(_) => self.strings(),
            _ => self.mismatch("a string or a list of strings"),
        }
    }

    /// A list of tables, each read in turn.
    pub(super) fn tables<T>(&self, mut read: impl FnMut(&mut Reader<'a>) -> T) -> Vec<T> {
        let elements = self.elements("a list of tables").unwrap_or_default();
        elements.iter().filter_map(|element| element.read(&mut read)).collect()
    }

    /// A table of known keys.
    pub(super) fn read<T>(&self, read: impl FnOnce(&mut Reader<'a>) -> T) -> Option<T> {
        let mut reader = Reader::new(self.sheet, Some(self.table()?), self.path.clone(), self.line);
        let read = read(&mut reader);
        reader.finish();
        Some(read)
    }

    fn string_at(&self) -> Option<At<&'a str>> {
        self.string().map(|value| At { value, line: self.line })
    }

    fn table(&self) -> Option<&'a DeTable<'a>> {
        match self.value {
            DeValue::Table(table) => Some(table),
            _ => self.mismatch("a table"),
        }
    }

    fn elements(&self, expected: &str) -> Option<Vec<Value<'a>>> {
        let DeValue::Array(list) = self.value else { return self.mismatch(expected) };
        let list: &'a DeArray<'a> = list;
        let element = |value: &'a Spanned<DeValue<'a>>| Value {
            line: self.sheet.line(value.span().start),
            value: value.get_ref(),
            ..self.clone()
        };
        Some(list.iter().map(element).collect())
    }

    fn mismatch<T>(&self, expected: &str) -> Option<T> {
        let found = match self.value {
            DeValue::Array(_) => "a list",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Float(_) => "a fraction",
            DeValue::Integer(_) => "a number",
            DeValue::String(_) => "a string",
            DeValue::Table(_) => "a table",
        };
        self.coded("invalid_type", format!("`{}` takes {expected}, not {found}", self.name));
        None
    }
}

/// So many problems of a sheet are told with a hint: to find one costs a look at every known word, and whoever has more
/// problems than that has made no slip of the pen.
const HINTED: usize = 20;

/// `; did you mean …`, for the first problems of the sheet.
pub(super) fn hint<'w>(sheet: &Sheet, given: &str, words: impl IntoIterator<Item = &'w str>) -> String {
    if sheet.problem_count() < HINTED { did_you_mean(given, words) } else { String::new() }
}

/// `; did you mean …` for the nearest of the known words, if one is near.
fn did_you_mean<'w>(given: &str, words: impl IntoIterator<Item = &'w str>) -> String {
    let budget = if given.chars().count() > 4 { 2 } else { 1 };
    words
        .into_iter()
        .map(|word| (edit_distance(given, word), word))
        .filter(|(distance, word)| *distance <= budget && *word != given)
        .min()
        .map(|(_, word)| format!("; did you mean `{word}`?"))
        .unwrap_or_default()
}

/// Levenshtein's distance, on the first 64 characters.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(64).collect();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, l) in left.chars().take(64).enumerate() {
        let mut current = vec![row + 1];
        for ((r, diagonal), up) in right.iter().zip(&above).zip(above.iter().skip(1)) {
            let beside = current.last().copied().unwrap_or(row);
            current.push((diagonal + usize::from(l != *r)).min(beside + 1).min(up + 1));
        }
        above = current;
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (left, right, distance) in
            [("", "", 0), ("bind", "bind", 0), ("bnd", "bind", 1), ("kitten", "sitting", 3), ("", "abc", 3)]
        {
            assert_eq!(edit_distance(left, right), distance, "{left} {right}");
        }
    }

    #[test]
    fn only_near_words_are_proposed() {
        assert_eq!(did_you_mean("upstrem", ["upstream", "urls"]), "; did you mean `upstream`?");
        assert_eq!(did_you_mean("colour", ["upstream", "urls"]), "");
    }
}
