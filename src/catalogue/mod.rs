//! Which operation is a request, and which permissions cover it.
//!
//! [`Catalogue`] is built from an environment's permissions and answers lookups: path first, then method, HEAD as
//! GET. What it leaves to others: whether a key holds a permission (`access`), and where the permissions come from
//! (`config`, and [`openapi`] for documents).

mod matcher;
pub mod openapi;
mod presets;
mod template;

pub use matcher::{Ambiguity, Found, Lookup};
pub use presets::AccessClass;
pub use template::{Template, TemplateError};

use crate::model::{
    CoveredOperation, Method, Operation, OperationPattern, Permission, PermissionIndex, PermissionName,
    PermissionNameError, Preset, SwitchGuarded,
};
use matcher::Matcher;
use std::collections::HashMap;
use std::sync::Arc;

/// The operations of one environment, ready to be matched.
#[derive(Debug)]
pub struct Catalogue {
    permissions: Vec<Permission>,
    index: HashMap<PermissionName, PermissionIndex>,
    operations: Vec<CoveredOperation>,
    matcher: Matcher,
    semicolon: SwitchGuarded,
}

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
    pub fn new(
        permissions: Vec<Permission>,
        public: &[OperationPattern],
        semicolon: SwitchGuarded,
    ) -> Result<Self, CatalogueError> {
        let permissions = if permissions.is_empty() { implicit()? } else { permissions };
        let mut built = Builder::default();
        for (index, permission) in (0u32..).zip(&permissions) {
            built.sizes.push(permission.operations.len());
            for operation in &permission.operations {
                built.list(operation, PermissionIndex(index))?;
            }
        }
        for pattern in public {
            built.publish(pattern)?;
        }
        let index = (0u32..).zip(&permissions).map(|(at, p)| (p.name.clone(), PermissionIndex(at))).collect();
        Ok(Self { permissions, index, operations: built.operations, matcher: built.matcher, semicolon })
    }

    /// The permissions, in the order of the document or file.
    pub fn permissions(&self) -> &[Permission] {
        &self.permissions
    }

    /// Every operation once, in the order of the document or file; those that are public and nothing else come last.
    pub fn operations(&self) -> &[CoveredOperation] {
        &self.operations
    }

    /// The place of a permission, if there is one of that name.
    pub fn permission(&self, name: &str) -> Option<PermissionIndex> {
        self.index.get(name).copied()
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
        self.matcher.lookup(method, path, &self.operations, self.semicolon)
    }
}

/// A catalogue in the making.
#[derive(Default)]
struct Builder {
    matcher: Matcher,
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
        Ok(self.matcher.insert(&template, pattern.method(), self.operations.len(), listed))
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
