//! The catalogue: which operations an API has, and which permissions cover them.

pub mod openapi;
