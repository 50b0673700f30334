//! Environments that are made through the control plane: their definitions, catalogues, presets and roles.
//!
//! A change takes the world's turn, is judged whole by the readers of tenant files, goes to the store, then to the tables,
//! then the caller is answered; in a task of its own, so that a caller who goes away leaves nothing half done. What a
//! tenant file sets is changed there alone. A definition that says what is there already changes nothing.

use super::caller::{Asking, Right};
use super::field::FieldErrors;
use super::{Control, ControlProblem, NodeActions};
use crate::config::DefinitionProblem;
use crate::config::Documents;
use crate::config::EnvironmentDefinition;
use crate::config::GivenDocument;
use crate::model::{Act, AuditEntry, AuditTarget, Environment, EnvironmentId, ManagedBy, PermissionName, Revision};
use crate::store::{DocumentChange, DocumentText, EnvironmentWrite, Judged, Store, StoreError, StoredEnvironment};
use crate::tables::{BuildError, EnvironmentTable, Snapshot, Tables, WorldChanges, WorldPlan, WorldTurn};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// An environment as tables and store know it.
#[derive(Clone, Debug)]
pub struct EnvironmentFacts {
    /// As requests are decided by it.
    pub table: Arc<EnvironmentTable>,
    /// As the store has it; `None` where a tenant file sets it.
    pub stored: Option<StoredEnvironment>,
    /// Its definition without secrets, for operators.
    pub definition: Option<Value>,
}

/// A set of permissions that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedKind {
    /// A selection to start a key from.
    Preset,
    /// What legacy keys hold.
    Role,
}

/// One preset or role.
#[derive(Clone, Debug)]
pub struct NamedPlace {
    /// Where.
    pub environment: EnvironmentId,
    /// Which of the two.
    pub kind: NamedKind,
    /// Its name.
    pub name: String,
}

/// What a catalogue is made of.
#[derive(Debug)]
pub enum CatalogueDraft {
    /// An OpenAPI document, JSON or YAML.
    Document(DocumentText),
    /// Permissions and public operations, written out.
    Written {
        /// As `permissions` of a definition.
        permissions: Option<Value>,
        /// As `public` of a definition.
        public: Option<Value>,
    },
}

impl NamedKind {
    /// The member of a definition that holds it.
    const fn member(self) -> &'static str {
        match self {
            Self::Preset => "presets",
            Self::Role => "roles",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Preset => "preset",
            Self::Role => "role",
        }
    }

    const fn set_action(self) -> &'static str {
        match self {
            Self::Preset => "preset.set",
            Self::Role => "role.set",
        }
    }

    const fn remove_action(self) -> &'static str {
        match self {
            Self::Preset => "preset.remove",
            Self::Role => "role.remove",
        }
    }
}

/// The last changes of environments that were shown to the request path here, for as long as the feed has not told them.
pub(super) type Adopted = Arc<Mutex<HashMap<EnvironmentId, Revision>>>;

/// So many changes of an organization's environments are under way at once, those that wait for their turn among them.
/// Operators' are not counted.
const CHANGES: usize = 3;

/// A preset or role names at most so many permissions, or as many as the catalogue has where that is more.
const MAX_NAMES: usize = 10_000;

/// What a change works with, held by its task.
#[derive(Clone)]
struct Workshop {
    store: Arc<dyn Store>,
    tables: Arc<Tables>,
    node: Arc<dyn NodeActions>,
    documents: Arc<Documents>,
    adopted: Adopted,
}

/// An environment before a change.
struct Current {
    stored: StoredEnvironment,
    definition: EnvironmentDefinition,
}

/// A change of an environment, to be judged.
struct Edit {
    /// Whether what it sets was not there before.
    makes: bool,
    definition: EnvironmentDefinition,
    document: DocumentChange,
    action: &'static str,
    target: AuditTarget,
    before: Option<Value>,
    after: Option<Value>,
}

/// How an environment is after a change, and whether what was set was not there before.
struct Changed {
    table: Arc<EnvironmentTable>,
    stored: StoredEnvironment,
    made: bool,
}

