//! Which operation is a request, and which permissions cover it.
//!
//! [`Catalogue`] is built from an environment's permissions and answers lookups: path first, then method, HEAD as
//! GET. What it leaves to others: whether a key holds a permission (`access`), and where the permissions come from
//! (`config`, and [`openapi`] for documents).

pub mod diff;
mod literals;
mod matcher;
pub mod openapi;
mod pattern;
mod presets;
mod reading;
mod template;

pub use matcher::{Ambiguity, Found, Lookup};
pub use presets::AccessClass;
pub use template::{Template, TemplateError};

use crate::model::{
    CoveredOperation, Method, Operation, OperationPattern, PathRules, Permission, PermissionIndex, PermissionName,
    PermissionNameError, Preset, SwitchGuarded,
};
use matcher::{Growing, Matcher};
use std::collections::HashMap;
use std::sync::Arc;

/// The operations of one environment, ready to be matched.
#[derive(Debug)]
pub struct Catalogue {
    permissions: Arc<[Permission]>,
    declared: Arc<[Permission]>,
    public: Vec<OperationPattern>,
    /// The name at each place; `None` where it is gone.
    names: Arc<[Option<PermissionName>]>,
    /// The place of each name, of those that are gone too.
    places: HashMap<PermissionName, PermissionIndex>,
    operations: Vec<CoveredOperation>,
    matcher: Matcher,
    leniency: Leniency,
}

/// How far an upstream may read a path more leniently than it is matched here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leniency {
    /// Whether it decodes what is decoded again; `Opaque`: never.
    pub double_encoding: SwitchGuarded,
    /// Whether it takes off what stands behind a `;`; `Opaque`: never.
    pub semicolon: SwitchGuarded,
}

impl From<&PathRules> for Leniency {
    fn from(rules: &PathRules) -> Self {
        Self { double_encoding: rules.double_encoding, semicolon: rules.semicolon }
    }
}

/// So many places of gone names are kept before a catalogue is worth making anew.
const MOST_GONE: usize = 1024;

/// Why permissions do not make a catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// A built-in permission's name did not parse; cannot happen, and must not be ignored if it does.
    #[error(transparent)]
    Name(#[from] PermissionNameError),
    /// A path template is malformed.
    #[error("`{operation}`: {source}")]
    Template {
        /// The operation.
        operation: OperationPattern,
        /// What is wrong with its path.
        source: TemplateError,
    },
}

impl Catalogue {
    /// Builds the catalogue. Without permissions there are two, over every path: `api:read` for GET (and HEAD),
    /// `api:write` for the rest. Operations of the same method and path shape are one, which all their permissions cover.
    ///
    /// What `before` knew keeps its place: whoever holds places of `before` holds the same permissions here.
    pub fn new(
        permissions: Arc<[Permission]>,
        public: &[OperationPattern],
        leniency: Leniency,
        before: Option<&Self>,
    ) -> Result<Self, CatalogueError> {
        let declared = permissions;
        let permissions = if declared.is_empty() { implicit()?.into() } else { Arc::clone(&declared) };
        let (names, places) = placed(&permissions, before);
        let mut built = Builder { sizes: vec![0; names.len()], ..Builder::default() };
        for permission in permissions.iter() {
            let Some(place) = places.get(&permission.name).copied() else { continue };
            if let Some(size) = built.sizes.get_mut(place.0 as usize) {
                *size = permission.operations.len();
            }
            for operation in &permission.operations {
                built.list(operation, place)?;
            }
        }
        for pattern in public {
            built.publish(pattern)?;
        }
        let Builder { matcher, operations, .. } = built;
        let public = public.to_vec();
        Ok(Self { permissions, declared, public, names, places, operations, matcher: matcher.finish(), leniency })
    }

    /// Whether so many names are gone that the places are worth giving anew.
    pub fn is_sparse(&self) -> bool {
        self.names.len() > self.permissions.len() * 2 + MOST_GONE
    }

    /// The permissions it was made from: none where there are the two over every path.
    pub const fn declared(&self) -> &Arc<[Permission]> {
        &self.declared
    }

    /// The permissions, in the order of the document or file.
    pub const fn permissions(&self) -> &Arc<[Permission]> {
        &self.permissions
    }

    /// The operations that need no identity.
    pub fn public(&self) -> &[OperationPattern] {
        &self.public
    }

    /// How far upstreams may read paths more leniently.
    pub const fn leniency(&self) -> Leniency {
        self.leniency
    }

    /// The permissions' names by place; `None` where one is gone.
    pub const fn names(&self) -> &Arc<[Option<PermissionName>]> {
        &self.names
    }

    /// The place of a name that is or was a permission here.
    pub fn place(&self, name: &str) -> Option<PermissionIndex> {
        self.places.get(name).copied()
    }

