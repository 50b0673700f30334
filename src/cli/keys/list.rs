//! `portcullis keys list`.

use super::Context;
use super::object::KeyObject;
use crate::cli::client::keys_path;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{note, print, print_json, table};
use serde::Deserialize;
use serde_json::{Value, json};

/// Keys asked for at once.
const PAGE: usize = 100;

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

    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
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

/// Keys found, and where the listing goes on if it does.
#[derive(Deserialize)]
struct Listing {
    data: Vec<Value>,
    #[serde(default)]
    next_cursor: Option<String>,
}

impl List {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let listing = self.collect(context)?;
        if context.json {
            print_json(&json!({"data": listing.data, "next_cursor": listing.next_cursor}))?;
        } else {
            print(&rows(&listing.data)?)?;
        }
        if listing.data.is_empty() {
            note("no keys");
        } else if listing.next_cursor.is_some() {
            note(&format!("there are more keys than {}; raise --limit to see them", self.limit));
        }
        Ok(())
    }

    /// Follows cursors until there are no more keys or as many as were asked for.
    fn collect(&self, context: &Context) -> Result<Listing, Failure> {
        let limit = self.limit as usize;
        let mut found = Listing { data: Vec::new(), next_cursor: None };
        loop {
            let wanted = limit.saturating_sub(found.data.len());
            let page = self.page(context, wanted.min(PAGE), found.next_cursor.as_deref())?;
            // A cursor that leads nowhere must not keep us here for ever.
            let stuck = page.data.is_empty();
            found.data.extend(page.data.into_iter().take(wanted));
            found.next_cursor = page.next_cursor;
            if stuck || found.next_cursor.is_none() || found.data.len() >= limit {
                return Ok(found);
            }
        }
    }

    fn page(&self, context: &Context, limit: usize, cursor: Option<&str>) -> Result<Listing, Failure> {
        let status = self.status.map(|status| match status {
            Status::Active => "active",
            Status::Expired => "expired",
            Status::Revoked => "revoked",
        });
        let kind = self.kind.map(|kind| match kind {
            Kind::FineGrained => "fine_grained",
            Kind::Legacy => "legacy",
        });
        let mut query = vec![("limit", limit.to_string())];
        let optional = [("status", status), ("type", kind), ("q", self.query.as_deref()), ("cursor", cursor)];
        query.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?.to_owned()))));
        let page = context.client.get(&keys_path(&context.environment), &query)?;
        serde_json::from_value(page)
            .map_err(|error| Failure::new(Exit::Failure, format!("unexpected listing: {error}")))
    }
}

fn rows(keys: &[Value]) -> Result<String, Failure> {
    let row = |value: &Value| {
        let key = KeyObject::parse(value)?;
        let (expires, allowed_from, last_used) = (key.expires(), key.allowed_from(), key.last_used());
        Ok([key.client_id, key.name, key.kind, key.status, expires, allowed_from, last_used])
    };
    let rows = keys.iter().map(row).collect::<Result<Vec<_>, Failure>>()?;
    Ok(table(["CLIENT ID", "NAME", "TYPE", "STATUS", "EXPIRES", "ALLOWED FROM", "LAST USED"], &rows))
}
