//! The edge on the wire.
