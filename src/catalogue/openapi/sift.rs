//! What is kept of a document while it streams by: a few members of a few objects. The rest (schemas, most of a
//! large document) is checked to be JSON or YAML and goes past without being kept.

use super::MAX_OPERATIONS;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::HashMap;
use std::fmt;

/// A value that was kept. A member that comes twice is there twice.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    Bool(bool),
    List(Vec<Kept>),
    Null,
    Number(String),
    Object(Vec<(String, Kept)>),
    /// Something that nobody asks for; only path items keep that it was there.
    Passed,
    Text(String),
}

impl Kept {
    /// The members of an object, or nothing.
    pub(super) fn members(&self) -> &[(String, Kept)] {
        match self {
            Self::Object(members) => members,
            Self::Bool(_) | Self::List(_) | Self::Null | Self::Number(_) | Self::Passed | Self::Text(_) => &[],
        }
    }

    /// A member of an object.
    pub(super) fn member(&self, name: &str) -> Option<&Kept> {
        self.members().iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The elements of a list, or nothing.
    pub(super) fn elements(&self) -> &[Kept] {
        match self {
            Self::List(elements) => elements,
            Self::Bool(_) | Self::Null | Self::Number(_) | Self::Object(_) | Self::Passed | Self::Text(_) => &[],
        }
    }

    /// A text.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bool(_) | Self::List(_) | Self::Null | Self::Number(_) | Self::Object(_) | Self::Passed => None,
        }
    }

    /// What it is, for messages.
    pub(super) fn kind(&self) -> String {
        match self {
            Self::Bool(value) => format!("`{value}`"),
            Self::List(_) => "a list".to_owned(),
            Self::Null => "null".to_owned(),
            Self::Number(number) => format!("the number {number}"),
            Self::Object(_) => "an object".to_owned(),
            Self::Passed => "something else".to_owned(),
            Self::Text(_) => "text".to_owned(),
        }
    }
}

/// The most elements that are kept of a list.
const MAX_ELEMENTS: usize = 100;

/// The fixed methods of a path item (OpenAPI 3.1, 4.8.9.1).
pub(super) const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Where in a document the reader is, which says what is kept there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Info,
    Operation,
    PathItem,
    Paths,
    /// Scalars count; lists and objects are kept without what is in them.
    Plain,
    Root,
    Server,
    Servers,
    Skipped,
    Tags,
    Variable,
    Variables,
}

impl Part {
    fn member(self, name: &str) -> Self {
        match (self, name) {
            (Self::Root, "paths") => Self::Paths,
            (Self::Root, "info") => Self::Info,
            (Self::Root | Self::PathItem | Self::Operation, "servers") => Self::Servers,
            (Self::Root, "openapi" | "swagger" | "swaggerVersion" | "basePath")
            | (Self::Info, "title" | "version")
            | (Self::PathItem | Self::Operation, "$ref" | "x-portcullis-permission")
            | (Self::Operation, "operationId" | "summary")
            | (Self::Server, "url")
            | (Self::Variable, "default") => Self::Plain,
            (Self::Operation, "tags") => Self::Tags,
            (Self::Server, "variables") => Self::Variables,
            (Self::Paths, name) if !name.starts_with("x-") => Self::PathItem,
            (Self::PathItem, name) if METHODS.contains(&name) => Self::Operation,
            (Self::Variables, _) => Self::Variable,
            _ => Self::Skipped,
        }
    }

    const fn most_members(self) -> usize {
        if matches!(self, Self::Paths) { MAX_OPERATIONS } else { 1000 }
    }

    fn element(self) -> Self {
        match self {
            Self::Servers => Self::Server,
            Self::Tags => Self::Plain,
            Self::Info
            | Self::Operation
            | Self::PathItem
            | Self::Paths
            | Self::Plain
            | Self::Root
            | Self::Server
            | Self::Skipped
            | Self::Variable
            | Self::Variables => Self::Skipped,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Part {
    type Value = Kept;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kept, D::Error> {
        match self {
            Self::Skipped => deserializer.deserialize_ignored_any(IgnoredAny).map(|IgnoredAny| Kept::Passed),
            Self::Info
            | Self::Operation
            | Self::PathItem
            | Self::Paths
            | Self::Plain
            | Self::Root
            | Self::Server
            | Self::Servers
            | Self::Tags
            | Self::Variable
            | Self::Variables => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Part {
    type Value = Kept;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kept, E> {
        Ok(Kept::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kept, E> {
        Ok(Kept::Number(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Kept, E> {
        Ok(Kept::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kept, E> {
        Ok(Kept::Number(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Kept, E> {
        Ok(Kept::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Kept, E> {
        Ok(Kept::Number(format!("{value:?}")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kept, E> {
        Ok(Kept::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Kept, E> {
        Ok(Kept::Text(value))
    }

    fn visit_unit<E>(self) -> Result<Kept, E> {
        Ok(Kept::Null)
    }

    fn visit_none<E>(self) -> Result<Kept, E> {
        Ok(Kept::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kept, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Kept, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(self.element())? {
            // Nobody asks for more of a list than its beginning.
            if !matches!(element, Kept::Passed) && list.len() < MAX_ELEMENTS {
                list.push(element);
            }
        }
        Ok(Kept::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Kept, A::Error> {
        let mut object = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(self.member(&name))?;
            if !matches!(value, Kept::Passed) || self == Self::PathItem {
                object.push((name, value));
            }
            if object.len() > self.most_members() {
                return Err(A::Error::custom(format!("an object with more than {} members", self.most_members())));
            }
        }
        Ok(Kept::Object(object))
    }
}

/// Finds the path items that pointers name, all in one passage through the document.
pub(super) struct Seek<'s> {
    /// What is looked for below here: its number, and the names that are still to come; at least one.
    pub(super) wanted: Vec<(usize, &'s [String])>,
    /// What was found, by number.
    pub(super) found: &'s mut Vec<(usize, Kept)>,
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i128<E>(self, _: i128) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u128<E>(self, _: u128) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        // By their first name, so that a member costs the same however much is looked for.
        let mut wanted: HashMap<&str, Vec<(usize, &[String])>> = HashMap::new();
        for (number, names) in &self.wanted {
            if let Some((first, rest)) = names.split_first() {
                wanted.entry(first).or_default().push((*number, rest));
            }
        }
        while let Some(name) = members.next_key::<String>()? {
            let below = wanted.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
            let (here, deeper): (Vec<_>, Vec<_>) = below.iter().copied().partition(|(_, rest)| rest.is_empty());
            if let Some((number, _)) = here.first() {
                self.found.push((*number, members.next_value_seed(Part::PathItem)?));
            } else if deeper.is_empty() {
                members.next_value::<IgnoredAny>()?;
            } else {
                members.next_value_seed(Seek { wanted: deeper, found: &mut *self.found })?;
            }
        }
        Ok(())
    }
}
