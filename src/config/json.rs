//! JSON as the tree that the reader of TOML knows, so that one reader judges both. Places are numbered instead of
//! counted in lines: [`Pointers`] tells what each number stands for.

use crate::model::json_pointer;
use serde_json::{Map, Value};
use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// The place of the document itself.
pub(super) const ROOT: usize = 1;

/// Where values stand: each by its name within another one.
#[derive(Default)]
pub(super) struct Pointers(Vec<Step>);

struct Step {
    within: usize,
    name: String,
}

impl Pointers {
    fn add(&mut self, within: usize, name: String) -> usize {
        self.0.push(Step { within, name });
        self.0.len() + ROOT
    }

    /// The JSON pointer (RFC 6901) of a place, and of a member there that is missing.
    pub(super) fn pointer(&self, place: usize, missing: Option<&str>) -> String {
        let mut names: Vec<&str> = missing.into_iter().collect();
        let mut at = place;
        while let Some(step) = at.checked_sub(ROOT + 1).and_then(|index| self.0.get(index)) {
            names.push(&step.name);
            at = step.within;
        }
        names.iter().rev().fold(String::new(), |object, name| json_pointer(&object, name))
    }
}

/// A tree and what it was made from.
pub(super) struct Tree<'j> {
    /// The document.
    pub(super) table: DeTable<'j>,
    /// Its places.
    pub(super) pointers: Pointers,
    /// The places of members that are null, which TOML does not have. They are not in the tree.
    pub(super) nulls: Vec<usize>,
}

/// The numbers of a document as text, in its order: the tree borrows them.
pub(super) fn number_texts(members: &Map<String, Value>) -> Vec<String> {
    let mut texts = Vec::new();
    members.values().for_each(|value| gather_numbers(value, &mut texts));
    texts
}

fn gather_numbers(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| gather_numbers(item, texts)),
        Value::Number(number) => texts.push(number.to_string()),
        Value::Object(members) => members.values().for_each(|value| gather_numbers(value, texts)),
        Value::Bool(_) | Value::Null | Value::String(_) => {}
    }
}

/// The tree of a document. `numbers` are its own ([`number_texts`]).
pub(super) fn tree<'j>(members: &'j Map<String, Value>, numbers: &'j [String]) -> Tree<'j> {
    let mut making = Making { pointers: Pointers::default(), nulls: Vec::new(), numbers: numbers.iter() };
    let table = making.table(members, ROOT);
    Tree { table, pointers: making.pointers, nulls: making.nulls }
}

struct Making<'j> {
    pointers: Pointers,
    nulls: Vec<usize>,
    numbers: std::slice::Iter<'j, String>,
}

impl<'j> Making<'j> {
    fn table(&mut self, members: &'j Map<String, Value>, within: usize) -> DeTable<'j> {
        let mut table = DeTable::new();
        for (name, value) in members {
            let place = self.pointers.add(within, name.clone());
            if let Some(value) = self.value(value, place) {
                table.insert(Spanned::new(place..place, Cow::Borrowed(name.as_str())), value);
            }
        }
        table
    }

    /// `None` for null, which is noted.
    fn value(&mut self, value: &'j Value, place: usize) -> Option<Spanned<DeValue<'j>>> {
        let made = match value {
            Value::Null => {
                self.nulls.push(place);
                return None;
            }
            Value::Array(items) => DeValue::Array(self.array(items, place)),
            Value::Bool(value) => DeValue::Boolean(*value),
            Value::Number(_) => self.number(),
            Value::Object(members) => DeValue::Table(self.table(members, place)),
            Value::String(text) => DeValue::String(Cow::Borrowed(text.as_str())),
        };
        Some(Spanned::new(place..place, made))
    }

    fn array(&mut self, items: &'j [Value], within: usize) -> DeArray<'j> {
        let mut array = DeArray::new();
        for (index, item) in items.iter().enumerate() {
            let place = self.pointers.add(within, index.to_string());
            if let Some(value) = self.value(item, place) {
                array.push(value);
            }
        }
        array
    }

    /// A number in JSON is one in TOML, but for an exponent without a fraction, which both have.
    fn number(&mut self) -> DeValue<'j> {
        let text = self.numbers.next().map_or("0", String::as_str);
        DeValue::parse(text).map_or(DeValue::Boolean(false), Spanned::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn places_have_pointers() {
        let Value::Object(members) = json!({"a": {"b/c": [1, null, "x"]}, "n": null}) else { panic!() };
        let numbers = number_texts(&members);
        let Tree { table, pointers, nulls } = tree(&members, &numbers);
        let nulls: Vec<String> = nulls.into_iter().map(|place| pointers.pointer(place, None)).collect();
        assert_eq!(nulls, ["/a/b~1c/1", "/n"]);
        let a = table.get("a").unwrap();
        assert_eq!(pointers.pointer(a.span().start, Some("missing")), "/a/missing");
        let list = a.get_ref().get("b/c").unwrap().get_ref().as_array().unwrap();
        let last = list.iter().last().unwrap();
        assert_eq!(
            (last.get_ref().as_str(), pointers.pointer(last.span().start, None)),
            (Some("x"), "/a/b~1c/2".into())
        );
        assert_eq!(pointers.pointer(ROOT, None), "");
    }

    #[test]
    fn numbers_keep_their_kind() {
        let Value::Object(members) = json!({"a": -7, "b": 1.5, "c": 18_446_744_073_709_551_615u64, "d": 1e300}) else {
            panic!()
        };
        let numbers = number_texts(&members);
        let table = tree(&members, &numbers).table;
        let kinds: Vec<&str> = table.iter().map(|(_, value)| value.get_ref().type_str()).collect();
        assert_eq!(kinds, ["integer", "float", "integer", "float"]);
    }
}
