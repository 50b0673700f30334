//! An OpenAPI document: imported whole or refused, the same whether it is read as JSON or as YAML, and fit to be matched.

use crate::catalogue::openapi::{self, Imported};
use crate::catalogue::{Catalogue, Leniency};
use crate::model::{ImportReport, NoteKind};

pub fn check(bytes: &[u8]) {
    let imported = openapi::import(bytes, "");
    if let Ok(imported) = &imported {
        whole(imported);
    }
    assert_eq!(imported.is_ok(), openapi::import(bytes, "/prefix").is_ok_and(|other| other.report.operations > 0));
    let is_json = bytes.first() == Some(&b'{') && serde_json::from_slice::<serde_json::Value>(bytes).is_ok();
    if let (true, Ok(json), Ok(yaml)) = (is_json, &imported, openapi::import(&[b"# YAML\n", bytes].concat(), "")) {
        assert_eq!(json.permissions, yaml.permissions);
    }
}

fn whole(imported: &Imported) {
    let ImportReport { operations, permissions, notes, .. } = imported.report.as_ref();
    let parts = notes.iter().filter(|note| matches!(note.kind, NoteKind::Merged | NoteKind::HeadRidesOnGet)).count();
    let own: usize = imported.permissions.iter().map(|permission| permission.operations.len()).sum();
    assert_eq!((own + parts, imported.permissions.len()), (*operations, *permissions));
    assert!(imported.permissions.iter().all(|permission| imported.knows(permission.name.as_str())));
    drop(imported.notes_for(&["", "/a"], "/oauth2"));
    let catalogue = Catalogue::new(imported.permissions.clone(), &[], Leniency::default(), None).unwrap();
    assert_eq!(catalogue.operations().len(), own, "two permissions are one operation");
}
