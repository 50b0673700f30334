//! What a document says: its version, its servers, and the operations of every path, in its own order.
//!
//! A path item may be a local `$ref` (3.1), which is followed over a bounded number of steps; nothing else is: a
//! reference to a URL or a file is an error and never fetched.

use super::MAX_OPERATIONS;
use super::error::ImportError;
use super::notes::Notes;
use super::pointer::{below, is_long, names};
use super::server::{self, Server};
use super::sift::{Kept, METHODS};
use super::syntax::Source;
use crate::model::{NoteKind, PermissionName, RESERVED_PREFIX, quoted};
use std::collections::{HashMap, HashSet};

/// Puts operations under one permission.
const EXTENSION: &str = "x-portcullis-permission";
/// The longest `operationId`.
const MAX_ID_BYTES: usize = 1000;
/// The most references that lead to one path item.
const MAX_STEPS: usize = 8;

/// A document as far as it matters here.
pub(super) struct Document {
    pub(super) title: String,
    pub(super) version: String,
    pub(super) servers: Vec<Server>,
    pub(super) paths: Vec<PathItem>,
    pub(super) notes: Notes,
}

/// A path and what can be done there.
pub(super) struct PathItem {
    pub(super) path: String,
    pub(super) place: String,
    pub(super) operations: Vec<Described>,
}

/// One operation.
pub(super) struct Described {
    /// In lower case, as documents have it.
    pub(super) method: &'static str,
    /// Where it stands, which may be behind a reference.
    pub(super) place: String,
    /// Its `operationId`; `None` where it has none, or an empty one.
    pub(super) operation_id: Option<String>,
    /// What `x-portcullis-permission` says.
    pub(super) permission: Option<PermissionName>,
    /// `summary`, on one line.
    pub(super) summary: String,
    /// The first of `tags`, on one line.
    pub(super) tag: Option<String>,
}

/// Reads a document.
pub(super) fn read(source: &Source<'_>) -> Result<Document, ImportError> {
    let root = source.sift()?;
    if !matches!(root, Kept::Object(_)) {
        return Err(shape("", &root, "an object that says what it is by `openapi` or `swagger`"));
    }
    check_version(source, &root)?;
    check_unique(&root, "")?;
    let mut notes = Notes::default();
    let servers = server::of_document(&root)?;
    let paths = paths(source, &root, &servers, &mut notes)?;
    let info = |name| match root.member("info").and_then(|info| info.member(name)) {
        // YAML takes `version: 1.0` for a number.
        Some(Kept::Number(number)) => number.clone(),
        Some(other) => words(other).unwrap_or_default(),
        None => String::new(),
    };
    Ok(Document { title: info("title"), version: info("version"), servers, paths, notes })
}

pub(super) fn shape(place: &str, found: &Kept, expected: &'static str) -> ImportError {
    ImportError::Shape { place: place.to_owned(), found: found.kind(), expected }
}

/// Text for people, on one line; anything else says nothing.
pub(super) fn words(kept: &Kept) -> Option<String> {
    let spaced: String = kept.text()?.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    Some(spaced.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|line| !line.is_empty())
}

fn check_version(source: &Source<'_>, root: &Kept) -> Result<(), ImportError> {
    let not_read = |words: String| Err(ImportError::Version(words));
    let (name, given) = match (root.member("openapi"), root.member("swagger"), root.member("swaggerVersion")) {
        (Some(given), _, _) => ("openapi", given),
        (None, Some(given), _) => ("swagger", given),
        (None, None, Some(given)) => ("swaggerVersion", given),
        (None, None, None) => {
            return not_read("what has neither `openapi` nor `swagger`, to say its version, is not read".to_owned());
        }
    };
    let usual = if name == "openapi" { "3.1.0" } else { "2.0" };
    let should = match given {
        Kept::Text(given) => {
            let mut parts = given.split('.');
            return match (name, parts.next(), parts.next()) {
                ("openapi", Some("3"), Some("0" | "1")) | ("swagger", Some("2"), Some("0")) => Ok(()),
                _ => not_read(format!("`/{name}`: version `{}` is not read", quoted(given))),
            };
        }
        // YAML takes `3.1` for a number, and a document that was converted from it may hold one.
        Kept::Number(number) if name == "openapi" && number.matches('.').count() == 1 => format!("{number}.0"),
        Kept::Number(number) => number.clone(),
        Kept::Bool(_) | Kept::List(_) | Kept::Null | Kept::Object(_) | Kept::Passed => usual.to_owned(),
    };
    let member = source.member(name, &should);
    Err(ImportError::Unversioned { place: format!("/{name}"), found: given.kind(), member })
}

/// No member may come twice where it is read: one of the two would vanish.
fn check_unique(kept: &Kept, place: &str) -> Result<(), ImportError> {
    let mut seen = HashSet::new();
    for (name, value) in kept.members() {
        let place = below(place, name);
        if !seen.insert(name.as_str()) {
            return Err(ImportError::DuplicateMember { place });
        }
        check_unique(value, &place)?;
    }
    kept.elements().iter().enumerate().try_for_each(|(at, element)| check_unique(element, &format!("{place}/{at}")))
}

