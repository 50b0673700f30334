//! `portcullis orgs show`.

use super::Context;
use super::object::print_organization;
use crate::cli::client::organization_path;
use crate::cli::failure::Failure;
use crate::model::Identifier;

/// Show an organization, its policies, and how many keys exceed them
#[derive(clap::Args)]
pub(super) struct Show {
    /// The organization [default: the only one]
    #[arg(value_name = "ID", value_parser = Identifier::parse)]
    id: Option<Identifier>,
}

impl Show {
    pub(super) fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        let organization = context.organization(self.id.as_ref())?;
        print_organization(&context.client.get(&organization_path(&organization, ""), &[])?, context.json)
    }
}
