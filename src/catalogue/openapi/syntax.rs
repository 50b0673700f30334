//! From bytes to text to values: JSON or YAML, told apart by how the document begins, whatever its file is called.

use super::MAX_DOCUMENT_BYTES;
use super::error::ImportError;
use super::sift::{Kept, Part, Seek};
use serde::de::DeserializeSeed;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Budget, Options};

/// The deepest nesting that is read of a YAML document. JSON has serde_json's own limit where it is kept, and needs
/// none where it is passed over.
const MAX_DEPTH: usize = 100;
/// The most nodes that the aliases of a YAML document may stand for, all together.
const MAX_REPLAYED: usize = 500_000;

/// The most values of a YAML document, marks of lists and objects included. JSON is passed over too fast to need one.
const MAX_EVENTS: usize = 4_000_000;

/// A document's text, and how it is to be read.
pub(super) struct Source<'d> {
    text: &'d str,
    is_json: bool,
}

impl<'d> Source<'d> {
    pub(super) fn new(document: &'d [u8]) -> Result<Self, ImportError> {
        if u64::try_from(document.len()).is_ok_and(|length| length > MAX_DOCUMENT_BYTES) {
            return Err(ImportError::TooLarge);
        }
        let text = str::from_utf8(document).map_err(|error| {
            let sound = document.get(..error.valid_up_to()).unwrap_or_default();
            ImportError::NotText { line: sound.iter().filter(|byte| **byte == b'\n').count() + 1 }
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim().is_empty() {
            return Err(ImportError::Empty);
        }
        Ok(Self { text, is_json: is_json(text) })
    }

    /// How a member of text is written, for messages that say what to write.
    pub(super) fn member(&self, name: &str, value: &str) -> String {
        if self.is_json { format!("\"{name}\": \"{value}\"") } else { format!("{name}: \"{value}\"") }
    }

    /// What is kept of the document, which is read to its end.
    pub(super) fn sift(&self) -> Result<Kept, ImportError> {
        self.read(Part::Root)
    }

    /// The path items that lie at the end of these ways, each with its number.
    pub(super) fn seek(&self, ways: &[Vec<String>]) -> Result<Vec<(usize, Kept)>, ImportError> {
        let mut found = Vec::new();
        let wanted = ways.iter().map(Vec::as_slice).enumerate().collect();
        self.read(Seek { wanted, found: &mut found })?;
        Ok(found)
    }

    fn read<S: DeserializeSeed<'d>>(&self, seed: S) -> Result<S::Value, ImportError> {
        if self.is_json { json(self.text, seed) } else { yaml(self.text, seed) }
    }
}

/// YAML's own mappings in braces begin with a name that stands in no double quotes; JSON cannot.
fn is_json(text: &str) -> bool {
    let begin = text.trim_start();
    begin.strip_prefix(['{', '[']).is_some_and(|rest| {
        let next = rest.trim_start().chars().next();
        begin.starts_with('[') || next.is_none_or(|next| matches!(next, '"' | '}'))
    })
}

fn json<'d, S: DeserializeSeed<'d>>(text: &'d str, seed: S) -> Result<S::Value, ImportError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let words = error.to_string();
        let reason = words.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&words).to_owned();
        ImportError::Syntax { format: "JSON", line: line.max(1), column: column.max(1), reason }
    })
}

fn yaml<'d, S: DeserializeSeed<'d>>(text: &'d str, seed: S) -> Result<S::Value, ImportError> {
    serde_saphyr::with_deserializer_from_str_with_options(text, options(), |deserializer| {
        seed.deserialize(deserializer)
    })
    .map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
        let (line, column) = (usize::try_from(line).unwrap_or(1), usize::try_from(column).unwrap_or(1));
        ImportError::Syntax { format: "YAML", line, column, reason: yaml_reason(&error) }
    })
}

/// The reason in our words for what is bounded, else in the parser's, without the place. What an alias stands for is
/// judged within other errors, of which only the words tell.
fn yaml_reason(error: &serde_saphyr::Error) -> String {
    let words = error.to_string();
    let line = words.lines().next().unwrap_or_default();
    let reason = line.split_once(" at line ").map_or(line, |(reason, _)| reason);
    let says = |parts: &[&str]| parts.iter().any(|part| reason.contains(part));
    if says(&["Depth {", "recursion limit"]) {
        format!("it is nested deeper than {MAX_DEPTH} levels")
    } else if says(&["Documents {", "multiple YAML documents"]) {
        "there is more than one document in it".to_owned()
    } else if says(&["RecordedAnchor", "alias replay", "MergeKeys", "Aliases {", "Anchors {"]) {
        format!("its aliases stand for more than {MAX_REPLAYED} values")
    } else if says(&["Events {", "Nodes {", "ScalarBytes {"]) {
        format!("it holds more than {MAX_EVENTS} values, which is more than is read")
    } else if says(&["recursive references"]) {
        "an alias stands within what it stands for".to_owned()
    } else {
        reason.to_owned()
    }
}

/// Aliases may stand for so much and no more; nesting is bounded; texts that look like numbers stay what YAML 1.2
/// says. Members that come twice pass, because the reader of what is kept names them by their place.
fn options() -> Options {
    let mut budget = Budget::default();
    budget.max_depth = MAX_DEPTH;
    budget.flow_nesting_limit = MAX_DEPTH;
    budget.max_documents = 1;
    budget.max_events = MAX_EVENTS;
    budget.max_nodes = MAX_EVENTS;
    budget.enforce_alias_anchor_ratio = false;
    budget.max_recorded_anchor_events = MAX_REPLAYED;
    let mut options = Options::default();
    options.budget = Some(budget);
    options.duplicate_keys = DuplicateKeyPolicy::PassThrough;
    options.merge_keys = MergeKeyPolicy::Merge;
    options.alias_limits.max_total_replayed_events = MAX_REPLAYED;
    options.strict_booleans = true;
    options.null_as_string = true;
    options.underscored_numbers_as_strings = true;
    options.leading_zero_numbers_as_strings = true;
    options.with_snippet = false;
    options
}
