//! What a permission does, told by the methods it opens, and the presets that follow from it.

use crate::model::{Method, Permission, PermissionName, Preset};

/// What a permission lets a key do, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccessClass {
    /// All its operations are DELETE.
    Delete,
    /// All its operations are GET, HEAD or OPTIONS.
    Read,
    /// Anything else.
    Write,
}

impl AccessClass {
    /// The class of a permission. One without operations opens nothing and writes nothing.
    pub fn of(permission: &Permission) -> Self {
        let all = |methods: &[Method]| {
            let within = |method: Option<&Method>| method.is_some_and(|method| methods.contains(method));
            permission.operations.iter().all(|operation| within(operation.pattern.method()))
        };
        if all(&[Method::GET, Method::HEAD, Method::OPTIONS]) {
            Self::Read
        } else if all(&[Method::DELETE]) {
            Self::Delete
        } else {
            Self::Write
        }
    }

    /// The class as JSON has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// "Read only", "Read and write" (but no deletion) and "Everything"; without those that would select nothing.
pub(super) fn built_in(permissions: &[Permission]) -> Vec<Preset> {
    let preset = |name: &str, classes: &[AccessClass]| {
        let selected = permissions.iter().filter(|permission| classes.contains(&AccessClass::of(permission)));
        let permissions: Vec<PermissionName> = selected.map(|permission| permission.name.clone()).collect();
        (!permissions.is_empty()).then(|| Preset { name: name.to_owned(), permissions })
    };
    let presets = [
        preset("Read only", &[AccessClass::Read]),
        preset("Read and write", &[AccessClass::Read, AccessClass::Write]),
        preset("Everything", &[AccessClass::Read, AccessClass::Write, AccessClass::Delete]),
    ];
    presets.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Operation, OperationPattern};

    fn permission(operations: &[&str]) -> Permission {
        let operation = |text: &&str| Operation { id: (*text).into(), pattern: OperationPattern::parse(text).unwrap() };
        Permission {
            name: PermissionName::parse(&operations.join("+").replace(' ', ":")).unwrap(),
            group: String::new(),
            summary: String::new(),
            operations: operations.iter().map(operation).collect(),
        }
    }

    #[test]
    fn methods_tell_the_class() {
        for (operations, class) in [
            (&["GET /a", "HEAD /a", "OPTIONS /a"][..], AccessClass::Read),
            (&["GET /a", "POST /a"], AccessClass::Write),
            (&["GET /a", "DELETE /a"], AccessClass::Write),
            (&["DELETE /a", "DELETE /b"], AccessClass::Delete),
            (&["* /a"], AccessClass::Write),
            (&["TRACE /a"], AccessClass::Write),
            (&["PATCH /a"], AccessClass::Write),
        ] {
            assert_eq!(AccessClass::of(&permission(operations)), class, "{operations:?}");
        }
    }

    #[test]
    fn presets_follow_from_the_classes_and_empty_ones_are_left_out() {
        let all = [permission(&["GET /a"]), permission(&["POST /a"]), permission(&["DELETE /a"])];
        let shown = |permissions: &[Permission]| -> Vec<String> {
            let line = |preset: Preset| {
                let names: Vec<_> = preset.permissions.iter().map(PermissionName::as_str).collect();
                format!("{} = {}", preset.name, names.join(", "))
            };
            built_in(permissions).into_iter().map(line).collect()
        };
        assert_eq!(
            shown(&all),
            ["Read only = GET:/a", "Read and write = GET:/a, POST:/a", "Everything = GET:/a, POST:/a, DELETE:/a"]
        );
        assert_eq!(shown(&all[2..]), ["Everything = DELETE:/a"]);
        assert_eq!(shown(&[]), [""; 0]);
    }
}