fn paths(
    source: &Source<'_>,
    root: &Kept,
    servers: &[Server],
    notes: &mut Notes,
) -> Result<Vec<PathItem>, ImportError> {
    let Some(paths) = root.member("paths") else { return Ok(Vec::new()) };
    if !matches!(paths, Kept::Object(_)) {
        return Err(shape("/paths", paths, "an object"));
    }
    let referred = Referred::read(source, paths)?;
    let mut reader = ItemReader { servers, notes, methods: HashMap::new(), ignored: HashSet::new() };
    let (mut items, mut count) = (Vec::new(), 0);
    for (path, item) in paths.members().iter().filter(|(path, _)| !path.starts_with("x-")) {
        let place = below("/paths", path);
        let mut operations = Vec::new();
        for (place, item) in referred.chain(&place, item)? {
            reader.read(place, item, &mut operations)?;
        }
        count += operations.len();
        if count > MAX_OPERATIONS {
            let found = format!("an object with more than {MAX_OPERATIONS} operations");
            return Err(ImportError::Shape { place: "/paths".to_owned(), found, expected: "one that is read" });
        }
        items.push(PathItem { path: path.clone(), place, operations });
    }
    Ok(items)
}

/// Reads path items. What stands in one is looked at once, however many references lead there: from then on only its
/// methods count.
struct ItemReader<'a> {
    servers: &'a [Server],
    notes: &'a mut Notes,
    /// The methods of the path items that were looked at, by their place.
    methods: HashMap<String, Vec<(&'static str, &'a Kept)>>,
    /// Operations of which it was noted that they are not read.
    ignored: HashSet<String>,
}

impl<'a> ItemReader<'a> {
    /// Adds the operations of one path item to those that were there before a reference was followed.
    fn read(&mut self, place: String, item: &'a Kept, operations: &mut Vec<Described>) -> Result<(), ImportError> {
        let methods = match self.methods.get(&place) {
            Some(methods) => methods.clone(),
            None => {
                let methods = self.look_at(&place, item)?;
                self.methods.insert(place.clone(), methods.clone());
                methods
            }
        };
        let known = operations.len();
        for (method, said) in methods {
            let place = below(&place, method);
            if operations.iter().take(known).any(|described| described.method == method) {
                if self.ignored.insert(place.clone()) {
                    self.notes.add(NoteKind::ReferenceIgnored, &place, || {
                        format!("`{place}` is not read: what refers to it has a `{method}` of its own")
                    });
                }
                continue;
            }
            operations.push(described(method, place, said)?);
        }
        Ok(())
    }

    /// The methods of a path item, and notes on what else there is.
    fn look_at(&mut self, place: &str, item: &'a Kept) -> Result<Vec<(&'static str, &'a Kept)>, ImportError> {
        if !matches!(item, Kept::Object(_)) {
            return Err(shape(place, item, "an object"));
        }
        server::note_override(place, item, self.servers, self.notes);
        let mut methods = Vec::new();
        for (name, said) in item.members() {
            let Some(method) = METHODS.into_iter().find(|method| method == name) else {
                note_other_member(place, name, self.notes)?;
                continue;
            };
            let place = below(place, name);
            check_operation(&place, said)?;
            server::note_override(&place, said, self.servers, self.notes);
            methods.push((method, said));
        }
        Ok(methods)
    }
}

fn check_operation(place: &str, said: &Kept) -> Result<(), ImportError> {
    if !matches!(said, Kept::Object(_)) {
        return Err(shape(place, said, "an operation, which is an object"));
    }
    match said.member("$ref") {
        None => Ok(()),
        Some(reference) => Err(ImportError::Reference {
            place: below(place, "$ref"),
            reference: reference.text().map_or_else(|| reference.kind(), quoted),
            reason: "is not followed: put the operation itself there".to_owned(),
        }),
    }
}

/// What matters of an operation. Words for people may have any shape; only their text is used.
fn described(method: &'static str, place: String, said: &Kept) -> Result<Described, ImportError> {
    let id =
        said.member("operationId").map(|id| id.text().ok_or_else(|| shape(&below(&place, "operationId"), id, "text")));
    let operation_id = id.transpose()?.filter(|id| !id.is_empty()).map(str::to_owned);
    if operation_id.as_ref().is_some_and(|id| id.len() > MAX_ID_BYTES) {
        let place = below(&place, "operationId");
        return Err(ImportError::Shape {
            place,
            found: "longer text".to_owned(),
            expected: "text of at most 1000 bytes",
        });
    }
    let permission = said.member(EXTENSION).map(|name| permission(&below(&place, EXTENSION), name)).transpose()?;
    let tag = said.member("tags").and_then(|tags| tags.elements().first()).and_then(words);
    let summary = said.member("summary").and_then(words).unwrap_or_default();
    Ok(Described { method, place, operation_id, permission, summary, tag })
}