impl Control {
    /// One environment. Errors: `NotFound`, `NotAllowed`, `Unavailable`, `Fault`.
    pub async fn environment(&self, asking: &Asking, id: &EnvironmentId) -> Result<EnvironmentFacts, ControlProblem> {
        asking.caller.require_in(Right::See, id)?;
        let table = self.tables.load().environment(id).cloned().ok_or(ControlProblem::NotFound)?;
        let stored = match table.managed_by {
            ManagedBy::Api => Some(self.store.environment(id).await?.ok_or(ControlProblem::NotFound)?),
            ManagedBy::File => None,
        };
        Ok(EnvironmentFacts::new(asking, table, stored))
    }

    /// Whether the caller may make environments there, for those who must know before they read what was sent.
    /// Errors: `NotFound`, `NotAllowed`.
    pub fn may_define(&self, asking: &Asking, id: &EnvironmentId) -> Result<(), ControlProblem> {
        require_operator(asking, id)
    }

    /// Makes an environment, or defines it anew; whether it was made just now. Its OpenAPI document stays. For operators.
    /// Errors: `NotFound`, `NotAllowed`, `ManagedByFile`, `Invalid`, `BaseUrlTaken`, `RoleInUse`, `RevisionMismatch`,
    /// `Unavailable`, `Fault`.
    pub async fn put_environment(
        &self,
        asking: &Asking,
        id: &EnvironmentId,
        members: Map<String, Value>,
        expected: Option<Revision>,
    ) -> Result<(EnvironmentFacts, bool), ControlProblem> {
        require_operator(asking, id)?;
        let target = target("environment", id.environment.as_str());
        let edit = move |current: Option<&Current>| {
            let mut definition = EnvironmentDefinition::new(members);
            if let Some(current) = current {
                definition.keep_headers(&current.definition);
            }
            let before = current.map(|current| told(&current.definition, None));
            let after = Some(told(&definition, current.map(|current| &current.definition)));
            let action = if current.is_some() { "environment.edit" } else { "environment.create" };
            let makes = current.is_none();
            Ok(Edit { makes, definition, document: DocumentChange::Keep, action, target, before, after })
        };
        let changed = self.change_environment(asking, id, expected, edit).await?;
        let made = changed.made;
        Ok((EnvironmentFacts::new(asking, changed.table, Some(changed.stored)), made))
    }

    /// Removes an environment in which no living key works. For operators.
    /// Errors: `NotFound`, `NotAllowed`, `ManagedByFile`, `EnvironmentInUse`, `RevisionMismatch`, `Unavailable`, `Fault`.
    pub async fn delete_environment(
        &self,
        asking: &Asking,
        id: &EnvironmentId,
        expected: Option<Revision>,
    ) -> Result<(), ControlProblem> {
        require_operator(asking, id)?;
        let (workshop, id, act) = (self.workshop(), id.clone(), asking.act.clone());
        finished(tokio::spawn(async move { workshop.remove(&id, expected, &act).await })).await
    }

    /// Replaces the catalogue of an environment. A document takes the place of the one before, and what the definition
    /// itself says stays on top of it; what is written out is the whole catalogue. For operators.
    /// Errors: as [`put_environment`](Self::put_environment).
    pub async fn put_catalogue(
        &self,
        asking: &Asking,
        id: &EnvironmentId,
        draft: CatalogueDraft,
        expected: Option<Revision>,
    ) -> Result<EnvironmentFacts, ControlProblem> {
        require_operator(asking, id)?;
        let target = target("environment", id.environment.as_str());
        let edit = move |current: Option<&Current>| {
            let current = current.ok_or(ControlProblem::NotFound)?;
            let mut definition = current.definition.clone();
            let before = Some(json!({"document": current.stored.document}));
            let (document, after) = match draft {
                CatalogueDraft::Document(document) => {
                    let after = json!({"document": document.digest()});
                    (DocumentChange::Set(document), after)
                }
                CatalogueDraft::Written { permissions, public } => {
                    definition.set_member("permissions", permissions);
                    definition.set_member("public", public);
                    let permissions = definition.names("permissions").count();
                    (DocumentChange::Remove, json!({"document": null, "permissions": permissions}))
                }
            };
            let (makes, action, after) = (false, "catalogue.replace", Some(after));
            Ok(Edit { makes, definition, document, action, target, before, after })
        };
        let changed = self.change_environment(asking, id, expected, edit).await.map_err(of_catalogue)?;
        Ok(EnvironmentFacts::new(asking, changed.table, Some(changed.stored)))
    }

