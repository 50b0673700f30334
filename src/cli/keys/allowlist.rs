//! `--allow` and `--allow-platform`. Networks go out as written: the control API judges them and proposes repairs.

use serde_json::{Value, json};

/// From where a key may be used.
#[derive(clap::Args)]
pub(super) struct AllowlistArguments {
    /// Allow this address or CIDR network only; may be repeated
    #[arg(long, value_name = "NETWORK")]
    allow: Vec<String>,

    /// Allow the platform's own addresses
    #[arg(long)]
    allow_platform: bool,
}

impl AllowlistArguments {
    /// The networks, as they were written, and whether the platform is allowed.
    pub(super) fn parts(&self) -> (&[String], bool) {
        (&self.allow, self.allow_platform)
    }

    /// The `allowlist` field; `None` where no flag was given.
    pub(super) fn field(&self) -> Option<Value> {
        if self.allow.is_empty() && !self.allow_platform {
            return None;
        }
        Some(json!({"networks": self.allow, "platform": self.allow_platform}))
    }
}
