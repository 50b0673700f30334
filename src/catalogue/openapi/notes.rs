//! The notes of an import, within bounds: a document cannot make more of them than somebody would read, and no flood of
//! one kind hides another.

use crate::model::{ImportNote, NoteKind};
use std::collections::BTreeMap;

/// The most notes of one kind; how many more there were is told in one note at the end.
pub(super) const MOST_OF_A_KIND: usize = 1000;

/// What has been noted.
#[derive(Debug, Default)]
pub(super) struct Notes {
    told: Vec<ImportNote>,
    counts: BTreeMap<NoteKind, usize>,
}

impl Notes {
    /// Adds a note, whose words are made only where it is kept.
    pub(super) fn add(&mut self, kind: NoteKind, place: &str, message: impl FnOnce() -> String) {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        if *count <= MOST_OF_A_KIND {
            self.told.push(ImportNote { kind, place: place.to_owned(), message: message() });
        }
    }

    /// The notes, and one for those that were left out.
    pub(super) fn done(self) -> Vec<ImportNote> {
        let Self { mut told, counts } = self;
        let left_out = counts.iter().filter(|(_, count)| **count > MOST_OF_A_KIND);
        let left_out: Vec<String> =
            left_out.map(|(kind, count)| format!("{} {kind}", count - MOST_OF_A_KIND)).collect();
        if !left_out.is_empty() {
            let message = format!("more notes than are told, which were left out: {}", left_out.join(", "));
            told.push(ImportNote { kind: NoteKind::NotesLeftOut, place: String::new(), message });
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_kind_so_many_are_told_and_the_rest_is_counted() {
        let of = |count: usize| {
            let mut notes = Notes::default();
            (0..count).for_each(|_| notes.add(NoteKind::MemberIgnored, "/paths", String::new));
            notes.add(NoteKind::Merged, "/paths", String::new);
            notes.done()
        };
        assert_eq!(of(MOST_OF_A_KIND).len(), MOST_OF_A_KIND + 1);
        let more = of(MOST_OF_A_KIND + 7);
        assert_eq!(more.len(), MOST_OF_A_KIND + 2);
        assert_eq!(more[MOST_OF_A_KIND].kind, NoteKind::Merged);
        assert_eq!(more[MOST_OF_A_KIND + 1].kind, NoteKind::NotesLeftOut);
        assert!(more[MOST_OF_A_KIND + 1].message.ends_with("left out: 7 member_ignored"));
    }
}
