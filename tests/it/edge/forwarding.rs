//! What the upstream gets of an allowed request, and what the caller gets of its answer.

use super::{assert_refusal, assert_refused, without_upstream};
