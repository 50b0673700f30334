//! What the import of an OpenAPI document has to tell: how much it gave, and what in it was odd.

use serde::{Serialize, Serializer};
use std::fmt;

/// What an OpenAPI document gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Its `info.title`, on one line; empty where it says none.
    pub title: String,
    /// Its `info.version`, on one line; empty where it says none.
    pub version: String,
    /// Operations that it declares.
    pub operations: usize,
    /// Permissions that came of them.
    pub permissions: usize,
    /// What was merged, cut or odd.
    pub notes: Vec<ImportNote>,
}

/// One thing that whoever looks after the environment may want to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportNote {
    /// What kind of thing.
    pub kind: NoteKind,
    /// Where in the document: a JSON pointer (RFC 6901), such as `/paths/~1cards/get`.
    pub place: String,
    /// In words, on one line.
    pub message: String,
}

/// What kind of thing a note tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoteKind {
    /// A HEAD beside a GET of the same path: GET's permission opens both.
    HeadRidesOnGet,
    /// An operation without an `operationId` of its own: its permission is named by method and path.
    IdMade,
    /// A member that OpenAPI does not know, and that was passed over.
    MemberIgnored,
    /// The same request as another operation, and one with it.
    Merged,
    /// `servers` of a single path or operation, which change nothing.
    OverrideServers,
    /// A path with `#…` or `?…`, which is no part of the match.
    PathCut,
    /// A path that was written in a form requests can have.
    PathTidied,
    /// An operation that stands both at a path and behind its `$ref`: the path's own counts.
    ReferenceIgnored,
    /// An operation below the prefix that Portcullis answers itself.
    ReservedPath,
    /// The document's server has a base path that the upstream does not have.
    ServerBasePath,
}

impl NoteKind {
    /// The kind as JSON has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HeadRidesOnGet => "head_rides_on_get",
            Self::IdMade => "id_made",
            Self::MemberIgnored => "member_ignored",
            Self::Merged => "merged",
            Self::OverrideServers => "override_servers",
            Self::PathCut => "path_cut",
            Self::PathTidied => "path_tidied",
            Self::ReferenceIgnored => "reference_ignored",
            Self::ReservedPath => "reserved_path",
            Self::ServerBasePath => "server_base_path",
        }
    }
}

impl Serialize for NoteKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl fmt::Display for NoteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ImportNote {
    /// How many notes of one kind are spelt out in a summary.
    pub const SPELT_OUT: usize = 3;

    /// One line for each kind of note there is: the first few of it, and how many more there are.
    pub fn summary(notes: &[Self]) -> Vec<String> {
        let mut kinds: Vec<NoteKind> = notes.iter().map(|note| note.kind).collect();
        kinds.sort();
        kinds.dedup();
        kinds.into_iter().map(|kind| summary_of(notes, kind)).collect()
    }
}

fn summary_of(notes: &[ImportNote], kind: NoteKind) -> String {
    let of_kind: Vec<&str> = notes.iter().filter(|note| note.kind == kind).map(|note| note.message.as_str()).collect();
    let spelt = of_kind.iter().take(ImportNote::SPELT_OUT).copied().collect::<Vec<_>>().join("; ");
    match (of_kind.len(), of_kind.len().saturating_sub(ImportNote::SPELT_OUT)) {
        (1, _) => format!("{kind}: {spelt}"),
        (all, 0) => format!("{all} {kind}: {spelt}"),
        (all, more) => format!("{all} {kind}: {spelt}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_the_first_three_of_a_kind() {
        let note = |kind, message: &str| ImportNote { kind, place: String::new(), message: message.to_owned() };
        let mut notes = vec![note(NoteKind::PathCut, "p"), note(NoteKind::Merged, "a"), note(NoteKind::Merged, "b")];
        assert_eq!(ImportNote::summary(&notes), ["2 merged: a; b", "path_cut: p"]);
        notes.extend(["c", "d"].map(|message| note(NoteKind::Merged, message)));
        assert_eq!(ImportNote::summary(&notes), ["4 merged: a; b; c; and 1 more", "path_cut: p"]);
    }
}
