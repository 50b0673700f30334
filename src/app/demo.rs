//! `portcullis demo`: a gateway, an embedded store, a sample API and one key, to be tried in a minute.
//!
//! It writes a configuration into its data folder and starts the very node that `serve` would.

use super::node::{self, Ground, Listeners, Node, Origin};
use super::serving;
use super::supervisor::Supervisor;
use crate::catalogue::AccessClass;
use crate::control::{Asking, Caller, ControlProblem, FieldErrors, IssuedKey, KeyDraft, bootstrap};
use crate::model::{Act, Actor, EnvironmentId, Identifier, Permission};
use crate::{clock, config, edge, sample};
use anyhow::Context;
use serde_json::json;
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What `portcullis demo` was asked for.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// Where the control API and the workbench listen.
    pub control: SocketAddr,
    /// Where metrics and probes listen.
    pub metrics: SocketAddr,
    /// Where its state is kept; `None` is a folder that goes away with the process.
    pub data_dir: Option<PathBuf>,
    /// The API to stand in front of; `None` is the built-in sample.
    pub upstream: Option<String>,
    /// That API's OpenAPI document.
    pub openapi: Option<PathBuf>,
    /// Whether facts are printed as one JSON object instead of prose.
    pub json: bool,
}

/// Runs gateway, store and sample API until told to stop.
pub fn demo(options: &DemoOptions) -> anyhow::Result<()> {
    super::words::start(crate::config::LogFormat::Text);
    let temporary = options.data_dir.is_none().then(tempfile::tempdir).transpose()?;
    let folder = match (&options.data_dir, &temporary) {
        (Some(folder), _) => folder.clone(),
        (None, Some(folder)) => folder.path().to_owned(),
        (None, None) => anyhow::bail!("no folder for the demo's data"),
    };
    super::secrets::ensure_private_dir(&folder)?;
    let listeners = Listeners {
        edge: vec![edge::bind(options.listen).context("--listen")?],
        control: vec![edge::bind(options.control).context("--control")?],
        metrics: vec![edge::bind(options.metrics).context("--metrics")?],
    };
    let facts = Addresses::of(&listeners)?;
    let sample = options.upstream.is_none().then(|| edge::bind(SocketAddr::from(([127, 0, 0, 1], 0)))).transpose()?;
    let (path, preset) = write_configuration(&folder, options, &facts, sample.as_ref())?;
    let documents = Arc::new(config::Documents::default());
    let loaded = config::load_with_sources(&path, clock::now(), &documents);
    let config = loaded.config.map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let (origin, nobody) = (Origin::Bound(listeners), Supervisor::new(None));
    let node = Node::prepare(Ground::lay()?, config, documents, origin, Some((path, loaded.sources)), nobody)?;
    if let Some(sample) = sample {
        let _entered = node.runtime().enter();
        serving::serve_http(sample, sample::router(), &Arc::default())?;
    }
    let key = node.block_on(make_key(&node, preset))?;
    let first_run = bootstrap::left_token(&folder.join("data"))?;
    let mut output = std::io::stdout().lock();
    output.write_all(facts.text(&key, first_run.as_ref().map(|token| token.as_str()), &folder, options).as_bytes())?;
    output.flush()?;
    drop(output);
    node.run(None)
}

/// Where the demo really listens.
struct Addresses {
    base_url: String,
    control_url: String,
    metrics_url: String,
    bind: [SocketAddr; 3],
}

impl Addresses {
    fn of(listeners: &Listeners) -> anyhow::Result<Self> {
        let of = |listeners: &[TcpListener]| node::first_address(listeners).context("a listener has no address");
        let bind = [of(&listeners.edge)?, of(&listeners.control)?, of(&listeners.metrics)?];
        let [edge, control, metrics] = bind;
        Ok(Self {
            base_url: format!("http://{edge}/sandbox"),
            control_url: format!("http://{control}"),
            metrics_url: format!("http://{metrics}/metrics"),
            bind,
        })
    }

    /// Three lines to paste, one after the other, into one shell.
    fn curl(&self, key: &IssuedKey, options: &DemoOptions) -> [String; 3] {
        let base = &self.base_url;
        let path = if options.upstream.is_none() { "/cards" } else { "/" };
        let (id, secret) = (key.key.client_id.as_str(), key.secret.expose());
        let allowed = format!("curl -i -H \"Authorization: Bearer $TOKEN\" {base}{path}");
        let refused = format!("curl -i -X POST -H \"Authorization: Bearer $TOKEN\" {base}{path}");
        let token = format!(
            "ANSWER=$(curl -s -u {id}:{secret} -d grant_type=client_credentials {base}/oauth2/token); echo \"$ANSWER\"; \
             TOKEN=$(echo \"$ANSWER\" | sed -n 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/p')"
        );
        [token, allowed, refused]
    }

    /// Where an owner signs in.
    fn workbench(&self) -> String {
        format!("{}/sign-in", self.control_url)
    }

    /// Where the bootstrap token makes the first owner.
    fn first_run(&self, token: &str) -> String {
        format!("{}/first-run?token={token}", self.control_url)
    }

