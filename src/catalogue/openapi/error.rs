//! Why a document gives no permissions. Each message names the place: line and column for what is not JSON or YAML, a
//! JSON pointer (RFC 6901) for the rest.

/// Why a document gives no permissions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Two operations that are one on the wire ask for different permissions.
    #[error(
        "`{first}` and `{second}` are the same request, but the first one's permission is `{one}` and \
         `x-portcullis-permission` of the other is `{other}`"
    )]
    Conflict {
        /// Where the operation stands that came first.
        first: String,
        /// Where the other one stands.
        second: String,
        /// The permission of the first.
        one: String,
        /// The permission of the other.
        other: String,
    },
    /// Two operations have the same `operationId`.
    #[error("the `operationId` `{id}` stands at `{first}` and again at `{second}`; it must be unique")]
    DuplicateId {
        /// The `operationId`.
        id: String,
        /// Where it stands first.
        first: String,
        /// Where it stands again.
        second: String,
    },
    /// A member stands twice in one object: one of the two would vanish.
    #[error("`{place}` stands twice in one object")]
    DuplicateMember {
        /// The member.
        place: String,
    },
    /// Nothing but space.
    #[error("the document is empty")]
    Empty,
    /// `paths` is absent or holds no operation.
    #[error("the document declares no operation under `/paths`")]
    NoOperation,
    /// A text encoding other than UTF-8.
    #[error("is not UTF-8 text from line {line} on")]
    NotText {
        /// The first line that is none, from 1.
        line: usize,
    },
    /// A path that no request can have.
    #[error("`{place}`: {reason}")]
    Path {
        /// Where it stands.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// `x-portcullis-permission` does not name a permission.
    #[error("`{place}`: {reason}")]
    Permission {
        /// Where it stands.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A `$ref` that is not followed.
    #[error("`{place}`: `{reference}` {reason}")]
    Reference {
        /// Where it stands.
        place: String,
        /// What it refers to.
        reference: String,
        /// Why it is not followed.
        reason: String,
    },
    /// Something has another shape than OpenAPI gives it.
    #[error("{} is {found}, not {expected}", named(.place))]
    Shape {
        /// Where it stands.
        place: String,
        /// What stands there.
        found: String,
        /// What should.
        expected: &'static str,
    },
    /// Neither JSON nor YAML, or more than is read of them.
    #[error("not {format}: {reason} at line {line} column {column}")]
    Syntax {
        /// What it was read as.
        format: &'static str,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// Larger than [`MAX_DOCUMENT_BYTES`](super::MAX_DOCUMENT_BYTES).
    #[error("is larger than 32 MiB")]
    TooLarge,
    /// The version is no text.
    #[error("`{place}` is {found}, not text: write `{member}`")]
    Unversioned {
        /// Where it stands.
        place: String,
        /// What stands there.
        found: String,
        /// The member as it should be written.
        member: String,
    },
    /// Another version, or none.
    #[error("{0}; OpenAPI 3.0 and 3.1 and Swagger 2.0 are")]
    Version(String),
}

/// A place as messages name it; the empty pointer is the document itself.
fn named(place: &str) -> String {
    if place.is_empty() { "the document".to_owned() } else { format!("`{place}`") }
}
