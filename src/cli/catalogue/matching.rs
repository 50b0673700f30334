//! `portcullis catalogue match`.

use crate::app::{Matched, match_operation};
use crate::cli::failure::{Exit, Failure};
use crate::cli::listing::Listing;
use crate::cli::output::{cell, facts, note, print, print_json};

/// Find the operation that a request runs, and the permissions that open it
///
/// The path is matched under the usual path rules; `portcullis explain` judges a request under the environment's own.
/// Exit code 3 where the catalogue knows no such operation: at the edge that is `operation_unknown`.
#[derive(clap::Args)]
pub(super) struct Match {
    /// The request's method
    #[arg(value_name = "METHOD")]
    method: String,

    /// The request's path, relative to the environment's base URL
    #[arg(value_name = "PATH")]
    path: String,
}

impl Match {
    pub(super) fn run(&self, listing: Listing, json: bool) -> Result<(), Failure> {
        let operations: Vec<(String, String)> =
            listing.data.iter().map(|row| (cell(row, "method"), cell(row, "path"))).collect();
        let named = format!("{} {}", self.method, self.path);
        let at = match match_operation(&operations, &self.method, &self.path)? {
            Matched::Ambiguous(why) => return Err(Failure::new(Exit::Invalid, format!("`{named}`: {why}"))),
            Matched::Operations(at) => at,
            Matched::Unknown => {
                return Err(Failure::new(Exit::NotFound, format!("the catalogue knows no operation for `{named}`")));
            }
        };
        let found: Vec<_> = at.iter().filter_map(|at| listing.data.get(*at)).collect();
        let Some((first, others)) = found.split_first() else {
            return Err(Failure::new(Exit::Failure, "the catalogue matched an operation that it does not list"));
        };
        if json {
            print_json(first)?;
        } else {
            let names = ["operation", "method", "path", "permissions", "public"];
            print(&facts(&names.map(|name| (name, cell(first, name)))))?;
        }
        for other in others {
            note(&format!(
                "a lenient API could run `{}` instead: its permissions are needed too",
                cell(other, "operation")
            ));
        }
        Ok(())
    }
}
