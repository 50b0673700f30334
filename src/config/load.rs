//! From a path to a checked [`Config`]: reads every file, judges each, then what they say together.

use super::documents::{Documents, Imports};
use super::reader::At;
use super::sheet::Sheet;
use super::sources::Reading;
use super::tenant::Tenant;
use super::{Config, NodeConfig, Problems, Sources, node, tenant};
use crate::model::{BaseUrl, Timestamp};
use std::collections::HashMap;
use std::hash::Hash;
use std::path::Path;
use std::sync::Arc;

/// A configuration, or what is wrong with it, and what it was read from.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, or every problem of every file at once.
    pub config: Result<Config, Problems>,
    /// The node's own file, where nothing is wrong with it and what it names, whatever the tenants' say.
    pub node: Option<NodeConfig>,
    /// Every file that was read or looked for.
    pub sources: Sources,
}

/// Reads `portcullis.toml` at `path` and every `*.toml` of its tenants folder, in the order of their names.
///
/// `now` is what the policies on key lifetimes count from, and `created_at` of declared keys. `documents` keeps what
/// OpenAPI documents gave from one reading to the next.
///
/// # Errors
///
/// Every problem of every file at once. Nothing is defaulted or left out to get around one.
pub fn load(path: &Path, now: Timestamp, documents: &Documents) -> Result<Config, Problems> {
    load_with_sources(path, now, documents).config
}

/// The same as [`load`], and what it was read from: for whoever wants to know when that changes.
pub fn load_with_sources(path: &Path, now: Timestamp, documents: &Documents) -> Loaded {
    let reading = Arc::new(Reading::new(now));
    let (config, node) = read(path, now, documents, &reading);
    Loaded { config, node, sources: reading.sources() }
}

fn read(
    path: &Path,
    now: Timestamp,
    documents: &Documents,
    reading: &Arc<Reading>,
) -> (Result<Config, Problems>, Option<NodeConfig>) {
    documents.begin();
    let imports = Imports::of_files(documents);
    let file = Sheet::open(path, reading);
    let (node, tenants_line) = node::read(&file, now);
    let sound = file.is_sound().then(|| node.clone());
    let mut notes = file.take_notes();
    let sheets: Vec<Sheet> = reading
        .tenant_files(&node.tenants_dir)
        .unwrap_or_else(|error| {
            let folder = node.tenants_dir.display();
            file.problem(tenants_line, format!("tenants folder `{folder}` cannot be read: {error}"));
            Vec::new()
        })
        .iter()
        .map(|path| Sheet::open(path, reading))
        .collect();
    let tenants: Vec<Tenant> = sheets.iter().map(|sheet| tenant::read(sheet, now, &imports)).collect();
    check_together(&sheets, &tenants);
    let organizations: Vec<_> = tenants.into_iter().filter_map(|tenant| tenant.organization).collect();
    if organizations.len() < sheets.len() && sheets.iter().all(Sheet::is_sound) {
        // INVARIANT: what could not be read left a problem. Were that ever untrue, nothing would load all the same.
        file.problem(tenants_line, "a tenant file could not be read");
    }
    let problems: Vec<_> = std::iter::once(file).chain(sheets).flat_map(Sheet::into_problems).collect();
    notes.extend(imports.into_notes());
    documents.forget_unused();
    let config =
        if problems.is_empty() { Ok(Config { node, organizations, notes }) } else { Err(Problems::sorted(problems)) };
    (config, sound)
}

/// Ids that are unique across all files: organizations, base URLs, client ids.
fn check_together(sheets: &[Sheet], tenants: &[Tenant]) {
    let (mut organizations, mut base_urls, mut client_ids) = (Unique::default(), Unique::default(), Unique::default());
    for (sheet, tenant) in sheets.iter().zip(tenants) {
        if let Some(organization) = &tenant.organization {
            let id = organization.id.as_str();
            organizations.insert(id, sheet, tenant.id_line, || format!("the organization id `{id}`"));
        }
        for place in &tenant.places {
            if let Some(At { value, line }) = &place.base_url {
                base_urls.insert(listened_at(value), sheet, *line, || format!("the base URL `{value}`"));
            }
            for At { value, line } in &place.client_ids {
                client_ids.insert(value, sheet, *line, || format!("the client id `{value}`"));
            }
        }
    }
}

/// What a request is told apart by: two base URLs that agree in it are one.
fn listened_at(url: &BaseUrl) -> (String, u16, String) {
    (url.host().to_owned(), url.port(), url.path().to_owned())
}

/// Values that may stand once, and where each stood first.
struct Unique<'s, T>(HashMap<T, (&'s Path, usize)>);

impl<T> Default for Unique<'_, T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<'s, T: Eq + Hash> Unique<'s, T> {
    fn insert(&mut self, value: T, sheet: &'s Sheet, line: usize, what: impl FnOnce() -> String) {
        if let Some((file, first)) = self.0.get(&value) {
            sheet.problem(line, format!("{} is taken already ({}:{first})", what(), file.display()));
        } else {
            self.0.insert(value, (sheet.file(), line));
        }
    }
}
