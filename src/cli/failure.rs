//! How a command fails: an exit code that scripts rely on and words for a person.

use super::output::visible;
use std::process::ExitCode;

/// The exit codes of the public contract (3.2); 0 is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    CheckFoundProblems,
    Conflict,
    Failure,
    Invalid,
    NotAllowed,
    NotFound,
    NotSignedIn,
    /// Whoever read our output has gone (`portcullis keys list | head -1`): no failure, and nobody to tell.
    ReaderGone,
    Unavailable,
    Usage,
}

impl Exit {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::ReaderGone => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::NotSignedIn => 4,
            Self::NotAllowed => 5,
            Self::Conflict => 6,
            Self::Invalid => 7,
            Self::Unavailable => 8,
            Self::CheckFoundProblems => 9,
        }
    }

    /// What an HTTP status that is no success means to a script.
    pub(super) const fn of_status(status: u16) -> Self {
        match status {
            400 | 422 => Self::Invalid,
            401 => Self::NotSignedIn,
            403 => Self::NotAllowed,
            404 => Self::NotFound,
            409 | 412 => Self::Conflict,
            429 | 500..=599 => Self::Unavailable,
            _ => Self::Failure,
        }
    }
}

/// A failed command.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) message: String,
    /// Further lines: the single problems, or what to do next.
    pub(super) details: Vec<String>,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), details: Vec::new() }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(super) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    /// What is written to stderr, each line ended; server text in it cannot steer a terminal.
    pub(super) fn report(&self) -> String {
        if self.message.is_empty() {
            return String::new();
        }
        let mut report = format!("error: {}\n", visible(&self.message));
        for detail in &self.details {
            report.push_str(&format!("  {}\n", visible(detail)));
        }
        report
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit.code())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        // One line each: a configuration's problems come as a list.
        let text = format!("{error:#}");
        let mut lines = text.lines();
        let first = Self::new(Exit::Failure, lines.next().unwrap_or("failed"));
        lines.fold(first, Self::with_detail)
    }
}

impl From<std::io::Error> for Failure {
    /// For output: input errors are worded where the file's name is known.
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::new(Exit::ReaderGone, "");
        }
        Self::new(Exit::Failure, format!("cannot write the output: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_the_codes_of_the_contract() {
        let expected = [
            (400, 7),
            (401, 4),
            (403, 5),
            (404, 3),
            (409, 6),
            (412, 6),
            (415, 1),
            (418, 1),
            (422, 7),
            (429, 8),
            (500, 8),
            (503, 8),
            (302, 1),
        ];
        for (status, code) in expected {
            assert_eq!(Exit::of_status(status).code(), code, "{status}");
        }
    }

    #[test]
    fn a_report_cannot_steer_the_terminal() {
        let failure = Failure::new(Exit::Failure, "bad \u{1b}[31mname").with_detail("line\nbreak");
        assert_eq!(failure.report(), "error: bad \\u{1b}[31mname\n  line\\nbreak\n");
    }
}
