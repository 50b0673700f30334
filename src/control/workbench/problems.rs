//! What is wrong with a form about a key: beside the fields, and all together above them.

use super::allowlist;
use super::form::Form;
use super::words::{quoting, sentence};
use crate::control::{ControlProblem, FieldError};

/// What is wrong with a form.
#[derive(Clone, Debug, Default)]
pub(super) struct Problems {
    errors: Vec<FieldError>,
    /// The lines of the allowlist that hold something, in order: what an index in a pointer means.
    lines: Vec<usize>,
}

/// One line above the form.
pub(super) struct ProblemRow {
    /// The field's id.
    pub(super) field: &'static str,
    pub(super) text: String,
}

impl Problems {
    /// The fields that a problem is about, where it is about any.
    pub(super) fn of(problem: &ControlProblem, form: &Form) -> Option<Self> {
        let errors = match problem {
            ControlProblem::Invalid(errors) => errors.clone().into_vec(),
            ControlProblem::NameTaken => vec![FieldError {
                pointer: "/name".to_owned(),
                code: "name_taken",
                message: "a live key of this environment has this name already".to_owned(),
            }],
            ControlProblem::IdempotencyKeyReused => vec![FieldError {
                pointer: String::new(),
                code: "idempotency_key_reused",
                message: "this form was sent before, with something else in it; send it again if you mean one more"
                    .to_owned(),
            }],
            _ => return None,
        };
        let text = form.text("networks").unwrap_or_default();
        Some(Self { errors, lines: allowlist::lines(text).map(|(line, _)| line).collect() })
    }

    /// What is wrong with one field.
    pub(super) fn at(&self, field: &str) -> Vec<String> {
        let about = self.errors.iter().filter(|error| place(&error.pointer).0 == field);
        about.map(|error| sentence(&self.words(error))).collect()
    }

    pub(super) fn rows(&self) -> Vec<ProblemRow> {
        let row = |error: &FieldError| {
            let (field, label) = place(&error.pointer);
            let words = quoting(&self.words(error));
            let text = if label.is_empty() { sentence(&words) } else { format!("{label}: {words}") };
            ProblemRow { field, text }
        };
        self.errors.iter().map(row).collect()
    }

    /// The message; for a line of the allowlist with its number, since an index means nothing to people.
    fn words(&self, error: &FieldError) -> String {
        let index = error.pointer.strip_prefix("/allowlist/networks/").and_then(|at| at.parse::<usize>().ok());
        match index.and_then(|at| self.lines.get(at)) {
            Some(line) => format!("line {line}: {}", error.message),
            None => error.message.clone(),
        }
    }
}

/// The field of the form that a pointer is about, and its label.
fn place(pointer: &str) -> (&'static str, &'static str) {
    let first = pointer.trim_start_matches('/').split('/').next().unwrap_or_default();
    match first {
        "allowlist" => ("networks", "Allowlist"),
        "confirm" => ("confirm", "Confirmation"),
        "description" => ("description", "Description"),
        "expires_at" => ("expiry", "Expiry"),
        "may_grant" | "permissions" | "preset" => ("permissions", "Permissions"),
        "name" => ("name", "Name"),
        "role" => ("role", "Role"),
        "type" => ("type-fine", "Type"),
        _ => ("main", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::FieldErrors;

    #[test]
    fn an_index_is_told_as_a_line() {
        let mut errors = FieldErrors::default();
        errors.add("/allowlist/networks/1", "network_invalid", "`x` is no network");
        errors.add("/name", "name_required", "a key needs a name");
        let form = Form::read(b"networks=10.0.0.1%0A%0Ax");
        let problems = Problems::of(&ControlProblem::Invalid(errors), &form).unwrap();
        let rows: Vec<(&str, String)> = problems.rows().into_iter().map(|row| (row.field, row.text)).collect();
        assert_eq!(
            rows,
            [
                ("networks", "Allowlist: line 3: “x” is no network".to_owned()),
                ("name", "Name: a key needs a name".to_owned()),
            ]
        );
        assert_eq!(problems.at("name"), ["A key needs a name."]);
        assert!(Problems::of(&ControlProblem::NotFound, &form).is_none());
    }
}
