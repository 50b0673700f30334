//! Every code of a refusal: its status, its title, and what it means. One table, read by answers and by the document.

use axum::http::StatusCode;

macro_rules! codes {
    ($($code:ident $status:ident $name:literal $title:literal $meaning:literal;)+) => {
        /// Why a request was refused. The names are a contract: add freely, rename never.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Code {
            $(#[doc = $meaning] $code,)+
        }

        impl Code {
            /// All of them.
            pub(super) const ALL: &[Self] = &[$(Self::$code,)+];

            /// The name on the wire.
            pub(super) const fn as_str(self) -> &'static str {
                match self { $(Self::$code => $name,)+ }
            }

            /// The status of an answer with this code.
            pub(super) const fn status(self) -> StatusCode {
                match self { $(Self::$code => StatusCode::$status,)+ }
            }

            /// A few words, the same for every refusal of the kind (RFC 9457 section 3.1.4).
            pub(super) const fn title(self) -> &'static str {
                match self { $(Self::$code => $title,)+ }
            }

            /// What it means, for the document.
            pub(super) const fn meaning(self) -> &'static str {
                match self { $(Self::$code => $meaning,)+ }
            }
        }
    };
}

codes! {
    BodyTooLarge PAYLOAD_TOO_LARGE "body_too_large" "Body too large"
        "The request body is longer than 1 MiB.";
    IdempotencyKeyReused UNPROCESSABLE_ENTITY "idempotency_key_reused" "Key used before"
        "The `Idempotency-Key` was used for another request; choose a new one.";
    Internal INTERNAL_SERVER_ERROR "internal" "Internal error"
        "Something of the node's own does not work; its log says what. Nothing was changed.";
    Invalid UNPROCESSABLE_ENTITY "invalid" "Not valid"
        "Fields or parameters are not valid; `errors` names each of them with what is wrong.";
    KeyRevoked CONFLICT "key_revoked" "Key revoked"
        "The key is revoked, which is final.";
    Malformed BAD_REQUEST "malformed" "Malformed request"
        "The request cannot be read: a body that is not JSON, a header or a cursor that is not one of ours.";
    ManagedByFile CONFLICT "managed_by_file" "Set by file"
        "A tenant file sets this, and it changes only there.";
    MethodNotAllowed METHOD_NOT_ALLOWED "method_not_allowed" "Method not allowed"
        "The path does not take that method; `Allow` lists those it takes.";
    NameTaken CONFLICT "name_taken" "Name taken"
        "A live key of this environment already has that name, ignoring case.";
    NotAllowed FORBIDDEN "not_allowed" "Not allowed"
        "You may know that it is there, but not do this; `detail` says what it takes.";
    NotAuthenticated UNAUTHORIZED "not_authenticated" "Not signed in"
        "There is no bearer token, or none that counts.";
    NotFound NOT_FOUND "not_found" "Not found"
        "There is nothing at this path, or nothing that you have a part in.";
    RevisionMismatch PRECONDITION_FAILED "revision_mismatch" "Changed since"
        "The object is not at the revision that `If-Match` asks for.";
    Unavailable SERVICE_UNAVAILABLE "unavailable" "Store unavailable"
        "The store does not answer; nothing was changed. Try again.";
    UnsupportedMediaType UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" "Not JSON"
        "A request body is JSON and says so: `Content-Type: application/json`.";
}
