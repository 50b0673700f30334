//! Which permissions open the requests that somebody pastes: their lines are read (`read`), and matched as the request
//! path would match them.

mod curl;
mod read;
#[cfg(test)]
mod tests;

use super::caller::{Asking, Right};
use super::explain::{is_path, method_of};
use super::{Control, ControlProblem};
use crate::access;
use crate::catalogue::Lookup;
use crate::model::{CoveredOperation, EnvironmentId, Method, PermissionIndex, PermissionName, quoted};
use crate::tables::{EnvironmentTable, Snapshot, is_well_known};
use read::{Target, Written};
use std::borrow::Cow;
use std::sync::Arc;

/// What one pasted request needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PickedRequest {
    /// The line on which it stands, or begins; the first is 1.
    pub line: usize,
    /// What was read, shortened.
    pub text: String,
    /// The method; empty where none was read.
    pub method: String,
    /// The path below the base URL; empty where none was read.
    pub path: String,
    /// The operation that it runs: method and path template.
    pub operation: Option<Arc<str>>,
    /// The narrowest permission that covers the operation, and where an upstream could take the path for another operation,
    /// the one that covers that. Empty where none is needed, or where there is a problem.
    pub permissions: Vec<PermissionName>,
    /// Why there are no permissions to pick.
    pub problem: Option<String>,
    /// What is worth knowing although permissions were picked, or none is needed.
    pub note: Option<String>,
}

/// What a path below the base URL needs.
struct Needed<'a> {
    operation: Option<&'a CoveredOperation>,
    permissions: Vec<PermissionName>,
    note: Option<&'static str>,
}

/// A base URL's environment in the tables.
struct Place<'a> {
    snapshot: &'a Snapshot,
    environment: &'a Arc<EnvironmentTable>,
}

impl Control {
    /// What the requests in a text need: one a line (`GET /cards/42`, a path or URL below the base URL), or `curl` commands
    /// as they are copied from documentation and browsers. At most 1000 lines are read.
    /// Errors: `NotFound`, `NotAllowed`, `Fault`.
    pub async fn match_requests(
        &self,
        asking: &Asking,
        environment: &EnvironmentId,
        text: &str,
    ) -> Result<Vec<PickedRequest>, ControlProblem> {
        asking.caller.require_in(Right::See, environment)?;
        self.with_environment(environment, |_| ())?;
        let (snapshot, id, text) = (self.tables.load_full(), environment.clone(), text.to_owned());
        // A text of some megabytes takes a while, which other callers are not to wait for.
        let picked = tokio::task::spawn_blocking(move || {
            let environment = snapshot.environment(&id)?;
            let place = Place { snapshot: &snapshot, environment };
            Some(read::read(&text).into_iter().map(|written| place.pick(written)).collect())
        });
        picked.await.map_err(|_| ControlProblem::Fault)?.ok_or(ControlProblem::NotFound)
    }
}