    /// Every operation once, in the order of the document or file; those that are public and nothing else come last.
    pub fn operations(&self) -> &[CoveredOperation] {
        &self.operations
    }

    /// The place of a permission, if there is one of that name.
    pub fn permission(&self, name: &str) -> Option<PermissionIndex> {
        self.place(name).filter(|place| self.names.get(place.0 as usize).is_some_and(Option::is_some))
    }

    /// The presets that follow from the permissions: "Read only", "Read and write", "Everything", without those that
    /// would select nothing. Made at each call, because they are asked for rarely and would take room in each
    /// environment.
    pub fn built_in_presets(&self) -> Vec<Preset> {
        presets::built_in(&self.permissions)
    }

    /// The operation a request runs, and those a lenient upstream could run instead. `path` is raw, judged, relative
    /// to the base URL and without query.
    pub fn lookup<'a>(&'a self, method: &Method, path: &[u8]) -> Lookup<'a> {
        self.matcher.lookup(method, path, &self.operations, self.leniency)
    }
}

/// Names by place and places by name: those of `before` keep theirs, new ones follow.
fn placed(
    permissions: &[Permission],
    before: Option<&Catalogue>,
) -> (Arc<[Option<PermissionName>]>, HashMap<PermissionName, PermissionIndex>) {
    let mut places = before.map(|before| before.places.clone()).unwrap_or_default();
    let mut names: Vec<Option<PermissionName>> = vec![None; places.len()];
    for Permission { name, .. } in permissions {
        let next = PermissionIndex(u32::try_from(places.len()).unwrap_or(u32::MAX));
        let PermissionIndex(place) = *places.entry(name.clone()).or_insert(next);
        names.resize(names.len().max(place as usize + 1), None);
        if let Some(known) = names.get_mut(place as usize) {
            *known = Some(name.clone());
        }
    }
    (names.into(), places)
}

/// A catalogue in the making.
#[derive(Default)]
struct Builder {
    matcher: Growing,
    operations: Vec<CoveredOperation>,
    /// How many operations each permission opens.
    sizes: Vec<usize>,
}

impl Builder {
    /// A permission covers the operation.
    fn list(&mut self, operation: &Operation, permission: PermissionIndex) -> Result<(), CatalogueError> {
        let at = self.insert(&operation.pattern, true)?;
        match self.operations.get_mut(at) {
            Some(known) => cover(known, permission, &self.sizes),
            None => self.operations.push(CoveredOperation {
                id: Arc::clone(&operation.id),
                label: operation.pattern.to_string().into(),
                permissions: Box::new([permission]),
                public: false,
            }),
        }
        Ok(())
    }

    /// The operation needs no identity.
    fn publish(&mut self, pattern: &OperationPattern) -> Result<(), CatalogueError> {
        let at = self.insert(pattern, false)?;
        match self.operations.get_mut(at) {
            Some(known) => known.public = true,
            None => {
                let label: Arc<str> = pattern.to_string().into();
                let id = Arc::clone(&label);
                self.operations.push(CoveredOperation { id, label, permissions: Box::new([]), public: true });
            }
        }
        Ok(())
    }

    fn insert(&mut self, pattern: &OperationPattern, listed: bool) -> Result<usize, CatalogueError> {
        let template = Template::parse(pattern.path())
            .map_err(|source| CatalogueError::Template { operation: pattern.clone(), source })?;
        Ok(self.matcher.insert(template, pattern.method(), self.operations.len(), listed))
    }
}

/// Records that a further permission covers the operation; the one with the fewest operations comes first.
fn cover(operation: &mut CoveredOperation, permission: PermissionIndex, sizes: &[usize]) {
    let mut permissions = operation.permissions.to_vec();
    if !permissions.contains(&permission) {
        permissions.push(permission);
        permissions.sort_by_key(|PermissionIndex(at)| (sizes.get(*at as usize).copied().unwrap_or(usize::MAX), *at));
        operation.permissions = permissions.into_boxed_slice();
    }
}

/// The two permissions of an environment without a catalogue.
fn implicit() -> Result<Vec<Permission>, CatalogueError> {
    let permission = |name: &str, summary: &str, method: Option<Method>| {
        let pattern = OperationPattern::new(method, "/{path...}");
        Ok::<_, CatalogueError>(Permission {
            name: PermissionName::parse(name)?,
            group: String::new(),
            summary: summary.to_owned(),
            operations: vec![Operation { id: name.into(), pattern }],
        })
    };
    Ok(vec![
        permission("api:read", "Read everything (GET and HEAD)", Some(Method::GET))?,
        permission("api:write", "Change everything (all other methods)", None)?,
    ])
}

#[cfg(test)]
mod tests;
