//! The flags that every client command shares: which server, who asks, and the form of the answer.

use super::failure::Failure;
use super::output::Form;
use super::secret_file;
use super::transport::Trust;
use crate::app::ControlAccess;
use crate::model::Identifier;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const DEFAULT_SERVER: &str = "http://127.0.0.1:9080";

/// The hidden arguments that stand for the variables PORTCULLIS_SERVER and PORTCULLIS_TOKEN.
pub(super) const VARIABLES: [&str; 2] = ["portcullis-server", "portcullis-token"];

/// Which control API, as whom, and in which form the answer is printed.
#[derive(clap::Args)]
#[command(next_help_heading = "Connection and output")]
pub(super) struct ClientOptions {
    /// The node's configuration: where its control API is, and its bootstrap token
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    /// The control API [else: that of --config, the variable PORTCULLIS_SERVER, or http://127.0.0.1:9080]
    #[arg(long, value_name = "URL", global = true)]
    server: Option<String>,

    // Arguments only because clap reads variables through arguments: they take no value on the command line. Apart from
    // `--server`, so that what is typed (`--config`) wins over what was once exported.
    #[arg(
        long = VARIABLES[0],
        env = "PORTCULLIS_SERVER",
        num_args = 0,
        default_missing_value = "",
        hide = true,
        global = true
    )]
    server_variable: Option<String>,

    /// A file that holds the token to sign in with, `-` for stdin [else: the variable PORTCULLIS_TOKEN]
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,

    #[arg(
        long = VARIABLES[1],
        env = "PORTCULLIS_TOKEN",
        num_args = 0,
        default_missing_value = "",
        hide = true,
        hide_env_values = true,
        global = true
    )]
    token: Option<String>,

    /// The form of the answer
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORM", global = true)]
    output: Form,

    /// Short for `--output json`
    #[arg(long, conflicts_with = "output", global = true)]
    json: bool,

    #[command(flatten)]
    pub(super) trust: Trust,
}

/// A control API and, where one was found, the token to sign in with.
pub(super) struct Access {
    pub(super) server: String,
    pub(super) token: Option<Zeroizing<String>>,
    pub(super) origin: Origin,
}

/// Where the token came from, or was looked for in vain.
pub(super) enum Origin {
    /// The bootstrap token's file, by this configuration.
    Bootstrap { config: PathBuf, file: PathBuf },
    /// `--token-file`.
    File(PathBuf),
    /// Nothing said where to look.
    Nowhere,
    /// PORTCULLIS_TOKEN.
    Variable,
}

impl ClientOptions {
    pub(super) const fn is_json(&self) -> bool {
        self.json || matches!(self.output, Form::Json)
    }

    /// What is typed wins over variables, for the token only where it names one: who is signed in stays who they are.
    /// The bootstrap token goes to its own server only.
    pub(super) fn access(&self) -> Result<Access, Failure> {
        let node = self.node()?;
        let server = self.server_of(node.as_ref());
        if let Some((token, origin)) = self.given_token()? {
            return Ok(Access { server, token: Some(token), origin });
        }
        let (Some(config), Some(node), None) = (&self.config, node, &self.server) else {
            return Ok(Access { server, token: None, origin: Origin::Nowhere });
        };
        let file = node.bootstrap_token;
        let token = if file.exists() { Some(secret_file::read("bootstrap token", &file)?) } else { None };
        Ok(Access { server, token, origin: Origin::Bootstrap { config: config.clone(), file } })
    }

    /// The control API alone, by the same rules, for whoever has no token yet.
    pub(super) fn server(&self) -> Result<String, Failure> {
        Ok(self.server_of(self.node()?.as_ref()))
    }

    fn node(&self) -> Result<Option<ControlAccess>, Failure> {
        let config = self.config.as_deref().filter(|_| self.server.is_none());
        Ok(config.map(crate::app::control_access).transpose()?)
    }

    fn server_of(&self, node: Option<&ControlAccess>) -> String {
        let exported = self.server_variable.as_deref().filter(|text| !text.is_empty());
        let typed = self.server.as_deref().or(node.map(|node| node.server.as_str()));
        typed.or(exported).unwrap_or(DEFAULT_SERVER).to_owned()
    }

    /// The node's configuration, for commands that work on its files.
    pub(super) fn config_file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    fn given_token(&self) -> Result<Option<(Zeroizing<String>, Origin)>, Failure> {
        if let Some(path) = &self.token_file {
            return Ok(Some((secret_file::read("--token-file", path)?, Origin::File(path.clone()))));
        }
        let text = self.token.as_deref().unwrap_or_default();
        if text.is_empty() {
            return Ok(None);
        }
        let token = secret_file::one_line(text);
        let token = token.map_err(|problem| Failure::usage(format!("PORTCULLIS_TOKEN: {problem}")))?;
        Ok(Some((token, Origin::Variable)))
    }
}

/// Which organization. It may be left out where only one exists.
#[derive(clap::Args)]
#[command(next_help_heading = "Organization and environment")]
pub(super) struct OrganizationOptions {
    /// The organization [default: the only one]
    #[arg(long, value_name = "ID", global = true, value_parser = Identifier::parse)]
    pub(super) org: Option<Identifier>,
}

/// Which environment. Either may be left out where only one exists.
#[derive(clap::Args)]
#[command(next_help_heading = "Organization and environment")]
pub(super) struct ScopeOptions {
    #[command(flatten)]
    pub(super) organization: OrganizationOptions,

    /// The environment [default: the only one]
    #[arg(long, value_name = "ID", global = true, value_parser = Identifier::parse)]
    pub(super) env: Option<Identifier>,
}

/// `--json`, for commands that ask no server.
#[derive(clap::Args)]
pub(super) struct JsonOption {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}
