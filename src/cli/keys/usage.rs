//! `portcullis keys usage`.

use super::Context;
use crate::cli::client::key_path;
use crate::cli::failure::Failure;
use crate::cli::listing::Listing;
use crate::cli::output::cell;
use crate::model::ClientId;

/// Show which operations a key has been used for, how often, and when last
///
/// Counts are gathered beside the traffic and written in batches: the last minute may be missing.
#[derive(clap::Args)]
pub(super) struct Usage {
    /// The key's client id
    #[arg(value_name = "ID", value_parser = ClientId::parse)]
    id: ClientId,
}

impl Usage {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let path = format!("{}/usage", key_path(&context.environment, &self.id));
        let listing = Listing::whole(&context.client, &path)?;
        listing.show(context.json, "uses yet", ["OPERATION", "COUNT", "LAST USED"], |row| {
            Ok(["operation", "count", "last_used_at"].map(|name| cell(row, name)))
        })
    }
}
