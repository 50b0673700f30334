//! `portcullis keys digest`: a key for a tenant file, made without any node.

use super::allowlist::AllowlistArguments;
use super::expiry::ExpiryArguments;
use crate::cli::failure::{Exit, Failure};
use crate::cli::options::ScopeOptions;
use crate::cli::output::{facts, note, print, print_json};
use crate::cli::secret_file;
use crate::model::{ClientId, ClientSecret, KeyName, Network, PermissionName, Timestamp};
use clap::ArgGroup;
use serde_json::json;
use std::fmt::Write;
use std::path::PathBuf;

/// The environment of a stanza where none was named.
const USUAL_ENVIRONMENT: &str = "production";

/// Make an id, a secret and the lines that declare them in a tenant file; asks no server
///
/// The lines hold the secret's digest alone. With --secret-file the secret goes there and stdout is the lines alone,
/// ready to be appended: `portcullis keys digest --name batch --permission cards:read --secret-file batch.secret >>
/// tenants/acme.toml`
#[derive(clap::Args)]
#[command(group = ArgGroup::new("may").args(["permissions", "role"]).required(true))]
pub(super) struct Digest {
    /// What people call it
    #[arg(long, value_parser = KeyName::parse)]
    name: KeyName,

    /// A permission it holds; may be repeated
    #[arg(long = "permission", value_name = "NAME", value_parser = PermissionName::parse)]
    permissions: Vec<PermissionName>,

    /// The role of a legacy key, instead of permissions
    #[arg(long, value_name = "NAME", conflicts_with = "permissions")]
    role: Option<String>,

    #[command(flatten)]
    expiry: ExpiryArguments,

    #[command(flatten)]
    allowlist: AllowlistArguments,

    /// Write the secret to this new file (mode 0600) instead of printing it
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl Digest {
    pub(super) fn run(&self, scope: &ScopeOptions, json: bool, now: Timestamp) -> Result<(), Failure> {
        let environment = scope.env.as_ref().map_or(USUAL_ENVIRONMENT, |named| named.as_str());
        let (id, secret) = (ClientId::from_entropy(draw()?), ClientSecret::from_entropy(draw()?));
        let stanza = self.stanza(environment, &id, &secret, now)?;
        if let Some(path) = &self.secret_file {
            secret_file::create("--secret-file", path, secret.expose())?;
        }
        let shown = self.secret_file.is_none().then(|| secret.expose());
        if json {
            let digest = secret.digest().to_text();
            print_json(&json!({"client_id": id, "client_secret": shown, "secret_digest": digest, "stanza": stanza}))?;
        } else if let Some(secret) = shown {
            let facts = facts(&[("client_id", id.to_string()), ("client_secret", secret.to_owned())]);
            print(&format!("{facts}\n\n{}", stanza.trim_end()))?;
        } else {
            print(stanza.trim_end())?;
        }
        if shown.is_some() {
            note("warning: the client_secret is shown this once and never again; store it now");
        }
        note(&format!(
            "the lines go into the tenant file that has [environments.{environment}], below everything else"
        ));
        Ok(())
    }

    /// The key as a tenant file declares it (3.3).
    fn stanza(
        &self,
        environment: &str,
        id: &ClientId,
        secret: &ClientSecret,
        now: Timestamp,
    ) -> Result<String, Failure> {
        let mut text = format!(
            "[[environments.{environment}.keys]]\nclient_id = {}\nname = {}\nsecret_digest = {}\n",
            quoted(id.as_str()),
            quoted(self.name.as_str()),
            quoted(&secret.digest().to_text())
        );
        let held = match &self.role {
            Some(role) => format!("role = {}", quoted(role)),
            None => format!("permissions = {}", list(self.permissions.iter().map(PermissionName::as_str))),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{held}");
        if let Some(instant) = self.expiry.instant(now) {
            let _ = writeln!(text, "expires_at = {instant}");
        }
        if let Some((networks, platform)) = self.allowlist.parts()? {
            let networks = list(sound(&networks)?);
            let _ = writeln!(text, "allowlist = {{ networks = {networks}, platform = {platform} }}");
        }
        Ok(text)
    }
}

/// Checked here, since no control API will: what `portcullis check` refuses is not made.
fn sound(networks: &[String]) -> Result<impl Iterator<Item = &str>, Failure> {
    for network in networks {
        Network::parse(network).map_err(|error| Failure::new(Exit::Invalid, format!("--allow: {error}")))?;
    }
    Ok(networks.iter().map(String::as_str))
}

fn list<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    format!("[{}]", texts.map(quoted).collect::<Vec<_>>().join(", "))
}

/// A TOML basic string: JSON's escapes are a subset of its own, and DEL is the one thing that JSON leaves bare.
fn quoted(text: &str) -> String {
    json!(text).to_string().replace('\u{7f}', "\\u007f")
}

fn draw<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    let drawn = aws_lc_rs::rand::fill(&mut bytes);
    drawn.map_err(|_| Failure::new(Exit::Failure, "the system gave no random bytes"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_toml() {
        for text in ["plain", "a\"b\\c", "é\u{7f}\u{1}\n"] {
            let line = format!("x = {}", quoted(text));
            let document = toml::de::DeTable::parse(&line).unwrap();
            assert_eq!(document.get_ref()["x"].get_ref().as_str(), Some(text));
        }
    }
}
