//! The environments of the store, as they join those of tenant files at start and at every reload.

use crate::config::{Documents, EnvironmentDefinition, GivenDocument};
use crate::model::{BaseUrl, Environment, EnvironmentId, Identifier, Organization};
use crate::store::{DocumentText, Store, StoreError, StoredEnvironment};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// So many are read at a time.
const BATCH: u32 = 1000;

/// What the store adds to the files.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// The environments that count.
    pub(super) environments: Vec<Environment>,
    /// Those that do not, and why, in words.
    pub(super) warnings: Vec<String>,
}

/// Why the store's environments cannot join.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoredError {
    /// Some are not right, or in the way of others. One line each.
    #[error("{}", .0.join("\n"))]
    Problems(Vec<String>),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads every environment of the store. One whose id a file has is hidden: the file wins. One whose organization is
/// described nowhere any more is left out.
///
/// # Errors
///
/// A definition that this version refuses, and a base URL that somebody else has: all of them at once.
pub(super) async fn stored_environments(
    store: &dyn Store,
    documents: &Arc<Documents>,
    files: &[Organization],
) -> Result<Stored, StoredError> {
    let made = store.organizations().await?.into_iter().filter(|known| known.made_here).map(|known| known.id);
    let organizations: HashSet<Identifier> = files.iter().map(|known| known.id.clone()).chain(made).collect();
    let mut reading = Reading::new(files, organizations);
    let mut after = None;
    loop {
        let batch = store.environments(after.as_ref(), BATCH).await?;
        after = batch.last().map(|last| last.id.clone());
        let is_last = batch.len() < BATCH as usize;
        let counted: Vec<StoredEnvironment> = batch.into_iter().filter(|stored| reading.counts(&stored.id)).collect();
        let texts = texts(store, &counted, &mut reading.texts).await?;
        let documents = Arc::clone(documents);
        // Beside the other tasks: a document that is not known yet takes a while.
        let read = tokio::task::spawn_blocking(move || {
            let read = |stored| read(stored, &texts, &documents);
            counted.iter().map(read).collect::<Vec<_>>()
        });
        for outcome in read.await.map_err(|error| StoreError::Corrupt(error.to_string()))? {
            reading.add(outcome);
        }
        if is_last {
            return reading.finish();
        }
    }
}

/// The documents of these environments, each read once.
async fn texts(
    store: &dyn Store,
    environments: &[StoredEnvironment],
    known: &mut HashMap<String, Arc<DocumentText>>,
) -> Result<HashMap<String, Arc<DocumentText>>, StoreError> {
    for digest in environments.iter().filter_map(|stored| stored.document.as_ref()) {
        if !known.contains_key(digest)
            && let Some(text) = store.document(digest).await?
        {
            known.insert(digest.clone(), Arc::new(text));
        }
    }
    Ok(known.clone())
}

/// An environment, or what is wrong with its definition, one line each.
fn read(
    stored: &StoredEnvironment,
    texts: &HashMap<String, Arc<DocumentText>>,
    documents: &Documents,
) -> Result<Environment, Vec<String>> {
    let named = |what: &str| format!("environment `{}`, made through the control API: {what}", stored.id);
    let definition = EnvironmentDefinition::of_text(&stored.definition);
    let definition = definition.ok_or_else(|| vec![named("its definition is not readable")])?;
    let document = match &stored.document {
        Some(digest) => Some(texts.get(digest).ok_or_else(|| vec![named("its OpenAPI document is not there")])?),
        None => None,
    };
    let given = document.map(|document| GivenDocument { digest: *document.digest_bytes(), text: document.text() });
    let environment = definition.read(&stored.id, given, documents);
    environment.map_err(|problems| problems.iter().map(|problem| named(&problem.to_string())).collect())
}

/// What a request is told apart by: two base URLs that agree in it are one.
type Listened = (String, u16, String);

fn listened_at(url: &BaseUrl) -> Listened {
    (url.host().to_owned(), url.port(), url.path().to_owned())
}

/// What was read so far.
struct Reading {
    organizations: HashSet<Identifier>,
    of_files: HashSet<EnvironmentId>,
    /// Who has each base URL, in words.
    base_urls: HashMap<Listened, String>,
    texts: HashMap<String, Arc<DocumentText>>,
    stored: Stored,
    problems: Vec<String>,
}

impl Reading {
    fn new(files: &[Organization], organizations: HashSet<Identifier>) -> Self {
        let environments = || files.iter().flat_map(|organization| &organization.environments);
        let holder = |environment: &Environment| {
            let EnvironmentId { organization, .. } = &environment.id;
            let words = format!("environment `{}` in the tenant file of `{organization}`", environment.id);
            (listened_at(&environment.base_url), words)
        };
        Self {
            organizations,
            of_files: environments().map(|environment| environment.id.clone()).collect(),
            base_urls: environments().map(holder).collect(),
            texts: HashMap::new(),
            stored: Stored::default(),
            problems: Vec::new(),
        }
    }

    /// Whether it joins; where it does not, that is a warning.
    fn counts(&mut self, id: &EnvironmentId) -> bool {
        let why = if self.of_files.contains(id) {
            format!("environment `{id}` was made through the control API, and a tenant file sets it too: the file wins")
        } else if !self.organizations.contains(&id.organization) {
            format!(
                "environment `{id}` was made through the control API, and its organization is not there any more: it is \
                 left out"
            )
        } else {
            return true;
        };
        self.stored.warnings.push(why);
        false
    }

    fn add(&mut self, read: Result<Environment, Vec<String>>) {
        let environment = match read {
            Ok(environment) => environment,
            Err(problems) => return self.problems.extend(problems),
        };
        let words = format!("environment `{}`, made through the control API", environment.id);
        if let Some(holder) = self.base_urls.get(&listened_at(&environment.base_url)) {
            self.problems.push(format!("{words}: its base URL `{}` is that of {holder} too", environment.base_url));
            return;
        }
        self.base_urls.insert(listened_at(&environment.base_url), words);
        self.stored.environments.push(environment);
    }

    fn finish(self) -> Result<Stored, StoredError> {
        if self.problems.is_empty() { Ok(self.stored) } else { Err(StoredError::Problems(self.problems)) }
    }
}
