//! Which of some listed operations a request runs, by the same matcher as the edge's.

use crate::access::judge_path;
use crate::catalogue::{Ambiguity, Catalogue, Leniency, Lookup};
use crate::model::{Operation, OperationPattern, PathRules, Permission, PermissionName};
use anyhow::Context;
use http::Method;

/// What became of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matched {
    /// Gateway and upstream could read the path differently, and why.
    Ambiguous(&'static str),
    /// Places in the list: the operation that runs, then those that a lenient upstream could run instead.
    Operations(Vec<usize>),
    /// None has this method and path.
    Unknown,
}

/// Finds a request among `operations` (method or `*`, path template) under the default path rules. A query is not
/// looked at. Fails where method, path or template are none.
pub fn match_operation(operations: &[(String, String)], method: &str, path: &str) -> anyhow::Result<Matched> {
    let method = Method::from_bytes(method.as_bytes()).with_context(|| format!("`{method}` is no method"))?;
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    anyhow::ensure!(path.starts_with('/'), "`{path}` is no path: it starts with `/`, relative to the base URL");
    if let Err(rule) = judge_path(path.as_bytes(), &PathRules::default()) {
        return Ok(Matched::Ambiguous(rule.detail()));
    }
    if operations.is_empty() {
        return Ok(Matched::Unknown);
    }
    let catalogue = Catalogue::new(permissions(operations)?.into(), &[], Leniency::default(), None)?;
    Ok(match catalogue.lookup(&method, path.as_bytes()) {
        Lookup::Ambiguous(Ambiguity::Semicolon) => Matched::Ambiguous("a `;` follows the name of another operation"),
        Lookup::Ambiguous(Ambiguity::Siblings) => Matched::Ambiguous("it could be read as several operations"),
        Lookup::Found(found) => {
            let places = found.operations().iter().filter_map(|operation| operation.id.parse().ok());
            Matched::Operations(places.collect())
        }
        Lookup::Unknown => Matched::Unknown,
    })
}

/// One permission over all, whose operations are named by their places.
fn permissions(operations: &[(String, String)]) -> anyhow::Result<Vec<Permission>> {
    let operation = |(at, (method, path)): (usize, &(String, String))| {
        let pattern = OperationPattern::parse(&format!("{method} {path}"))?;
        Ok(Operation { id: at.to_string().into(), pattern })
    };
    let operations = operations.iter().enumerate().map(operation).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(vec![Permission {
        name: PermissionName::parse("listed")?,
        group: String::new(),
        summary: String::new(),
        operations,
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(method: &str, path: &str) -> Matched {
        let listed = [("GET", "/cards"), ("GET", "/cards/{id}"), ("GET", "/cards/blocked"), ("*", "/files/{path...}")];
        let listed = listed.map(|(method, path)| (method.to_owned(), path.to_owned()));
        match_operation(&listed, method, path).unwrap()
    }

    #[test]
    fn requests_find_their_operation() {
        assert_eq!(matched("GET", "/cards?limit=1"), Matched::Operations(vec![0]));
        assert_eq!(matched("HEAD", "/cards/7"), Matched::Operations(vec![1]));
        assert_eq!(matched("GET", "/cards/Blocked"), Matched::Operations(vec![1, 2]));
        assert_eq!(matched("PUT", "/files/a/b"), Matched::Operations(vec![3]));
        assert_eq!(matched("POST", "/cards"), Matched::Unknown);
        assert!(matches!(matched("GET", "/cards/../x"), Matched::Ambiguous(_)));
        assert_eq!(match_operation(&[], "GET", "/").unwrap(), Matched::Unknown);
        for (method, path) in [("GE T", "/"), ("GET", "cards")] {
            assert!(match_operation(&[], method, path).is_err(), "{method} {path}");
        }
    }
}