    /// Sets a preset or role; whether it was made just now. For admins and owners. `found` is what reading found wrong.
    /// Errors: as [`put_environment`](Self::put_environment), `BaseUrlTaken` aside.
    pub async fn put_named(
        &self,
        asking: &Asking,
        place: &NamedPlace,
        permissions: Option<Vec<String>>,
        mut found: FieldErrors,
        expected: Option<Revision>,
    ) -> Result<(EnvironmentFacts, bool), ControlProblem> {
        let NamedPlace { environment: id, kind, name } = place;
        asking.caller.require_in(Right::Manage, id)?;
        self.check_length(id, permissions.as_deref().unwrap_or_default())?;
        let (kind, own) = (*kind, name.clone());
        let edit = move |current: Option<&Current>| {
            let current = current.ok_or(ControlProblem::NotFound)?;
            if permissions.is_none() && found.is_empty() {
                found.add("/permissions", "field_required", "this is needed");
            }
            let permissions = json!(found.or(permissions)?);
            let mut definition = current.definition.clone();
            definition.set_named(kind.member(), &own, Some(permissions.clone()));
            let before = named(&current.definition, kind, &own).map(|known| json!({"permissions": known}));
            Ok(Edit {
                makes: before.is_none(),
                definition,
                document: DocumentChange::Keep,
                action: kind.set_action(),
                target: target(kind.word(), &own),
                before,
                after: Some(json!({"permissions": permissions})),
            })
        };
        let changed = self.change_environment(asking, id, expected, edit).await;
        let changed = changed.map_err(|problem| of_named(problem, kind, name))?;
        let made = changed.made;
        Ok((EnvironmentFacts::new(asking, changed.table, Some(changed.stored)), made))
    }

    /// Removes a preset or role. For admins and owners.
    /// Errors: as [`put_named`](Self::put_named), and `PresetBuiltIn`.
    pub async fn remove_named(
        &self,
        asking: &Asking,
        place: &NamedPlace,
        expected: Option<Revision>,
    ) -> Result<(), ControlProblem> {
        let NamedPlace { environment: id, kind, name } = place;
        asking.caller.require_in(Right::Manage, id)?;
        let (kind, own) = (*kind, name.clone());
        let is_built_in = kind == NamedKind::Preset
            && self.with_environment(id, |snapshot| {
                snapshot.environment(id).is_some_and(|table| table.preset(name).is_some())
            })?;
        let edit = move |current: Option<&Current>| {
            let current = current.ok_or(ControlProblem::NotFound)?;
            let gone = if is_built_in { ControlProblem::PresetBuiltIn } else { ControlProblem::NotFound };
            let before = named(&current.definition, kind, &own).ok_or(gone)?;
            let mut definition = current.definition.clone();
            let before = Some(json!({"permissions": before}));
            definition.set_named(kind.member(), &own, None);
            Ok(Edit {
                makes: false,
                definition,
                document: DocumentChange::Keep,
                action: kind.remove_action(),
                target: target(kind.word(), &own),
                before,
                after: None,
            })
        };
        self.change_environment(asking, id, expected, edit).await.map(|_| ())
    }

    /// Shows the request path what another process, or this one, made of an environment. What is shown already is not
    /// shown again. Errors: `Unavailable` where it is worth trying again; others are told in the log.
    pub async fn follow_environment(&self, id: &EnvironmentId, revision: Revision) -> Result<(), ControlProblem> {
        self.workshop().follow(id, revision).await
    }

