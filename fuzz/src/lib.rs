//! What must hold of whatever strangers send; a fuzz target asks one of these functions about its bytes, and a panic is a
//! finding. The rooms under test are compiled from the package's own sources, so that none of their private parts needs
//! a door, and what they do not import (pingora, the store) is not built.
#![allow(dead_code, missing_docs, unused_imports, unreachable_pub, reason = "only parts of each room are asked")]

#[path = "../../src/access/mod.rs"]
pub mod access;
#[path = "../../src/catalogue/mod.rs"]
pub mod catalogue;
#[path = "../../src/config/mod.rs"]
pub mod config;
#[path = "../../src/model/mod.rs"]
pub mod model;
#[path = "../../src/tls/mod.rs"]
pub mod tls;
#[path = "../../src/token/mod.rs"]
pub mod token;

/// The pure files of the edge.
pub mod edge {
    #[path = "../../../src/edge/head.rs"]
    mod head;
    #[path = "../../../src/edge/proxy_header.rs"]
    mod proxy_header;

    pub mod heads;
    pub mod proxies;
}

/// The matcher and the model that it is compared with.
pub mod routes {
    #[path = "../../../src/catalogue/tests/reference.rs"]
    mod reference;

    pub mod targets;
}

pub mod documents;
pub mod files;
pub mod networks;
pub mod tokens;

/// The bytes as text, where they are.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