impl Place<'_> {
    fn pick(&self, written: Written) -> PickedRequest {
        let Written { line, text, request } = written;
        let picked = PickedRequest { line, text, ..PickedRequest::default() };
        let (method, target) = match request {
            Ok(request) => request,
            Err(problem) => return PickedRequest { problem: Some(problem.to_owned()), ..picked },
        };
        let picked = PickedRequest { method: method.clone(), ..picked };
        let Some(method) = method_of(&method) else {
            let problem = format!("`{}` is no method that is served", quoted(&method));
            return PickedRequest { problem: Some(problem), ..picked };
        };
        match self.relative(&target) {
            Err(problem) => PickedRequest { path: target.path().to_owned(), problem: Some(problem), ..picked },
            Ok((paths, note)) => {
                let (path, needed) = self.first_found(&method, &paths);
                let picked = PickedRequest { path, note, ..picked };
                match needed {
                    Err(problem) => PickedRequest { problem: Some(problem.into_owned()), ..picked },
                    Ok(Needed { operation, permissions, note }) => PickedRequest {
                        operation: operation.map(|operation| Arc::clone(&operation.label)),
                        permissions,
                        note: note.map(str::to_owned).or(picked.note),
                        ..picked
                    },
                }
            }
        }
    }

    /// The paths below the base URL that a target can mean, the likeliest first; or what is wrong with it.
    fn relative(&self, target: &Target) -> Result<(Vec<String>, Option<String>), String> {
        let base_url = &self.environment.base_url;
        let path = target.path().to_owned();
        let below = path.strip_prefix(base_url.path()).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let below = below.map(|rest| if rest.is_empty() { "/".to_owned() } else { rest.to_owned() });
        match (target, below) {
            (Target::Path(_), Some(below)) => Ok((vec![path, below], None)),
            (Target::Path(_), None) => Ok((vec![path], None)),
            (Target::Url { authority, .. }, below) if self.is_here(authority) => match below {
                Some(below) => Ok((vec![below], None)),
                None => Err(format!("this is not below the base URL `{base_url}`")),
            },
            (Target::Url { authority, .. }, below) => {
                let note = format!("the path was taken; its host is `{}`, not that of the base URL", quoted(authority));
                Ok((below.into_iter().chain([path]).collect(), Some(note)))
            }
        }
    }

    /// Whether an authority, as somebody wrote it, is the base URL's.
    fn is_here(&self, authority: &str) -> bool {
        let authority = authority.to_ascii_lowercase();
        self.environment.base_url.authorities().contains(&authority)
    }

    /// What the first path needs that is an operation; where none is, what is wrong with the first.
    fn first_found<'p>(&'p self, method: &Method, paths: &[String]) -> (String, Result<Needed<'p>, Cow<'static, str>>) {
        let mut first = None;
        for path in paths {
            let needed = self.needed(method, path);
            if needed.is_ok() {
                return (path.clone(), needed);
            }
            first.get_or_insert((path.clone(), needed));
        }
        first.unwrap_or_else(|| (String::new(), Err(Cow::Borrowed("there is no path in it"))))
    }

    /// What a path below the base URL needs, by the checks of the request path (`tables/order.rs`).
    fn needed(&self, method: &Method, relative: &str) -> Result<Needed<'_>, Cow<'static, str>> {
        let (snapshot, environment) = (self.snapshot, self.environment);
        if !is_path(relative) {
            return Err("the path starts with `/` and holds nothing that HTTP wants percent-encoded".into());
        }
        let base_url = &environment.base_url;
        let path = format!("{}{relative}", base_url.path());
        let authority = base_url.authorities().into_iter().next().unwrap_or_default();
        access::judge_path(path.as_bytes(), &environment.paths).map_err(|rule| Cow::Borrowed(rule.detail()))?;
        let routed = snapshot.route(&authority, path.as_bytes());
        let is_own = routed.is_some_and(|routed| routed.policy.index == environment.policy.index);
        if !is_own || !snapshot.routes_alike(&authority, path.as_bytes(), environment) {
            return Err("another environment serves this path, or could be taken to".into());
        }
        let reserved = environment.reserved(relative.as_bytes()).is_some();
        if reserved || is_well_known(path.as_bytes(), base_url.path()) {
            let note = Some("Portcullis answers this path itself; no permission is needed");
            return Ok(Needed { operation: None, permissions: vec![], note });
        }
        match environment.catalogue.lookup(method, relative.as_bytes()) {
            Lookup::Found(found) => covering(environment, found.operations()),
            Lookup::Unknown => Err("no operation of this environment has this path and method".into()),
            Lookup::Ambiguous(_) => Err("more operations could be meant than can be asked for".into()),
        }
    }
}

/// The narrowest permissions that cover each of the operations.
fn covering<'a>(
    environment: &EnvironmentTable,
    operations: &[&'a CoveredOperation],
) -> Result<Needed<'a>, Cow<'static, str>> {
    let operation = operations.first().copied();
    if operations.iter().all(|operation| operation.public) {
        let note = Some("this operation is public; no key is needed");
        return Ok(Needed { operation, permissions: vec![], note });
    }
    let mut picked: Vec<PermissionIndex> = vec![];
    for operation in operations {
        if operation.permissions.iter().any(|index| picked.contains(index)) {
            continue;
        }
        let narrowest = operation.permissions.first().ok_or("no permission covers this operation")?;
        picked.push(*narrowest);
    }
    let permissions = picked.iter().filter_map(|index| environment.policy.permission(*index)).cloned().collect();
    let note = (operations.len() > 1).then_some("the API could take this path for another operation; both are needed");
    Ok(Needed { operation, permissions, note })
}