    /// What is longer than any sound list is refused before the turn is taken, in which nobody else can change anything.
    fn check_length(&self, id: &EnvironmentId, names: &[String]) -> Result<(), ControlProblem> {
        let known = self.tables.load().environment(id).map_or(0, |table| table.catalogue.permissions().len());
        let most = known.max(MAX_NAMES);
        if names.len() <= most {
            return Ok(());
        }
        let mut errors = FieldErrors::default();
        errors.add("/permissions", "value_invalid", format!("at most {most} permissions can be named here"));
        Err(errors.into())
    }

    fn workshop(&self) -> Workshop {
        Workshop {
            store: Arc::clone(&self.store),
            tables: Arc::clone(&self.tables),
            node: Arc::clone(&self.node),
            documents: Arc::clone(&self.documents),
            adopted: Arc::clone(&self.adopted),
        }
    }

    async fn change_environment(
        &self,
        asking: &Asking,
        id: &EnvironmentId,
        expected: Option<Revision>,
        edit: impl FnOnce(Option<&Current>) -> Result<Edit, ControlProblem> + Send + 'static,
    ) -> Result<Changed, ControlProblem> {
        let under_way = self.changes.begin(&asking.caller, &id.organization, CHANGES)?;
        let (workshop, id, act) = (self.workshop(), id.clone(), asking.act.clone());
        finished(tokio::spawn(async move {
            let _under_way = under_way;
            workshop.change(&id, expected, &act, edit).await
        }))
        .await
    }
}

/// Waits for a change, which goes on whether or not anybody waits.
async fn finished<T>(task: tokio::task::JoinHandle<Result<T, ControlProblem>>) -> Result<T, ControlProblem> {
    task.await.unwrap_or_else(|error| {
        tracing::error!("control: a change did not end: {error}");
        Err(ControlProblem::Fault)
    })
}

/// Strangers learn nothing; whoever has a part in the organization is told that this is not theirs to do.
fn require_operator(asking: &Asking, id: &EnvironmentId) -> Result<(), ControlProblem> {
    if !asking.caller.sees(&id.organization) {
        return Err(ControlProblem::NotFound);
    }
    asking.caller.require_operator()
}

impl Workshop {
    async fn change(
        self,
        id: &EnvironmentId,
        expected: Option<Revision>,
        act: &Act,
        edit: impl FnOnce(Option<&Current>) -> Result<Edit, ControlProblem>,
    ) -> Result<Changed, ControlProblem> {
        let turn = self.tables.change_world().await;
        let of_store = self.check_place(id).await?;
        let current = self.current(id).await?;
        check_expected(current.as_ref(), expected)?;
        let edit = edit(current.as_ref())?;
        if let Some(same) = self.unchanged(current.as_ref(), &edit) {
            return Ok(same);
        }
        let write = write(id, &edit, current.as_ref(), of_store);
        let made = edit.makes;
        let kept = current.as_ref().and_then(|current| current.stored.document.clone());
        let environment = self.read(id, edit.definition, edit.document, kept).await?;
        let plan = turn.plan_environment(environment).map_err(|error| self.refused(id, error))?;
        self.learn_upstreams(&plan).await;
        let judged = current.as_ref().map_or(Judged::Absent, |current| Judged::At(current.stored.revision));
        let stored = self.store.write_environment(&write, judged, act).await.map_err(overtaken)?;
        self.adopt(turn, plan, id, stored.revision).await?;
        let table = self.tables.load().environment(id).cloned().ok_or(ControlProblem::Fault)?;
        Ok(Changed { table, stored, made })
    }

    async fn remove(self, id: &EnvironmentId, expected: Option<Revision>, act: &Act) -> Result<(), ControlProblem> {
        let turn = self.tables.change_world().await;
        self.check_place(id).await?;
        let current = self.current(id).await?.ok_or(ControlProblem::NotFound)?;
        check_expected(Some(&current), expected)?;
        let plan = turn.plan_removal(id).map_err(|error| self.refused(id, error))?;
        let entry = AuditEntry {
            before: Some(told(&current.definition, None)),
            ..entry(id, "environment.delete", target("environment", id.environment.as_str()))
        };
        let revision = self.store.remove_environment(id, Some(current.stored.revision), &entry, act).await;
        self.adopt(turn, plan, id, revision.map_err(overtaken)?).await
    }

