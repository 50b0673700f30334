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
    /// What was put before each of its paths: empty, or such as `/2.0`.
    #[serde(skip)]
    pub prefix: String,
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
    /// There were more notes than are told.
    NotesLeftOut,
    /// A parameter such as `{path+}` or `{*path}`, which matches one segment here.
    OneSegment,
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
            Self::NotesLeftOut => "notes_left_out",
            Self::OneSegment => "one_segment",
            Self::OverrideServers => "override_servers",
            Self::PathCut => "path_cut",
            Self::PathTidied => "path_tidied",
            Self::ReferenceIgnored => "reference_ignored",
            Self::ReservedPath => "reserved_path",
            Self::ServerBasePath => "server_base_path",
        }
    }
}

impl NoteKind {
    /// What all of a kind have in common, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::HeadRidesOnGet => "the permission of GET opens HEAD too",
            Self::IdMade => "the permission has another name than the `operationId`",
            Self::MemberIgnored => "no member of a path that OpenAPI knows",
            Self::Merged => "the same request as another operation",
            Self::NotesLeftOut => "more notes than are told",
            Self::OneSegment => "a parameter that asks for several segments matches one",
            Self::OverrideServers => "servers of its own, which change nothing",
            Self::PathCut => "matched without what follows `#` or `?`",
            Self::PathTidied => "matched as requests can write it",
            Self::ReferenceIgnored => "not read, because what refers to it has the method itself",
            Self::ReservedPath => "answered by Portcullis itself",
            Self::ServerBasePath => "requests do not go to the server's path",
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
    /// How many notes of one kind are named in a summary.
    pub const NAMED: usize = 3;

    /// One line for each kind of note there is: a single one in full, of several the places of the first few.
    pub fn summary(notes: &[Self]) -> Vec<String> {
        let mut kinds: Vec<NoteKind> = notes.iter().map(|note| note.kind).collect();
        kinds.sort();
        kinds.dedup();
        kinds.into_iter().map(|kind| summary_of(notes, kind)).collect()
    }
}

fn summary_of(notes: &[ImportNote], kind: NoteKind) -> String {
    let of_kind: Vec<&ImportNote> = notes.iter().filter(|note| note.kind == kind).collect();
    if let [one] = of_kind.as_slice() {
        return format!("{kind}: {}", one.message);
    }
    let named: Vec<String> = of_kind.iter().take(ImportNote::NAMED).map(|note| format!("`{}`", note.place)).collect();
    let more = match of_kind.len().saturating_sub(ImportNote::NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{} {kind} ({}): {}{more}", of_kind.len(), kind.meaning(), named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_the_first_three_of_a_kind() {
        let note = |kind, place: &str| ImportNote { kind, place: place.to_owned(), message: format!("about {place}") };
        let mut notes = vec![note(NoteKind::PathCut, "/p"), note(NoteKind::Merged, "/a"), note(NoteKind::Merged, "/b")];
        let merged = "merged (the same request as another operation)";
        assert_eq!(ImportNote::summary(&notes), [&format!("2 {merged}: `/a`, `/b`"), "path_cut: about /p"]);
        notes.extend(["/c", "/d"].map(|place| note(NoteKind::Merged, place)));
        let expected = [&format!("4 {merged}: `/a`, `/b`, `/c` and 1 more"), "path_cut: about /p"];
        assert_eq!(ImportNote::summary(&notes), expected);
    }
}