    /// `token` is the bootstrap token, where it has not ended.
    fn text(&self, key: &IssuedKey, token: Option<&str>, folder: &Path, options: &DemoOptions) -> String {
        let (id, secret) = (key.key.client_id.as_str(), key.secret.expose());
        let curl = self.curl(key, options);
        let Self { base_url, control_url, metrics_url, .. } = self;
        let token_file = folder.join("data").join(bootstrap::FILE);
        let first_run = token.map(|token| self.first_run(token));
        if options.json {
            let facts = json!({
                "base_url": base_url, "token_url": format!("{base_url}/oauth2/token"), "control_url": control_url,
                "workbench_url": self.workbench(), "first_run_url": first_run, "metrics_url": metrics_url,
                "organization": "demo", "environment": "sandbox", "client_id": id, "client_secret": secret,
                "bootstrap_token_file": token_file, "curl": curl,
            });
            return format!("{facts}\n");
        }
        let workbench = match first_run {
            Some(first_run) => format!(
                "{first_run}\n\x20                 (once: this link makes the first owner, who then signs in at {})",
                self.workbench()
            ),
            None => self.workbench(),
        };
        let [token, allowed, refused] = curl;
        let token_file = token_file.display();
        format!(
            "\nPortcullis stands in front of {upstream}.\n\n\
             \x20 base URL       {base_url}\n\
             \x20 client id      {id}\n\
             \x20 client secret  {secret}\n\
             \x20 workbench      {workbench}\n\
             \x20 control API    {control_url}/v1/status   (operator token: {token_file})\n\
             \x20 metrics        {metrics_url}\n\n\
             Paste these one after the other:\n\n\
             # a token\n{token}\n\n# 200: the key may read\n{allowed}\n\n# 403: it may not write, and is told why\n{refused}\n\n\
             Ctrl-C ends it.\n",
            upstream = options.upstream.as_deref().unwrap_or("a small bank (built in)"),
        )
    }
}

/// The node file and the tenant file, in `folder`; the node file's path, and the preset for the demo's key.
fn write_configuration(
    folder: &Path,
    options: &DemoOptions,
    facts: &Addresses,
    sample: Option<&TcpListener>,
) -> anyhow::Result<(PathBuf, &'static str)> {
    let tenants = folder.join("tenants");
    fs::create_dir_all(&tenants)?;
    let upstream = match (&options.upstream, sample) {
        (Some(upstream), _) => upstream.clone(),
        (None, Some(sample)) => format!("http://{}", sample.local_addr()?),
        (None, None) => anyhow::bail!("no upstream for the demo"),
    };
    let document = match (&options.openapi, &options.upstream) {
        (Some(path), _) => {
            let document = config::read_document(path).with_context(|| format!("`{}`", path.display()))?;
            Some((config::document_name("demo", path, &document), document))
        }
        (None, None) => Some(("demo.openapi.json".to_owned(), sample::OPENAPI.as_bytes().to_vec())),
        (None, Some(_)) => None,
    };
    let mut tenant = format!(
        "[organization]\nid = \"demo\"\nname = \"Demo\"\n\n[environments.sandbox]\nbase_url = {}\nupstream = {}\n",
        quoted(&facts.base_url),
        quoted(&upstream),
    );
    let permissions = if let Some((name, document)) = &document {
        fs::write(tenants.join(name), document)?;
        tenant.push_str(&format!("openapi = {}\n", quoted(name)));
        config::Documents::default().import(document, "")?.permissions.to_vec()
    } else {
        Vec::new()
    };
    let (preset, names) = key_preset(&permissions);
    tenant.push_str(&format!("[environments.sandbox.presets]\n{} = [{}]\n", quoted(preset), names.join(", ")));
    fs::write(tenants.join("demo.toml"), tenant)?;
    let [edge, control, metrics] = facts.bind;
    let plain = if edge.ip().is_loopback() { "" } else { "plaintext = \"behind_proxy\"\n" };
    // The demo alone is plain where others can reach it, on sockets that are bound already: a node that is started with
    // this file is not.
    let control = SocketAddr::from(([127, 0, 0, 1], control.port()));
    let node = format!(
        "[node]\ndata_dir = \"data\"\n[listeners.edge]\nbind = [\"{edge}\"]\n{plain}[listeners.control]\nbind = [\"{control}\"]\n\
         [listeners.metrics]\nbind = [\"{metrics}\"]\n[log]\naccess = \"off\"\n",
    );
    let path = folder.join("portcullis.toml");
    fs::write(&path, node)?;
    Ok((path, preset))
}

/// The preset for the demo's key, and what it selects: whatever only reads, or everything where nothing does.
fn key_preset(permissions: &[Permission]) -> (&'static str, Vec<String>) {
    let names = |only_reads: bool| -> Vec<String> {
        let wanted = permissions.iter().filter(|it| !only_reads || AccessClass::of(it) == AccessClass::Read);
        wanted.map(|permission| quoted(permission.name.as_str())).collect()
    };
    match names(true) {
        reads if !reads.is_empty() => ("Read only", reads),
        _ if permissions.is_empty() => ("Read only", vec![quoted("api:read")]),
        _ => ("Everything", names(false)),
    }
}

/// A TOML basic string: JSON strings are a subset of them.
fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

/// The demo's key, made by the same function as the control API's.
async fn make_key(node: &Node, preset: &str) -> anyhow::Result<IssuedKey> {
    let environment =
        EnvironmentId { organization: Identifier::parse("demo")?, environment: Identifier::parse("sandbox")? };
    let draft = |name| KeyDraft { name: Some(name), preset: Some(preset.to_owned()), ..KeyDraft::default() };
    let asking = Asking { caller: Caller::Operator, act: Act::of(Actor::Operator, clock::now()) };
    let mut made = Err(ControlProblem::NameTaken);
    // A data folder that is used again holds the keys of the demos before.
    for name in std::iter::once("demo".to_owned()).chain((2..1000).map(|count| format!("demo {count}"))) {
        made = node.control.create_key(&asking, &environment, draft(name), FieldErrors::default()).await;
        if !matches!(made, Err(ControlProblem::NameTaken)) {
            break;
        }
    }
    made.map_err(|problem| anyhow::anyhow!("the demo's key could not be made: {problem:?}"))
}