    async fn follow(self, id: &EnvironmentId, revision: Revision) -> Result<(), ControlProblem> {
        let turn = self.tables.change_world().await;
        if self.adopted.lock().remove(id).is_some_and(|adopted| adopted >= revision) || self.is_of_file(id) {
            return Ok(());
        }
        let plan = match self.current(id).await? {
            Some(Current { stored, definition }) => {
                let environment = self.read(id, definition, DocumentChange::Keep, stored.document).await?;
                turn.plan_environment(environment)
            }
            None => turn.plan_removal(id),
        };
        let plan = plan.map_err(|error| self.refused(id, error))?;
        self.learn_upstreams(&plan).await;
        self.adopt(turn, plan, id, revision).await
    }

    fn is_of_file(&self, id: &EnvironmentId) -> bool {
        self.tables.load().environment(id).is_some_and(|table| table.managed_by == ManagedBy::File)
    }

    /// Errors: `ManagedByFile` where a file sets the environment, `NotFound` where its organization is not there. Whether
    /// that one was made here.
    async fn check_place(&self, id: &EnvironmentId) -> Result<bool, ControlProblem> {
        if self.is_of_file(id) {
            return Err(ControlProblem::ManagedByFile);
        }
        let of_file = self.tables.load().organizations().iter().any(|known| known.id == id.organization);
        if of_file || self.store.organization(&id.organization).await?.made_here {
            return Ok(!of_file);
        }
        Err(ControlProblem::NotFound)
    }

    async fn current(&self, id: &EnvironmentId) -> Result<Option<Current>, ControlProblem> {
        let Some(stored) = self.store.environment(id).await? else { return Ok(None) };
        let Some(definition) = EnvironmentDefinition::of_text(&stored.definition) else {
            tracing::error!("control: the definition of environment `{id}` is not readable");
            return Err(ControlProblem::Fault);
        };
        Ok(Some(Current { stored, definition }))
    }

    /// What is there, where the edit says nothing else.
    fn unchanged(&self, current: Option<&Current>, edit: &Edit) -> Option<Changed> {
        let current = current?;
        let kept = current.stored.document.as_deref();
        let same_document = match &edit.document {
            DocumentChange::Keep => true,
            DocumentChange::Remove => kept.is_none(),
            DocumentChange::Set(document) => kept == Some(document.digest()),
        };
        let same = same_document && edit.definition == current.definition;
        let table = self.tables.load().environment(&current.stored.id).cloned();
        same.then_some(table).flatten().map(|table| Changed { table, stored: current.stored.clone(), made: false })
    }

    /// Reads a definition with its document, beside the other tasks: a large document takes a while.
    async fn read(
        &self,
        id: &EnvironmentId,
        definition: EnvironmentDefinition,
        document: DocumentChange,
        kept: Option<String>,
    ) -> Result<Environment, ControlProblem> {
        let document = match (document, kept) {
            (DocumentChange::Set(document), _) => Some(document),
            (DocumentChange::Keep, Some(digest)) => Some(self.document(&digest).await?),
            (DocumentChange::Keep, None) | (DocumentChange::Remove, _) => None,
        };
        let (id, documents) = (id.clone(), Arc::clone(&self.documents));
        let reading = tokio::task::spawn_blocking(move || {
            let given = document.as_ref().map(given);
            definition.read(&id, given, &documents)
        });
        let read = reading.await.map_err(|error| {
            tracing::error!("control: a definition could not be read: {error}");
            ControlProblem::Fault
        })?;
        read.map_err(|problems| field_errors(problems).into())
    }

    async fn document(&self, digest: &str) -> Result<DocumentText, ControlProblem> {
        self.store.document(digest).await?.ok_or_else(|| {
            tracing::error!("control: the document `{digest}` is not in the store");
            ControlProblem::Fault
        })
    }

