//! What is wrong with single fields of a change, all of it at once.

pub(super) use crate::model::json_pointer as pointer;
use serde::Serialize;
use utoipa::ToSchema;

/// The most errors of one code in one answer: a thousand misspelt permissions are told as a hundred.
const MAX_OF_A_CODE: usize = 100;

/// One field and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// A JSON pointer (RFC 6901) into what was sent; into the query as if it were an object.
    #[schema(example = "/allowlist/networks/0")]
    pub pointer: String,
    /// A stable name, such as `expiry_missing`.
    #[schema(pattern = "^[a-z_]+$", example = "network_invalid")]
    pub code: &'static str,
    /// Words for the person who sent it, with the fix where there is one.
    #[schema(example = "`198.51.100.7/24` has host bits set; did you mean `198.51.100.0/24`?")]
    pub message: String,
}

/// The errors found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Adds one, unless the field is already known to be of the wrong type (nothing more can be said of it then) or
    /// there are a hundred of its code.
    pub fn add(&mut self, pointer: impl Into<String>, code: &'static str, message: impl Into<String>) {
        let pointer = pointer.into();
        // Counted first, and no further than needed: a body can hold a hundred thousand mistakes.
        let of_code = self.0.iter().filter(|error| error.code == code).take(MAX_OF_A_CODE).count();
        if of_code < MAX_OF_A_CODE && !self.is_mistyped(&pointer) {
            self.0.push(FieldError { pointer, code, message: message.into() });
        }
    }

    /// Adds an `invalid_type`.
    pub fn mistyped(&mut self, pointer: impl Into<String>, expected: &str) {
        self.add(pointer, "invalid_type", format!("this is not {expected}"));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order found.
    pub fn into_vec(self) -> Vec<FieldError> {
        self.0
    }

    /// `value` where nothing is wrong, else everything that is.
    pub fn or<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            Some(_) | None => Err(self),
        }
    }

    fn is_mistyped(&self, pointer: &str) -> bool {
        self.0.iter().any(|error| {
            error.code == "invalid_type"
                && pointer.strip_prefix(&error.pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_more_is_said_of_a_mistyped_field() {
        let mut errors = FieldErrors::default();
        errors.mistyped("/allowlist", "an object");
        errors.add("/allowlist/networks", "x", "");
        errors.add("/allowlist", "x", "");
        errors.add("/allowlists", "x", "");
        let pointers: Vec<String> = errors.into_vec().into_iter().map(|error| error.pointer).collect();
        assert_eq!(pointers, ["/allowlist", "/allowlists"]);
    }

    #[test]
    fn a_hundred_of_a_code_and_not_one_more() {
        let mut errors = FieldErrors::default();
        for at in 0..101 {
            errors.add(format!("/{at}"), "x", "");
        }
        errors.add("/y", "y", "");
        assert_eq!(errors.into_vec().len(), 101);
    }
}
