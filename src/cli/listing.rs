//! Listings of the control API: cursors followed, rows for people, JSON as it came.

use super::client::Client;
use super::failure::{Exit, Failure};
use super::output::{note, print, print_json, table};
use serde::Deserialize;
use serde_json::{Value, json};

/// Rows asked for at once.
const PAGE: usize = 100;
/// Where a listing without a limit of its own ends.
const MOST: usize = 100_000;

/// `--limit`
#[derive(clap::Args)]
pub(super) struct Limit {
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

/// Rows found, and where the listing goes on if it does.
#[derive(Default, Deserialize)]
pub(super) struct Listing {
    pub(super) data: Vec<Value>,
    #[serde(default)]
    next_cursor: Option<String>,
}

impl Limit {
    /// Follows cursors until there are no more rows or as many as were asked for.
    pub(super) fn collect(&self, client: &Client, path: &str, filters: &[(&str, String)]) -> Result<Listing, Failure> {
        let limit = self.limit as usize;
        let size = |found: usize| Some(limit.saturating_sub(found).min(PAGE));
        collect(client, path, filters, limit, size)
    }
}

impl Listing {
    /// Everything at `path`, in pages as large as the server likes.
    pub(super) fn whole(client: &Client, path: &str) -> Result<Self, Failure> {
        collect(client, path, &[], MOST, |_| None)
    }

    /// A listing that is the answer to a change.
    pub(super) fn of(answer: Value) -> Result<Self, Failure> {
        page(answer)
    }

    /// Prints the listing in the form asked for. `noun` is what the rows are, in the plural.
    pub(super) fn show<const N: usize>(
        &self,
        json: bool,
        noun: &str,
        headings: [&str; N],
        row: impl Fn(&Value) -> Result<[String; N], Failure>,
    ) -> Result<(), Failure> {
        if json {
            print_json(&json!({"data": self.data, "next_cursor": self.next_cursor}))?;
        } else {
            let rows = self.data.iter().map(row).collect::<Result<Vec<_>, Failure>>()?;
            print(&table(headings, &rows))?;
        }
        if self.data.is_empty() {
            note(&format!("no {noun}"));
        } else if self.next_cursor.is_some() {
            note(&format!("there are more {noun} than {}; raise --limit to see them", self.data.len()));
        }
        Ok(())
    }
}

fn collect(
    client: &Client,
    path: &str,
    filters: &[(&str, String)],
    limit: usize,
    size: impl Fn(usize) -> Option<usize>,
) -> Result<Listing, Failure> {
    let mut found = Listing::default();
    loop {
        let mut query: Vec<(&str, String)> = Vec::new();
        query.extend(size(found.data.len()).map(|size| ("limit", size.to_string())));
        query.extend_from_slice(filters);
        query.extend(found.next_cursor.take().map(|cursor| ("cursor", cursor)));
        let page = page(client.get(path, &query)?)?;
        // A cursor that leads nowhere must not keep us here for ever.
        let stuck = page.data.is_empty();
        let room = limit.saturating_sub(found.data.len());
        found.data.extend(page.data.into_iter().take(room));
        found.next_cursor = page.next_cursor;
        if stuck || found.next_cursor.is_none() || found.data.len() >= limit {
            return Ok(found);
        }
    }
}

fn page(answer: Value) -> Result<Listing, Failure> {
    serde_json::from_value(answer).map_err(|error| Failure::new(Exit::Failure, format!("unexpected listing: {error}")))
}