    /// Why tables cannot be made of it.
    fn refused(&self, id: &EnvironmentId, error: BuildError) -> ControlProblem {
        match error {
            BuildError::BaseUrl(taken) => {
                let holder = if *taken.one == *id { &taken.other } else { &taken.one };
                let snapshot = self.tables.load();
                ControlProblem::BaseUrlTaken(format!(
                    "the base URL `{}` of environment `{id}` is taken by environment `{holder}`, which {}",
                    taken.base_url,
                    place(&snapshot, holder),
                ))
            }
            BuildError::Catalogue { source, .. } => {
                let mut errors = FieldErrors::default();
                errors.add("/permissions", "value_invalid", source.to_string());
                errors.into()
            }
        }
    }

    /// Before the swap: the first request to a new upstream must find its address. Those that are as before are known, and
    /// asking for them anew could take a while.
    async fn learn_upstreams(&self, plan: &WorldPlan) {
        let WorldChanges { added, changed, .. } = plan.changes();
        let changed = changed.iter().filter(|(before, after)| before.upstream != after.upstream);
        let new: Vec<_> = added.iter().chain(changed.map(|(_, after)| after)).cloned().collect();
        if !new.is_empty() {
            self.node.learn_upstreams(&new).await;
        }
    }

    /// Shows a change that is on disk.
    async fn adopt(
        &self,
        turn: WorldTurn<'_>,
        plan: WorldPlan,
        id: &EnvironmentId,
        revision: Revision,
    ) -> Result<(), ControlProblem> {
        turn.adopt(plan, self.store.as_ref()).await.map_err(|error| {
            // Keys could not be read. The change is in the feed: it is shown as soon as they can.
            tracing::error!("control: environment `{id}` has changed, and is not shown yet: {error}");
            ControlProblem::Unavailable
        })?;
        self.adopted.lock().insert(id.clone(), revision);
        Ok(())
    }
}

/// Where an environment is set, in words.
fn place(snapshot: &Snapshot, id: &EnvironmentId) -> String {
    match snapshot.environment(id).map(|table| table.managed_by) {
        Some(ManagedBy::File) => format!("the tenant file of organization `{}` sets", id.organization),
        Some(ManagedBy::Api) | None => "was made through this API".to_owned(),
    }
}

fn check_expected(current: Option<&Current>, expected: Option<Revision>) -> Result<(), ControlProblem> {
    let revision = current.map(|current| current.stored.revision).unwrap_or_default();
    match expected {
        Some(expected) if expected != revision => Err(ControlProblem::RevisionMismatch { current: revision }),
        Some(_) | None => Ok(()),
    }
}

/// What was looked at in this turn was changed by another process: the caller can try again.
fn overtaken(error: StoreError) -> ControlProblem {
    match error {
        StoreError::RevisionMismatch { .. } => ControlProblem::Unavailable,
        other => other.into(),
    }
}

fn write(id: &EnvironmentId, edit: &Edit, current: Option<&Current>, of_store: bool) -> EnvironmentWrite {
    let stays = |role: &&str| !edit.definition.names("roles").any(|known| known == *role);
    let roles = current.map(|current| current.definition.names("roles").filter(stays).map(str::to_owned).collect());
    EnvironmentWrite {
        id: id.clone(),
        definition: edit.definition.to_text(),
        document: edit.document.clone(),
        of_store,
        roles_gone: roles.unwrap_or_default(),
        entry: AuditEntry {
            before: edit.before.clone(),
            after: edit.after.clone(),
            ..entry(id, edit.action, edit.target.clone())
        },
    }
}

fn given(document: &DocumentText) -> GivenDocument<'_> {
    GivenDocument { digest: *document.digest_bytes(), text: document.text() }
}

fn entry(id: &EnvironmentId, action: &'static str, target: AuditTarget) -> AuditEntry {
    AuditEntry {
        organization: Some(id.organization.clone()),
        environment: Some(id.environment.clone()),
        action,
        target: Some(target),
        before: None,
        after: None,
        code: None,
        count: 1,
    }
}

fn target(kind: &'static str, id: &str) -> AuditTarget {
    AuditTarget { kind, id: id.to_owned(), name: String::new() }
}

/// The longest list of a definition that the log holds whole, in bytes.
const TOLD: usize = 4096;

