//! What is wrong with the files, all of it, with the place of each mistake.

use crate::model::escaped;
use std::fmt;
use std::path::PathBuf;

/// One mistake and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, as it was reached from the path that was given.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and, where it is known, what would be right.
    pub message: String,
}

impl Problem {
    /// `file:line: note: message`: something to know rather than a mistake.
    pub fn to_note(&self) -> String {
        format!("{}:{}: note: {}", self.file.display(), self.line, escaped(&self.message))
    }
}

impl fmt::Display for Problem {
    /// `file:line: message`, which editors and terminals make clickable.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, escaped(&self.message))
    }
}

/// Every mistake of a configuration, by file and line. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// The most that are listed; a count stands for the rest.
    pub const LISTED: usize = 1000;

    /// The problems in order; a repetition is dropped.
    pub(super) fn sorted(mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self(problems)
    }
}

impl fmt::Display for Problems {
    /// One problem a line, at most [`Problems::LISTED`] of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().take(Self::LISTED).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        match self.0.len().saturating_sub(Self::LISTED) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: usize) -> Problem {
        Problem { file: "a.toml".into(), line, message: "odd".into() }
    }

    #[test]
    fn a_thousand_are_listed_and_one_more_is_counted() {
        let full = Problems((1..=1000).map(problem).collect());
        assert_eq!(full.to_string().lines().count(), 1000);
        let over = Problems((1..=1001).map(problem).collect()).to_string();
        assert_eq!(over.lines().count(), 1001);
        assert!(over.ends_with("a.toml:1000: odd\nand 1 more"), "{over}");
    }

    #[test]
    fn order_is_file_then_line() {
        let other = Problem { file: "B.toml".into(), line: 9, message: "odd".into() };
        let sorted = Problems::sorted(vec![problem(10), problem(2), other.clone(), problem(2)]);
        assert_eq!(sorted.0, [other, problem(2), problem(10)]);
    }
}
