//! `portcullis keys list`.

use super::Context;
use super::object::KeyObject;
use crate::cli::client::keys_path;
use crate::cli::failure::Failure;
use crate::cli::listing::Limit;
use crate::cli::when::{Ago, Ahead};
use crate::model::Timestamp;

/// List keys, newest first
#[derive(clap::Args)]
pub(super) struct List {
    /// Only keys with this status
    #[arg(long, value_enum)]
    status: Option<Status>,

    /// Only keys of this type
    #[arg(long = "type", value_enum)]
    kind: Option<Kind>,

    /// Only keys whose name or client id contains this text
    #[arg(short, long = "query", value_name = "TEXT")]
    query: Option<String>,

    /// Only keys that end before this instant, or within this time from now (14d)
    #[arg(long, value_name = "INSTANT|DURATION", value_parser = Ahead::parse)]
    expires_before: Option<Ahead>,

    /// Only keys that nobody used since this instant, or for this long (90d)
    #[arg(long, value_name = "INSTANT|DURATION", value_parser = Ago::parse)]
    unused_since: Option<Ago>,

    #[command(flatten)]
    limit: Limit,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Status {
    Active,
    Expired,
    Revoked,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    FineGrained,
    Legacy,
}

impl List {
    pub(super) fn run(&self, context: &Context, now: Timestamp) -> Result<(), Failure> {
        let listing = self.limit.collect(&context.client, &keys_path(&context.environment), &self.filters(now))?;
        let headings = ["CLIENT ID", "NAME", "TYPE", "STATUS", "EXPIRES", "ALLOWED FROM", "LAST USED"];
        listing.show(context.json, "keys", headings, |value| {
            let key = KeyObject::parse(value)?;
            let (expires, allowed_from, last_used) = (key.expires(), key.allowed_from(), key.last_used());
            Ok([key.client_id, key.name, key.kind, key.status, expires, allowed_from, last_used])
        })
    }

    fn filters(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let status = self.status.map(|status| match status {
            Status::Active => "active",
            Status::Expired => "expired",
            Status::Revoked => "revoked",
        });
        let kind = self.kind.map(|kind| match kind {
            Kind::FineGrained => "fine_grained",
            Kind::Legacy => "legacy",
        });
        let filters = [
            ("status", status.map(str::to_owned)),
            ("type", kind.map(str::to_owned)),
            ("q", self.query.clone()),
            ("expires_before", self.expires_before.map(|when| when.instant(now).to_string())),
            ("unused_since", self.unused_since.map(|when| when.instant(now).to_string())),
        ];
        filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}