/// What the log tells of a definition: everything but secrets, and of long lists their length.
fn told(definition: &EnvironmentDefinition, before: Option<&EnvironmentDefinition>) -> Value {
    const LISTS: [&str; 4] = ["permissions", "presets", "public", "roles"];
    let mut told = definition.shown();
    if let Some(members) = told.as_object_mut() {
        for list in LISTS {
            members.get_mut(list).into_iter().for_each(shorten);
        }
        let platform = members.get_mut("platform_addresses");
        platform.and_then(|platform| platform.get_mut("networks")).into_iter().for_each(shorten);
        if let Some(before) = before {
            members.insert("headers_changed".to_owned(), json!(definition.headers_unlike(before)));
        }
    }
    told
}

/// Puts the length of a long list in its place.
fn shorten(list: &mut Value) {
    let length = match &*list {
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => return,
    };
    if list.to_string().len() > TOLD {
        *list = json!(length);
    }
}

fn named(definition: &EnvironmentDefinition, kind: NamedKind, name: &str) -> Option<Value> {
    definition.member(kind.member())?.get(name).cloned()
}

fn field_errors(problems: Vec<DefinitionProblem>) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for DefinitionProblem { pointer, code, message } in problems {
        errors.add(pointer, code, message);
    }
    errors
}

/// Problems of a catalogue: those of presets and roles name them, for the body does not hold them.
fn of_catalogue(problem: ControlProblem) -> ControlProblem {
    reworded(problem, |pointer, code, message| {
        let of = |member: &str| {
            let rest = pointer.strip_prefix('/')?.strip_prefix(member)?.strip_prefix('/')?;
            Some(rest.split('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~"))
        };
        if let Some(role) = of("roles") {
            return (String::new(), "role_broken", format!("role `{role}`: {message}"));
        }
        if let Some(preset) = of("presets") {
            return (String::new(), "preset_broken", format!("preset `{preset}`: {message}"));
        }
        (pointer, code, message)
    })
}

/// Problems of one preset or role, in a body that holds its permissions alone.
fn of_named(problem: ControlProblem, kind: NamedKind, name: &str) -> ControlProblem {
    let own = crate::model::json_pointer(&format!("/{}", kind.member()), name);
    reworded(problem, |pointer, code, message| match pointer.strip_prefix(&own) {
        Some("") if message.contains("at least one") => ("/permissions".to_owned(), "permission_required", message),
        Some("") => (String::new(), code, message),
        Some(rest) if rest.starts_with('/') => (format!("/permissions{rest}"), code, message),
        Some(_) | None => (pointer, code, message),
    })
}

fn reworded(
    problem: ControlProblem,
    word: impl Fn(String, &'static str, String) -> (String, &'static str, String),
) -> ControlProblem {
    match problem {
        ControlProblem::Invalid(found) => {
            let mut errors = FieldErrors::default();
            for error in found.into_vec() {
                let (pointer, code, message) = word(error.pointer, error.code, error.message);
                errors.add(pointer, code, message);
            }
            errors.into()
        }
        other => other,
    }
}

impl EnvironmentFacts {
    fn new(asking: &Asking, table: Arc<EnvironmentTable>, stored: Option<StoredEnvironment>) -> Self {
        let definition = stored
            .as_ref()
            .filter(|_| asking.caller.is_operator())
            .and_then(|stored| EnvironmentDefinition::of_text(&stored.definition))
            .map(|definition| definition.shown());
        Self { table, stored, definition }
    }

    /// The revision of what was set here; 0 where a file sets it.
    pub fn revision(&self) -> Revision {
        self.stored.as_ref().map(|stored| stored.revision).unwrap_or_default()
    }

    /// What a preset or role opens.
    pub fn permissions(&self, kind: NamedKind, name: &str) -> Vec<PermissionName> {
        let found = match kind {
            NamedKind::Preset => self.table.preset(name).map(|preset| preset.permissions),
            NamedKind::Role => self.table.role(name).map(|role| role.permissions.clone()),
        };
        found.unwrap_or_default()
    }
}