fn permission(place: &str, name: &Kept) -> Result<PermissionName, ImportError> {
    let error = |reason: String| ImportError::Permission { place: place.to_owned(), reason };
    let text = name.text().ok_or_else(|| shape(place, name, "the name of a permission, which is text"))?;
    let name = PermissionName::parse(text).map_err(|invalid| error(invalid.to_string()))?;
    if name.is_reserved() {
        return Err(error(format!("`{name}`: names that start with `{RESERVED_PREFIX}` belong to Portcullis itself")));
    }
    Ok(name)
}

/// A member that is no method: known ones say nothing, and what looks like an operation must not vanish.
fn note_other_member(item: &str, name: &str, notes: &mut Notes) -> Result<(), ImportError> {
    let lower = name.to_ascii_lowercase();
    if METHODS.contains(&lower.as_str()) {
        let reason = format!("methods are written in lower case: `{lower}`");
        return Err(ImportError::Path { place: below(item, name), reason });
    }
    if name == EXTENSION {
        let reason = "belongs to an operation, not to a path".to_owned();
        return Err(ImportError::Permission { place: below(item, name), reason });
    }
    if !name.starts_with("x-") && !["$ref", "summary", "description", "servers", "parameters"].contains(&name) {
        let place = below(item, name);
        notes.add(NoteKind::MemberIgnored, &place, || {
            format!("`{place}` is no member of a path that OpenAPI 3.1 knows: it was passed over")
        });
    }
    Ok(())
}

/// The path items that references name, read as far as they are needed.
struct Referred<'k> {
    paths: HashMap<&'k str, &'k Kept>,
    elsewhere: HashMap<Vec<String>, Kept>,
}

impl<'k> Referred<'k> {
    /// Follows the references of all path items, a step of all at a time: each step is one passage through the document.
    fn read(source: &Source<'_>, paths: &'k Kept) -> Result<Self, ImportError> {
        let known = paths.members().iter().map(|(path, item)| (path.as_str(), item)).collect();
        let mut referred = Self { paths: known, elsewhere: HashMap::new() };
        let mut pending = referred.unknown(paths.members().iter().map(|(_, item)| item));
        for _ in 0..MAX_STEPS {
            if pending.is_empty() {
                break;
            }
            let mut found: HashMap<usize, Kept> = HashMap::new();
            for (number, item) in source.seek(&pending)? {
                let place = place_of(pending.get(number).map(Vec::as_slice).unwrap_or_default());
                check_unique(&item, &place)?;
                if found.insert(number, item).is_some() {
                    return Err(ImportError::DuplicateMember { place });
                }
            }
            let new: Vec<(Vec<String>, Kept)> =
                (0..).zip(pending).filter_map(|(at, way)| Some((way, found.remove(&at)?))).collect();
            pending = referred.unknown(new.iter().map(|(_, item)| item));
            referred.elsewhere.extend(new);
            pending.retain(|way| !referred.elsewhere.contains_key(way));
        }
        Ok(referred)
    }

    /// The ways that these items refer to and that are not known yet, each once.
    fn unknown<'i>(&self, items: impl Iterator<Item = &'i Kept>) -> Vec<Vec<String>> {
        let references = items.filter_map(|item| names(item.member("$ref")?.text()?));
        let mut ways: Vec<_> = references.filter(|way| self.find(way).is_none()).collect();
        ways.sort();
        ways.dedup();
        ways
    }

    fn find(&self, way: &[String]) -> Option<&Kept> {
        match way {
            [first, path] if first == "paths" => self.paths.get(path.as_str()).copied(),
            _ => self.elsewhere.get(way),
        }
    }

    /// The path item and those that it refers to, one through the other, each with its place.
    fn chain<'s>(&'s self, place: &str, item: &'s Kept) -> Result<Vec<(String, &'s Kept)>, ImportError> {
        let mut chain = vec![(place.to_owned(), item)];
        let mut last = item;
        while let Some(reference) = last.member("$ref") {
            let from = chain.last().map_or(place, |(place, _)| place.as_str());
            let error = |reason: String| ImportError::Reference {
                place: below(from, "$ref"),
                reference: reference.text().map_or_else(|| reference.kind(), quoted),
                reason,
            };
            let way = reference.text().and_then(names).ok_or_else(|| error(no_way(reference).to_owned()))?;
            let target = place_of(&way);
            if chain.iter().any(|(known, _)| *known == target) {
                let round: Vec<&str> = chain.iter().map(|(place, _)| place.as_str()).collect();
                return Err(error(format!("leads back to itself: {} -> {target}", round.join(" -> "))));
            }
            if chain.len() > MAX_STEPS {
                return Err(error(format!("is one reference after another, more than {MAX_STEPS} of them")));
            }
            last = self.find(&way).ok_or_else(|| error("names nothing in this document".to_owned()))?;
            chain.push((target, last));
        }
        Ok(chain)
    }
}

/// Why a reference leads nowhere.
fn no_way(reference: &Kept) -> &'static str {
    if reference.text().is_some_and(|text| text.starts_with('#') && is_long(text)) {
        "is longer than 1024 bytes or 32 names, and not followed: put the path item itself there"
    } else {
        "is not in this document (`#/…`), and nothing else is read: put the path item itself there"
    }
}

fn place_of(way: &[String]) -> String {
    way.iter().fold(String::new(), |place, name| below(&place, name))
}
