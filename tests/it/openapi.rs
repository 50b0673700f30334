//! OpenAPI documents: small ones that are odd or wrong on purpose, hostile ones, and real ones counted independently.

use portcullis::catalogue::openapi::{self, ImportError, Imported, MAX_DOCUMENT_BYTES, MAX_OPERATIONS};
use portcullis::config::Documents;
use portcullis::model::{ImportReport, NoteKind, Permission};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::HashSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn import(document: &str) -> Result<Imported, ImportError> {
    openapi::import(document.as_bytes(), "")
}

/// Imports a document of these paths.
fn paths(paths: &str) -> Result<Vec<Permission>, ImportError> {
    import(&format!(r#"{{"openapi":"3.1.0","paths":{paths}}}"#)).map(|imported| imported.permissions.to_vec())
}

/// `name = operation, operation` for every permission.
fn shown(permissions: &[Permission]) -> Vec<String> {
    permissions
        .iter()
        .map(|permission| {
            let operations: Vec<String> = permission.operations.iter().map(|o| o.pattern.to_string()).collect();
            format!("{} = {}", permission.name, operations.join(", "))
        })
        .collect()
}

/// The cases of a file in `tests/data/openapi`: what stands behind `=== `, and what stands below.
fn cases(name: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(repository().join("tests/data/openapi").join(name)).unwrap();
    let split = |case: &str| {
        let (title, body) = case.split_once('\n').unwrap();
        (title.to_owned(), body.replace("\\t", "\t"))
    };
    text.split("=== ").skip(1).map(split).collect()
}

#[test]
fn documents_that_give_nothing_say_why_and_where() {
    let mut broken = Vec::new();
    let cases = cases("refused.txt");
    for (message, document) in &cases {
        match import(document) {
            Ok(imported) => broken.push(format!("{document}\nimports: {:?}", shown(&imported.permissions))),
            Err(error) if error.to_string().contains(message) => {}
            Err(error) => broken.push(format!("{document}\n  says: {error}\nshould: {message}")),
        }
    }
    assert!(cases.len() > 80, "{} cases", cases.len());
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}

#[test]
fn odd_documents_are_imported_and_the_report_tells() {
    let mut broken = Vec::new();
    for (expected, body) in cases("odd.txt") {
        let (notes, document): (Vec<&str>, Vec<&str>) = body.lines().partition(|line| line.starts_with("--- "));
        let document = document.join("\n");
        let imported = match import(&document) {
            Ok(imported) => imported,
            Err(error) => {
                broken.push(format!("{document}\n{error}"));
                continue;
            }
        };
        let permissions = shown(&imported.permissions).join(" | ");
        if permissions != expected {
            broken.push(format!("{document}\n gives: {permissions}\nshould: {expected}"));
        }
        let mut told: Vec<String> =
            imported.report.notes.iter().map(|note| format!("{} {} {}", note.kind, note.place, note.message)).collect();
        for note in notes.iter().filter_map(|note| note.strip_prefix("--- ")) {
            // Places hold spaces where paths do: kind and place are the beginning, the rest stands somewhere.
            let at = told.iter().position(|told| is_told(told, note));
            match at {
                Some(at) => drop(told.remove(at)),
                None => broken.push(format!("{document}\n  tells: {told:#?}\nshould: {note}")),
            }
        }
        if !told.is_empty() {
            broken.push(format!("{document}\nalso tells: {told:#?}"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}

/// Whether a note begins with some words of what is expected and holds the rest.
fn is_told(told: &str, expected: &str) -> bool {
    let splits = expected.match_indices(' ').map(|(at, _)| at).chain([expected.len()]);
    splits
        .into_iter()
        .any(|at| told.starts_with(&format!("{} ", &expected[..at])) && told.contains(expected[at..].trim()))
}

#[test]
fn words_for_people_are_kept() {
    let permissions = paths(
        r#"{"/z":{"post":{"operationId":"makeZ","tags":["Zeds","x"],"summary":"Make\n a  zed"}},
            "/a/{id}":{"delete":{"tags":[7,"A"],"summary":["x"]}}}"#,
    )
    .unwrap();
    let words: Vec<_> = permissions.iter().map(|p| (p.group.as_str(), p.summary.as_str())).collect();
    assert_eq!(words, [("Zeds", "Make a zed"), ("a", "")]);
    let ids: Vec<_> = permissions.iter().map(|p| p.operations[0].id.as_ref()).collect();
    assert_eq!(ids, ["makeZ", "DELETE /a/{id}"]);
    let report = import("openapi: 3.0.3\ninfo: {title: \"Pets\\nand more\", version: 1.0}\npaths: {/a: {get: {}}}");
    let report = Arc::clone(&report.unwrap().report);
    assert_eq!((report.title.as_str(), report.version.as_str()), ("Pets and more", "1.0"));
    assert_eq!((report.operations, report.permissions), (1, 1));
}

#[test]
fn names_never_collide_by_accident() {
    let long = "x".repeat(300);
    let permissions = paths(&format!(
        r#"{{"/a":{{"get":{{"operationId":"same id"}}}},"/b":{{"get":{{"operationId":"same_id"}}}},
            "/c":{{"get":{{"operationId":"GET:/d"}}}},"/d":{{"get":{{}}}},
            "/e":{{"get":{{"operationId":"portcullis:keys:edit"}}}},
            "/{long}1":{{"get":{{}}}},"/{long}2":{{"get":{{}}}},
            "/é":{{"get":{{}}}},"/è":{{"get":{{}}}},
            "/f":{{"get":{{"operationId":"{long}1"}}}},"/g":{{"get":{{"operationId":"{long}2"}}}},
            "/h":{{"get":{{"operationId":""}}}}}}"#
    ))
    .unwrap();
    let names: HashSet<&str> = permissions.iter().map(|permission| permission.name.as_str()).collect();
    assert_eq!(names.len(), 12);
    for name in ["same_id", "same_id~45626f794ebcc5b5", "GET:/d", "GET:/d~c780150dac8c55ce", "GET:/e", "GET:/h"] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    assert!(permissions.iter().all(|permission| !permission.name.is_reserved()));
    let ids: HashSet<&str> = permissions.iter().flat_map(|p| &p.operations).map(|o| o.id.as_ref()).collect();
    assert!(ids.iter().all(|id| id.bytes().all(|byte| (b' '..=b'~').contains(&byte))), "ids fit in a header: {ids:?}");
}

#[test]
fn names_do_not_pass_from_one_operation_to_another() {
    let long = "x".repeat(199);
    let operations = [
        ("/a", "{\"operationId\":\"same id\"}".to_owned()),
        ("/b", "{\"operationId\":\"same_id\"}".to_owned()),
        ("/c", "{\"operationId\":\"same\u{e9}id\"}".to_owned()),
        ("/d", "{\"operationId\":\"GET:/e\"}".to_owned()),
        ("/e", "{}".to_owned()),
        ("/f", "{\"operationId\":\"GET:/f\"}".to_owned()),
        ("/g", format!("{{\"operationId\":\"{long}12\"}}")),
        ("/h", format!("{{\"operationId\":\"{long}13\"}}")),
        ("/\u{e9}", "{}".to_owned()),
        ("/i", "{\"operationId\":\"GET:/\u{e9}\"}".to_owned()),
    ];
    let named = |operations: &[(&str, String)]| {
        let items: Vec<String> =
            operations.iter().map(|(path, said)| format!(r#""{path}":{{"get":{said}}}"#)).collect();
        let mut lines = shown(&paths(&format!("{{{}}}", items.join(","))).unwrap());
        lines.sort();
        lines
    };
    let all = named(&operations);
    let backwards: Vec<_> = operations.iter().rev().cloned().collect();
    assert_eq!(named(&backwards), all);
    // Each is named as it would be alone.
    let mut alone: Vec<String> = operations.iter().flat_map(|one| named(std::slice::from_ref(one))).collect();
    alone.sort();
    assert_eq!(alone, all);
    assert!(all.contains(&"GET:/f = GET /f".to_owned()), "{all:?}");
    // A path that is written as another one's name is made.
    let made = all.iter().find_map(|line| line.strip_prefix("GET:/_~")?.split_once(" = GET /\u{e9}")).unwrap().0;
    let forged = format!("/_~{made}");
    let both = named(&[("/\u{e9}", "{}".to_owned()), (&forged, "{}".to_owned())]);
    let other = named(&[(&forged, "{}".to_owned())]);
    assert!(both.contains(&other[0]) && both.len() == 2, "{both:?} {other:?}");
}

#[test]
fn encodings_and_line_ends_are_no_obstacle() {
    for document in [
        "\u{feff}{\"openapi\":\"3.0.0\",\"paths\":{\"/a\":{\"get\":{\"operationId\":\"x\"}}}}",
        "\u{feff}openapi: 3.0.0\npaths:\n  /a:\n    get:\n      operationId: x\n",
        "openapi: 3.0.0\r\npaths:\r\n  /a:\r\n    get:\r\n      operationId: x\r\n",
        "\n\n  {\"openapi\":\"3.0.0\",\r\n\"paths\":{\"/a\":{\"get\":{\"operationId\":\"x\"}}}}\n\n",
        "%YAML 1.2\n---\nopenapi: 3.0.0\npaths: {/a: {get: {operationId: x}}}\n...\n",
        "openapi: '3.0'\npaths: {/a: {get: {operationId: x}}}",
    ] {
        assert_eq!(shown(&import(document).unwrap().permissions), ["x = GET /a"], "{document}");
    }
    let latin = openapi::import(b"openapi: 3.0.0\ninfo: {title: caf\xe9}\n", "").unwrap_err();
    assert_eq!(latin.to_string(), "is not UTF-8 text from line 2 on");
    let wide: Vec<u8> = "{\"openapi\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(openapi::import(&wide, "").is_err());
}

#[test]
fn a_prefix_stands_before_every_path() {
    let document = r#"{"openapi":"3.0.0","servers":[{"url":"https://api.example.com/2.0"}],
        "paths":{"/a":{"get":{"operationId":"x"}},"/b#c":{"put":{}},"/oauth2/token":{"post":{"operationId":"token"}}}}"#;
    let imported = openapi::import(document.as_bytes(), "/2.0").unwrap();
    assert_eq!(
        shown(&imported.permissions),
        ["x = GET /2.0/a", "PUT:/2.0/b = PUT /2.0/b", "token = POST /2.0/oauth2/token"]
    );
    assert_eq!(imported.permissions[1].group, "b");
    assert!(imported.notes_for(&[""], "/oauth2").is_empty());
    let plain = import(document).unwrap();
    let notes = plain.notes_for(&[""], "/oauth2");
    let told: Vec<_> = notes.iter().map(|note| (note.kind, note.place.as_str())).collect();
    assert_eq!(
        told,
        [(NoteKind::ServerBasePath, "/servers/0"), (NoteKind::ReservedPath, "/paths/~1oauth2~1token/post")]
    );
    assert!(notes[0].message.contains("`openapi_prefix = \"/2.0\"`"), "{}", notes[0].message);
    assert!(plain.notes_for(&["/api/2.0"], "/_oauth2").is_empty());
}

#[test]
fn a_reference_is_followed_over_eight_steps_and_no_more() {
    let chain = |steps: usize| {
        let mut items: Vec<String> =
            (1..steps).map(|at| format!(r##""s{at}":{{"$ref":"#/x-items/s{}"}}"##, at + 1)).collect();
        items.push(format!(r#""s{steps}":{{"get":{{"operationId":"x"}}}}"#));
        let items = items.join(",");
        import(&format!(r##"{{"openapi":"3.1.0","paths":{{"/a":{{"$ref":"#/x-items/s1"}}}},"x-items":{{{items}}}}}"##))
    };
    assert_eq!(shown(&chain(8).unwrap().permissions), ["x = GET /a"]);
    let error = chain(9).unwrap_err().to_string();
    assert!(error.contains("more than 8 of them"), "{error}");
}

#[test]
fn the_largest_document_is_read_and_one_byte_more_is_not() {
    let body = r#"{"openapi":"3.0.0","paths":{"/a":{"get":{}}}}"#;
    let limit = usize::try_from(MAX_DOCUMENT_BYTES).unwrap();
    let mut document = format!("{body}{}", " ".repeat(limit - body.len()));
    assert!(import(&document).is_ok());
    document.push(' ');
    assert_eq!(import(&document).unwrap_err(), ImportError::TooLarge);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.json");
    // 50 MB that take no room on the disk, and would not be JSON.
    std::fs::File::create(&file).unwrap().set_len(50_000_000).unwrap();
    let error = Documents::default().import_file(&file, "").unwrap_err();
    assert_eq!(error.to_string(), "is larger than 32 MiB");
}

#[test]
fn the_most_operations_are_read_and_one_more_is_not() {
    let of = |count: usize| {
        let items: Vec<String> = (0..count).map(|at| format!(r#""/{at}":{{"get":{{}}}}"#)).collect();
        paths(&format!("{{{}}}", items.join(",")))
    };
    assert_eq!(of(MAX_OPERATIONS).unwrap().len(), MAX_OPERATIONS);
    let error = of(MAX_OPERATIONS + 1).unwrap_err().to_string();
    assert!(error.contains("more than 50000 members"), "{error}");
    let items: Vec<String> =
        (0..MAX_OPERATIONS / 2 + 1).map(|at| format!(r#""/{at}":{{"get":{{}},"put":{{}}}}"#)).collect();
    let error = paths(&format!("{{{}}}", items.join(","))).unwrap_err().to_string();
    assert!(error.contains("more than 50000 operations"), "{error}");
    let id = |length: usize| paths(&format!(r#"{{"/a":{{"get":{{"operationId":"{}"}}}}}}"#, "x".repeat(length)));
    assert!(id(1000).is_ok() && id(1001).is_err());
    let members = |count: usize| {
        let members: Vec<String> = (1..count).map(|at| format!(r#""x-{at}":1"#)).collect();
        paths(&format!(r#"{{"/a":{{"get":{{}},{}}}}}"#, members.join(",")))
    };
    assert!(members(1000).is_ok() && members(1001).is_err());
}

/// Ends soon: what a hostile document may cost is bounded, in a debug build on a busy machine too.
#[track_caller]
fn soon<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = run();
    assert!(began.elapsed().as_secs() < 30, "{what} took {:?}", began.elapsed());
    result
}

#[test]
fn yaml_nests_a_hundred_levels_and_no_more() {
    // The document, `x` and what is in it.
    let flow = |depth: usize| {
        format!("openapi: 3.0.0\nx: {}{}\npaths: {{/a: {{get: {{}}}}}}\n", "[".repeat(depth), "]".repeat(depth))
    };
    let block = |depth: usize| {
        let x: String = (1..=depth).map(|at| format!("{}a:\n", " ".repeat(at))).collect();
        format!("openapi: 3.0.0\nx:\n{x}paths: {{/a: {{get: {{}}}}}}\n")
    };
    for document in [flow(99), block(99)] {
        import(&document).unwrap();
    }
    for document in [flow(100), block(100), flow(100_000), block(3000), "[".repeat(1_000_000), "{a: ".repeat(1_000_000)]
    {
        let error = soon("nesting", || import(&document)).unwrap_err().to_string();
        assert!(error.contains("nested deeper than 100 levels") || document.starts_with('['), "{error}");
    }
    // JSON that nobody reads is passed over without recursion, however deep it is.
    let deep = |depth: usize| {
        format!(
            r#"{{"openapi":"3.0.0","x":{}{},"paths":{{"/a":{{"get":{{}}}}}}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    import(&deep(1_000_000)).unwrap();
    let open = format!(r#"{{"openapi":"3.0.0","paths":{}"#, r#"{"/a":"#.repeat(1_000_000));
    assert!(soon("nesting", || import(&open)).is_err());
}

#[test]
fn aliases_do_not_explode() {
    let tenfold = |levels: usize| {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..levels {
            let below = vec![format!("*a{}", level - 1); 10].join(",");
            writeln!(bomb, "a{level}: &a{level} [{below}]").unwrap();
        }
        format!("openapi: 3.0.0\n{bomb}paths: {{/a: {{get: {{}}}}}}\n")
    };
    import(&tenfold(4)).unwrap();
    for document in [
        tenfold(12),
        // One large value, many times over.
        format!("openapi: 3.0.0\nbig: &big [{}]\nall: [{}]\n", "x,".repeat(5000), "*big,".repeat(5000)),
        // Members that are merged from one another.
        format!(
            "openapi: 3.0.0\nm0: &m0 {{a: 1}}\n{}paths: {{}}\n",
            (1..200).fold(String::new(), |all, at| all
                + &format!("m{at}: &m{at} {{<<: [{}], k{at}: 1}}\n", vec![format!("*m{}", at - 1); 50].join(",")))
        ),
    ] {
        let error = soon("aliases", || import(&document)).unwrap_err().to_string();
        assert!(error.contains("its aliases stand for more than 500000 values"), "{error}");
    }
}

#[test]
fn what_looks_hostile_ends_soon() {
    let references: Vec<String> =
        (0..20_000).map(|at| format!(r##""/p{at}":{{"$ref":"#/paths/~1p{}"}}"##, at + 1)).collect();
    let same: Vec<String> = (0..20_000).map(|at| format!(r##""/p{at}":{{"$ref":"#/x-items/one"}}"##)).collect();
    let other: Vec<String> = (0..5000).map(|at| format!(r##""/p{at}":{{"$ref":"#/x-items/i{at}"}}"##)).collect();
    for (what, paths) in [("a long chain", references), ("one target", same), ("many targets", other)] {
        let document = format!(
            r#"{{"openapi":"3.1.0","paths":{{{}}},"x-items":{{"one":{{"get":{{"operationId":"x"}}}}}}}}"#,
            paths.join(",")
        );
        let result = soon(what, || import(&document));
        assert_eq!(result.is_ok(), what == "one target", "{what}");
    }
    let wide: String = (0..500_000).map(|at| format!(r#""{at}":1,"#)).collect();
    let wide = format!(
        r#"{{"openapi":"3.1.0","paths":{{{}}},"x-items":{{{wide}"one":{{"get":{{}}}}}}}}"#,
        (0..20_000).map(|at| format!(r##""/p{at}":{{"$ref":"#/x-items/i{at}"}}"##)).collect::<Vec<_>>().join(",")
    );
    assert!(soon("many targets among many members", || import(&wide)).is_err());
    let long = format!(r##"{{"/a":{{"$ref":"#{}"}}}}"##, "/a".repeat(2_000_000));
    assert!(soon("a long reference", || paths(&long)).is_err());
    let names: Vec<String> = (0..5000).map(|at| format!(r#""/p{at}":{{"get":{{"operationId":"é{at}é"}}}}"#)).collect();
    assert!(soon("names", || paths(&format!("{{{}}}", names.join(",")))).is_ok());
    let path = format!(r#"{{"/{}":{{"get":{{}}}}}}"#, "{a}-".repeat(2000));
    assert!(soon("a long path", || paths(&path)).is_ok());
    assert!(soon("quotes", || import(&format!("a: \"{}", "\\\"".repeat(1_000_000)))).is_err());
    assert!(soon("keys", || import(&"? ".repeat(500_000))).is_err());
    assert!(soon("indents", || import(&"- ".repeat(500_000))).is_err());
}

#[test]
fn notes_are_bounded_and_none_is_told_twice() {
    let members: String = (0..900).map(|at| format!(r#""m{at}":1,"#)).collect();
    let referrers: Vec<String> = (0..20_000).map(|at| format!(r##""/p{at}":{{"$ref":"#/x/a"}}"##)).collect();
    let one =
        format!(r#"{{"openapi":"3.1.0","paths":{{{}}},"x":{{"a":{{{members}"get":{{}}}}}}}}"#, referrers.join(","));
    let imported = soon("notes of one target", || import(&one)).unwrap();
    let of = |imported: &Imported, kind| imported.report.notes.iter().filter(|note| note.kind == kind).count();
    assert_eq!((imported.permissions.len(), of(&imported, NoteKind::MemberIgnored)), (20_000, 900));
    assert_eq!((of(&imported, NoteKind::IdMade), of(&imported, NoteKind::NotesLeftOut)), (1000, 1));
    let last = &imported.report.notes.last().unwrap().message;
    assert!(last.ends_with("left out: 19000 id_made"), "{last}");

    let own: Vec<String> = (0..1000).map(|at| format!(r#""/p{at}":{{{members}"get":{{}}}}"#)).collect();
    let imported = import(&format!(r#"{{"openapi":"3.1.0","paths":{{{}}}}}"#, own.join(","))).unwrap();
    assert_eq!(of(&imported, NoteKind::MemberIgnored), 1000);
    assert!(imported.report.notes.last().unwrap().message.ends_with("left out: 899000 member_ignored"));
}

#[test]
fn yaml_of_more_than_four_million_values_is_refused() {
    let many = format!("openapi: 3.0.0\nx: [{}1]\n", "1,".repeat(4_000_000));
    let error = import(&many).unwrap_err().to_string();
    assert!(error.contains("more than 4000000 values"), "{error}");
}

/// The real documents, or nothing where they are not.
fn real_documents() -> Vec<(String, String)> {
    let folder = repository().join("../shared/data/openapi");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: `{}` with the real documents is not here", folder.display());
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let name = |file: &Path| file.file_name().unwrap().to_string_lossy().into_owned();
    files.iter().map(|file| (name(file), std::fs::read_to_string(file).unwrap())).collect()
}

/// `METHOD path` and the place of every operation, counted from plain JSON.
fn declared(document: &str) -> Vec<(String, String, String)> {
    let value: Value = serde_json::from_str(document).unwrap();
    let mut declared = Vec::new();
    for (path, item) in value["paths"].as_object().unwrap() {
        for (method, _) in item.as_object().unwrap() {
            let methods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
            if methods.contains(&method.as_str()) {
                let place = format!("/paths/{}/{method}", path.replace('~', "~0").replace('/', "~1"));
                declared.push((method.to_uppercase(), path.clone(), place));
            }
        }
    }
    declared
}

#[test]
fn real_documents_lose_no_operation() {
    for (name, document) in real_documents() {
        let imported = import(&document).unwrap_or_else(|error| panic!("{name}: {error}"));
        let ImportReport { operations, permissions, notes, .. } = imported.report.as_ref();
        let declared = declared(&document);
        assert_eq!(*operations, declared.len(), "{name}");
        let own: HashSet<String> =
            imported.permissions.iter().flat_map(|p| &p.operations).map(|o| o.pattern.to_string()).collect();
        let merged: HashSet<&str> =
            notes.iter().filter(|note| note.kind == NoteKind::Merged).map(|note| note.place.as_str()).collect();
        let mut apart = HashSet::new();
        for (method, path, place) in &declared {
            let plain = path.split(['#', '?']).next().unwrap();
            let operation = format!("{method} {plain}");
            if merged.contains(place.as_str()) {
                continue;
            }
            assert!(own.contains(&operation), "{name}: {place} is neither an operation nor merged");
            assert!(apart.insert(operation), "{name}: {place} was merged and is not told");
        }
        assert_eq!(apart.len() + merged.len(), *operations, "{name}");
        assert_eq!(
            (apart.len(), own.len(), imported.permissions.len()),
            (*permissions, *permissions, *permissions),
            "{name}"
        );
        let names: HashSet<_> = imported.permissions.iter().map(|permission| permission.name.as_str()).collect();
        assert_eq!(names.len(), *permissions, "{name}");
        assert!(imported.permissions.iter().all(|permission| !permission.group.is_empty()), "{name}");
        println!("{name}: {operations} operations, {permissions} permissions, {} merged", merged.len());
        // What is known of those that are here now.
        let known =
            [("stripe.json", 452, 0), ("twilio_api.json", 195, 0), ("box.json", 242, 18), ("petstore_31.json", 20, 0)];
        if let Some((_, expected, parts)) = known.iter().find(|(known, _, _)| *known == name) {
            assert_eq!((*permissions, merged.len()), (*expected, *parts), "{name}");
        }
    }
}

/// A JSON value in YAML's block style, names plain where that is safe.
fn block(value: &Value, indent: usize, out: &mut String) {
    let space = " ".repeat(indent);
    let mut entry = |head: String, value: &Value| match value {
        Value::Object(inner) if !inner.is_empty() => {
            writeln!(out, "{space}{head}").unwrap();
            block(value, indent + 2, out);
        }
        Value::Array(inner) if !inner.is_empty() => {
            writeln!(out, "{space}{head}").unwrap();
            block(value, indent + 2, out);
        }
        scalar => writeln!(out, "{space}{head} {scalar}").unwrap(),
    };
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
                    && name.chars().all(|c| c.is_ascii_alphanumeric() || "/{}._-".contains(c));
                let name = if plain { name.clone() } else { Value::String(name.clone()).to_string() };
                entry(format!("{name}:"), value);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| entry("-".to_owned(), element)),
        scalar => writeln!(out, "{space}{scalar}").unwrap(),
    }
}

#[test]
fn real_documents_are_the_same_in_yaml() {
    for (name, document) in real_documents() {
        let expected = import(&document).unwrap();
        // JSON is YAML: a comment before it makes it be read as such, in the same order.
        let same = import(&format!("# YAML\n{document}")).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(same.permissions, expected.permissions, "{name}");
        assert_eq!(same.report, expected.report, "{name}");
        // As people write it. The order of members is another one, because a JSON value sorts them.
        let mut text = String::new();
        block(&serde_json::from_str(&document).unwrap(), 0, &mut text);
        let blocks = import(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let sorted = |imported: &Imported| {
            let mut lines = shown(&imported.permissions);
            lines.sort();
            lines
        };
        assert_eq!(sorted(&blocks).len(), sorted(&expected).len(), "{name}");
        if expected.report.notes.iter().all(|note| note.kind != NoteKind::Merged) {
            assert_eq!(sorted(&blocks), sorted(&expected), "{name}");
        }
    }
}

#[test]
fn the_document_of_the_control_api_imports_too() {
    let document = portcullis::control::openapi_document();
    let imported = import(&document).unwrap();
    assert_eq!(imported.report.operations, declared(&document).len());
    assert_eq!(imported.report.notes, []);
}

#[test]
fn what_documents_gave_is_kept_while_it_is_used() {
    let documents = Documents::default();
    let (one, other) = (r#"{"openapi":"3.0.0","paths":{"/a":{"get":{}}}}"#, "openapi: 3.0.0\npaths: {/a: {get: {}}}");
    let first = documents.import(one.as_bytes(), "").unwrap();
    assert!(Arc::ptr_eq(&first, &documents.import(one.as_bytes(), "").unwrap()));
    assert!(!Arc::ptr_eq(&first, &documents.import(other.as_bytes(), "").unwrap()), "another content");
    assert!(!Arc::ptr_eq(&first, &documents.import(one.as_bytes(), "/v1").unwrap()), "another prefix");
    assert!(documents.import(b"{}", "").is_err());

    let folder = tempfile::tempdir().unwrap();
    let tenant = |name: &str, rest: &str| {
        let text = format!(
            "[organization]\nid = \"{name}\"\n[environments.p]\nbase_url = \"http://127.0.0.1:8080/{name}\"\n\
             upstream = \"http://127.0.0.1:9000\"\nopenapi = \"spec.json\"\n{rest}"
        );
        std::fs::write(folder.path().join("tenants").join(name).with_extension("toml"), text).unwrap();
    };
    std::fs::create_dir(folder.path().join("tenants")).unwrap();
    std::fs::write(folder.path().join("portcullis.toml"), "").unwrap();
    std::fs::write(folder.path().join("tenants/spec.json"), one).unwrap();
    tenant("a", "");
    tenant("b", "");
    tenant("c", "[environments.p.permissions]\nmore = \"GET /b\"\n");
    let load = || {
        let now = portcullis::model::Timestamp::from_unix(0);
        let config = portcullis::config::load(&folder.path().join("portcullis.toml"), now, &documents).unwrap();
        let of = |at: usize| config.organizations[at].environments[0].clone();
        (of(0), of(1), of(2), config.notes)
    };
    let (a, b, c, notes) = load();
    assert!(Arc::ptr_eq(&a.permissions, &b.permissions) && Arc::ptr_eq(&a.permissions, &first.permissions));
    assert!(Arc::ptr_eq(a.report.as_ref().unwrap(), b.report.as_ref().unwrap()));
    assert_eq!((c.permissions.len(), c.report), (2, a.report.clone()));
    // The document is odd once, not three times.
    let told: Vec<String> = notes.iter().map(portcullis::config::Problem::to_note).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("a.toml:6: note: id_made: `GET /a` has no `operationId`"), "{told:?}");
    drop((first, b));
    let (again, ..) = load();
    assert!(Arc::ptr_eq(&a.permissions, &again.permissions), "a reload imports nothing that has not changed");
    std::fs::write(folder.path().join("tenants/spec.json"), other).unwrap();
    let (new, ..) = load();
    assert!(!Arc::ptr_eq(&a.permissions, &new.permissions));
    assert_eq!(a.permissions, new.permissions);
}

/// JSON that is near to a document.
fn near_document() -> impl Strategy<Value = Value> {
    let words = [
        "get",
        "head",
        "/a",
        "/a/{b}",
        "/a#c",
        "$ref",
        "#/paths/~1a",
        "x-portcullis-permission",
        "paths",
        "servers",
        "url",
        "3.1.0",
    ];
    let word = || prop::sample::select(words.to_vec()).prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(5, 60, 6, move |inner| {
        let name =
            prop_oneof![4 => prop::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => "[a-z/{}#?]{0,6}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    (tree, prop::option::of(word())).prop_map(|(paths, id)| {
        serde_json::json!({"openapi": "3.1.0", "servers": paths, "paths": {"/a": {"get": {"operationId": id}, "put": paths}, "/a#c": paths, "/b": paths}})
    })
}

/// What is imported is whole: every operation is one of a permission or told as a part of one.
fn assert_whole(imported: &Imported) {
    let ImportReport { operations, permissions, notes, .. } = imported.report.as_ref();
    let parts = notes.iter().filter(|note| matches!(note.kind, NoteKind::Merged | NoteKind::HeadRidesOnGet)).count();
    let own: usize = imported.permissions.iter().map(|permission| permission.operations.len()).sum();
    assert_eq!((own + parts, imported.permissions.len()), (*operations, *permissions));
    drop(imported.notes_for(&["", "/a"], "/oauth2"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_end_in_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = openapi::import(&bytes, "");
    }

    #[test]
    fn any_text_of_yaml_ends_in_an_answer(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "openapi: 3.1.0\n", "paths:\n", "  /a:\n", "    get:\n", " ", "  ", "\n", "\t", "- ", "? ", ": ", "&a ", "*a", "*a\n", "<<: ",
            "{", "}", "[", "]", ",", "'", "\"", "#", "|\n", ">\n", "---\n", "...\n", "!!str ", "!x ", "%YAML 1.2\n", "~", "$ref: ", "x",
            "operationId: x\n", "\r\n", "\u{feff}", "\u{2028}", "0x1f", "1e400", ".nan", "null: ", "@", "`",
        ]), 0..60)
    ) {
        let text = pieces.concat();
        let _ = import(&text);
        let _ = import(&format!("openapi: 3.1.0\npaths:\n  /a:\n    get:\n      {}", text.replace('\n', "\n      ")));
    }

    #[test]
    fn whatever_is_near_a_document_imports_whole_or_is_refused(value in near_document()) {
        let text = value.to_string();
        let json = import(&text);
        let yaml = import(&format!("# YAML\n{text}"));
        if let (Ok(json), Ok(yaml)) = (&json, &yaml) {
            assert_whole(json);
            prop_assert_eq!(&json.permissions, &yaml.permissions);
        }
    }
}

#[test]
fn a_real_document_that_was_cut_or_spoilt_is_no_panic() {
    let Some((_, document)) = real_documents().into_iter().find(|(name, _)| name == "train_travel_31.json") else {
        return;
    };
    let bytes = document.as_bytes();
    for at in (0..bytes.len()).step_by(211) {
        assert!(openapi::import(&bytes[..at], "").is_err(), "cut at {at}");
        let mut spoilt = bytes.to_vec();
        spoilt[at] = b'{';
        let _ = openapi::import(&spoilt, "");
        let mut yaml = b"# YAML\n".to_vec();
        yaml.extend(spoilt);
        let _ = openapi::import(&yaml, "");
    }
}
