//! Lookups: exactness, backtracking, lenient readings, and what adversaries could make of them.

mod properties;
mod reference;

use super::*;

fn permission(name: &str, operations: &[&str]) -> Permission {
    Permission {
        name: PermissionName::parse(name).unwrap(),
        group: String::new(),
        summary: String::new(),
        operations: operations
            .iter()
            .map(|text| Operation { id: (*text).into(), pattern: OperationPattern::parse(text).unwrap() })
            .collect(),
    }
}

fn catalogue_of(permissions: Vec<Permission>, public: &[OperationPattern], leniency: Leniency) -> Catalogue {
    Catalogue::new(permissions.into(), public, leniency, None).unwrap()
}

fn catalogue(operations: &[&str], public: &[&str]) -> Catalogue {
    let permissions = operations.iter().enumerate().map(|(at, op)| permission(&format!("p{at}"), &[op])).collect();
    let public: Vec<_> = public.iter().map(|text| OperationPattern::parse(text).unwrap()).collect();
    Catalogue::new(permissions, &public, Leniency::default(), None).unwrap()
}

fn looked_up(catalogue: &Catalogue, request: &str) -> String {
    let (method, path) = request.split_once(' ').unwrap();
    match catalogue.lookup(&method.parse().unwrap(), path.as_bytes()) {
        Lookup::Unknown => "unknown".into(),
        Lookup::Ambiguous(why) => format!("{why:?}"),
        Lookup::Found(found) => found.operations().iter().map(|op| op.id.as_ref()).collect::<Vec<_>>().join(" + "),
    }
}

#[test]
fn path_first_then_method_and_head_as_get() {
    let c = catalogue(&["GET /cards", "POST /cards", "GET /cards/{id}", "DELETE /cards/{x}", "GET /cards/mine"], &[]);
    for (request, expected) in [
        ("GET /cards", "GET /cards"),
        ("HEAD /cards", "GET /cards"),
        ("POST /cards", "POST /cards"),
        ("PUT /cards", "unknown"),
        ("GET /cards/", "unknown"),
        ("GET /cards/7", "GET /cards/{id}"),
        ("DELETE /cards/7", "DELETE /cards/{x}"),
        ("GET /cards/mine", "GET /cards/mine"),
        // The path is the literal's, which has no DELETE.
        ("DELETE /cards/mine", "unknown"),
        ("GET /cards/%6dine", "GET /cards/mine"),
        ("GET /Cards", "unknown"),
        ("GET /", "unknown"),
        ("GET ", "unknown"),
    ] {
        assert_eq!(looked_up(&c, request), expected, "{request}");
    }
}

#[test]
fn a_method_in_small_letters_is_no_other_one() {
    let c = catalogue(&["* /things/{id}", "DELETE /things/{id}", "GET /things/{id}", "* /all"], &[]);
    for (request, expected) in [
        ("DELETE /things/1", "DELETE /things/{id}"),
        ("PURGE /things/1", "* /things/{id}"),
        ("purge /things/1", "* /things/{id}"),
        ("delete /things/1", "unknown"),
        ("Get /things/1", "unknown"),
        ("head /things/1", "unknown"),
        ("delete /all", "* /all"),
    ] {
        assert_eq!(looked_up(&c, request), expected, "{request}");
    }
}

#[test]
fn segments_with_several_parts_and_backtracking() {
    let c = catalogue(
        &[
            "GET /Calls/{Sid}.json",
            "GET /Calls/{Sid}",
            "GET /a/{b}-{c}",
            "GET /x/lit/end",
            "GET /x/{y}/other",
            "GET /files/{path...}",
        ],
        &[],
    );
    for (request, expected) in [
        ("GET /Calls/CA1.json", "GET /Calls/{Sid}.json"),
        ("GET /Calls/.json", "GET /Calls/{Sid}"),
        ("GET /Calls/CA1", "GET /Calls/{Sid}"),
        ("GET /a/1-2-3", "GET /a/{b}-{c}"),
        ("GET /a/1-", "unknown"),
        ("GET /x/lit/other", "GET /x/{y}/other"),
        ("GET /files/", "GET /files/{path...}"),
        ("GET /files/a/b/", "GET /files/{path...}"),
        ("GET /files", "unknown"),
    ] {
        assert_eq!(looked_up(&c, request), expected, "{request}");
    }
}

#[test]
fn a_value_that_a_lenient_upstream_reads_as_a_sibling_needs_both() {
    let c = catalogue(
        &[
            "GET /users/{id}",
            "GET /users/me",
            "GET /users/me/keys",
            "GET /users/{id}/keys",
            "GET /f/{p...}",
            "GET /f/private",
        ],
        &[],
    );
    for (request, expected) in [
        ("GET /users/ME", "GET /users/{id} + GET /users/me"),
        ("GET /users/me.json", "GET /users/{id} + GET /users/me"),
        ("GET /users/me.", "GET /users/{id} + GET /users/me"),
        ("GET /users/me..", "GET /users/{id} + GET /users/me"),
        ("GET /users/me...%20", "GET /users/{id} + GET /users/me"),
        ("GET /users/.me", "GET /users/{id}"),
        ("GET /users/...", "GET /users/{id}"),
        ("GET /users/m%45", "GET /users/{id} + GET /users/me"),
        ("GET /users/Me/keys", "GET /users/{id}/keys + GET /users/me/keys"),
        ("GET /users/me;x=1", "Semicolon"),
        ("GET /users/other;x=1", "GET /users/{id}"),
        ("GET /users/mellow", "GET /users/{id}"),
        ("GET /f/Private", "GET /f/{p...} + GET /f/private"),
        ("GET /f/Private/", "GET /f/{p...} + GET /f/private"),
        ("GET /f/private/", "GET /f/{p...} + GET /f/private"),
        ("GET /f/private/x", "GET /f/{p...}"),
    ] {
        assert_eq!(looked_up(&c, request), expected, "{request}");
    }
}

#[test]
fn a_value_that_is_a_sibling_once_decoded_again_needs_both() {
    let operations = [
        "GET /users/{id}",
        "GET /users/me",
        "GET /users/{id}/keys",
        "GET /users/me/keys",
        "GET /f/{p...}",
        "GET /f/private",
        "GET /t/{id}",
        "GET /t/{id}:undelete",
        "GET /100%25/{id}",
        "GET /100%25/me",
    ];
    let c = catalogue(&operations, &[]);
    for (request, expected) in [
        ("GET /users/%256de", "GET /users/{id} + GET /users/me"),
        ("GET /users/%25%36%64e", "GET /users/{id} + GET /users/me"),
        ("GET /users/%2%356de", "GET /users/{id}"),
        ("GET /users/%254D%2545", "GET /users/{id} + GET /users/me"),
        ("GET /users/%256de.json", "GET /users/{id} + GET /users/me"),
        ("GET /users/%256de/keys", "GET /users/{id}/keys + GET /users/me/keys"),
        ("GET /u%2573ers/me", "unknown"),
        ("GET /users/%256d", "GET /users/{id}"),
        ("GET /users/me%253Bx", "Semicolon"),
        ("GET /users/other%253Bx", "GET /users/{id}"),
        ("GET /f/%2570rivate", "GET /f/{p...} + GET /f/private"),
        ("GET /f/x/%2570rivate", "GET /f/{p...}"),
        ("GET /t/1%253Aundelete", "GET /t/{id} + GET /t/{id}:undelete"),
        ("GET /100%25/m%2565", "GET /100%25/{id} + GET /100%25/me"),
        // A third decoding is nobody's.
        ("GET /users/%25256de", "GET /users/{id}"),
        // An encoded slash stays part of its value, however often.
        ("GET /users/me%252Fkeys", "GET /users/{id}"),
    ] {
        assert_eq!(looked_up(&c, request), expected, "{request}");
    }
    // Several of them are several readings.
    let many: Vec<String> = ["x", "X", "x.json", "X.json", "x.JSON"].map(|text| format!("GET /{text}")).into();
    let c = catalogue(&many.iter().map(String::as_str).chain(["GET /{id}"]).collect::<Vec<_>>(), &[]);
    assert_eq!(looked_up(&c, "GET /%2578.Json"), "Siblings");
    // Where the switch says that nobody decodes twice, nobody does.
    let permissions = operations.iter().enumerate().map(|(at, op)| permission(&format!("p{at}"), &[op])).collect();
    let opaque = Leniency { double_encoding: SwitchGuarded::Opaque, ..Leniency::default() };
    assert_eq!(looked_up(&catalogue_of(permissions, &[], opaque), "GET /users/%256de"), "GET /users/{id}");
}

#[test]
fn a_value_that_is_a_sibling_once_cut_or_trimmed_needs_both() {
    let c =
        catalogue(&["GET /users/{id}", "GET /users/me", "GET /users", "GET /users/{id}/keys", "GET /f/{p...}"], &[]);
    for (request, expected) in [
        ("GET /users/me%3Fx", "GET /users/{id} + GET /users/me"),
        ("GET /users/me%23", "GET /users/{id} + GET /users/me"),
        ("GET /users/ME%253f", "GET /users/{id} + GET /users/me"),
        ("GET /users/me%20", "GET /users/{id} + GET /users/me"),
        ("GET /users/%09me%0A", "GET /users/{id} + GET /users/me"),
        ("GET /users/m%09e", "GET /users/{id} + GET /users/me"),
        ("GET /users/me.json%20", "GET /users/{id} + GET /users/me"),
        ("GET /users/%3Fx", "GET /users/{id} + GET /users"),
        ("GET /users/%20", "GET /users/{id} + GET /users"),
        ("GET /users/me%3Fx/keys", "GET /users/{id}/keys + GET /users/me"),
        ("GET /users/m%20e", "GET /users/{id}"),
        ("GET /users/me%C2%A0", "GET /users/{id} + GET /users/me"),
        ("GET /users/%E3%80%80me%20%E2%80%A8", "GET /users/{id} + GET /users/me"),
        ("GET /users/me%C2%85%3Fx", "GET /users/{id} + GET /users/me"),
        ("GET /users/%EF%BB%BFme", "GET /users/{id} + GET /users/me"),
        ("GET /users/me%1F", "GET /users/{id} + GET /users/me"),
        ("GET /users/me%C3%A0", "GET /users/{id}"),
        ("GET /users/what%3F", "GET /users/{id}"),
        ("GET /f/a%20b%3F", "GET /f/{p...}"),
    ] {
        assert_eq!(looked_up(&c, request), expected, "{request}");
    }
    let c = catalogue(&["GET /{id}", "GET /keys"], &[]);
    assert_eq!(looked_up(&c, "GET /%E2%84%AAey%C5%BF"), "GET /{id} + GET /keys");
}

/// Who decodes before looking for the query has the whole path end there.
#[test]
fn a_path_that_is_another_one_up_to_an_encoded_question_mark_needs_both() {
    let operations =
        ["GET /users/{id}/photo", "GET /users/me", "GET /tags/{tag}/posts", "GET /tags/{tag}", "GET /{x}/{y}/z/{id}"];
    let c = catalogue(&operations, &[]);
    for (request, expected) in [
        ("GET /users/me%3F/photo", "GET /users/{id}/photo + GET /users/me"),
        ("GET /users/Me%23x/photo", "GET /users/{id}/photo + GET /users/me"),
        ("GET /users/me.json%23x/photo", "GET /users/{id}/photo + GET /users/me"),
        ("GET /users/me;x%3F/photo", "Semicolon"),
        ("GET /users/me%20%3F/photo", "GET /users/{id}/photo + GET /users/me"),
        ("GET /users/me%253F/photo", "GET /users/{id}/photo + GET /users/me"),
        ("GET /users/m%2565%3F/photo", "GET /users/{id}/photo + GET /users/me"),
        ("GET /users/me/%3F/7", "unknown"),
        ("GET /users/me/z/%3F", "GET /{x}/{y}/z/{id}"),
        ("GET /users/7%3F/photo", "GET /users/{id}/photo"),
        ("GET /users/7%3F%2Fme/photo", "GET /users/{id}/photo"),
        // A value is cut as well as a name.
        ("GET /tags/what%3F/posts", "GET /tags/{tag}/posts + GET /tags/{tag}"),
        // One that is there only after a second decoding hides none that is there after the first.
        ("GET /tags/a%253Fb%3F/posts", "GET /tags/{tag}/posts + GET /tags/{tag}"),
    ] {
        assert_eq!(looked_up(&c, request), expected, "{request}");
    }
    let c = catalogue(&["GET /{x}/{y}/photo", "GET /{x}/me", "POST /t/{id}", "POST /t/{id}:undelete"], &[]);
    for path in ["/a%253Fb/me%3F/photo", "/a%253Fb/m%2565%3F/photo"] {
        assert_eq!(looked_up(&c, &format!("GET {path}")), "GET /{x}/{y}/photo + GET /{x}/me", "{path}");
    }
    assert_eq!(looked_up(&c, "POST /t/1%253Fx:undelete%3F"), "POST /t/{id} + POST /t/{id}:undelete");
}

#[test]
fn a_slash_before_nothing_may_be_taken_off() {
    let c = catalogue(&["DELETE /{bucket}", "DELETE /{bucket}/{key...}", "GET /files", "GET /files/{path...}"], &[]);
    for (request, expected) in [
        ("DELETE /b", "DELETE /{bucket}"),
        ("DELETE /b/k", "DELETE /{bucket}/{key...}"),
        ("DELETE /b/k/", "DELETE /{bucket}/{key...}"),
        ("DELETE /b/", "DELETE /{bucket}/{key...} + DELETE /{bucket}"),
        ("GET /files/", "GET /files/{path...} + GET /files"),
    ] {
        assert_eq!(looked_up(&c, request), expected, "{request}");
    }
}

#[test]
fn an_environment_without_a_catalogue_has_two_permissions() {
    let c = Catalogue::new([].into(), &[OperationPattern::parse("GET /health").unwrap()], Leniency::default(), None)
        .unwrap();
    assert_eq!(c.permissions().iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["api:read", "api:write"]);
    for (request, expected) in [
        ("GET /anything/at/all", "api:read"),
        ("HEAD /", "api:read"),
        ("GET ", "api:read"),
        ("POST /x", "api:write"),
        ("PROPFIND /x", "api:write"),
        ("GET /health", "GET /health"),
        ("POST /health", "api:write"),
        ("GET /HEALTH", "api:read + GET /health"),
    ] {
        assert_eq!(looked_up(&c, request), expected, "{request}");
    }
}

#[test]
fn public_operations_are_marked_where_they_are_listed_too() {
    let c = catalogue(&["GET /cards/{id}", "GET /cards/secret"], &["GET /cards/{any}"]);
    let public = |path: &str| match c.lookup(&Method::GET, path.as_bytes()) {
        Lookup::Found(found) => found.operations().iter().all(|op| op.public),
        _ => false,
    };
    assert!(public("/cards/7"));
    assert!(!public("/cards/secret"));
    assert!(!public("/cards/SECRET"));
}

#[test]
fn the_narrowest_permission_comes_first() {
    let c = Catalogue::new(
        [permission("wide", &["GET /a", "GET /b"]), permission("narrow", &["GET /a"])].into(),
        &[],
        Leniency::default(),
        None,
    )
    .unwrap();
    let Lookup::Found(found) = c.lookup(&Method::GET, b"/a") else { panic!("not found") };
    assert_eq!(found.operations()[0].permissions.as_ref(), [PermissionIndex(1), PermissionIndex(0)]);
}

#[test]
fn odd_templates_are_refused() {
    for text in [
        "cards",
        "/a//b",
        "/../a",
        "/{}",
        "/{a",
        "/a}",
        "/{a}{b}",
        "/{p...}/x",
        "/x{p...}",
        "/a?b",
        "/a#b",
        "/%2F",
        "/{{a}}",
        "/a%00",
    ] {
        assert!(Template::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_template_has_at_most_128_segments() {
    assert!(Template::parse(&"/{a}".repeat(128)).is_ok());
    assert_eq!(Template::parse(&"/{a}".repeat(129)), Err(TemplateError::TooLong));
    assert!(Template::parse(&format!("{}/{{rest...}}", "/{a}".repeat(128))).is_ok());
}

#[test]
fn the_base_url_itself_is_the_root() {
    let c = catalogue(&["GET /", "GET /{path...}"], &[]);
    assert_eq!((looked_up(&c, "GET "), looked_up(&c, "GET /")), ("GET /".into(), "GET /".into()));
}

#[test]
fn sibling_patterns_are_read_leniently_too() {
    let c = catalogue(&["POST /t/{id}", "POST /t/{id}:undelete"], &[]);
    for (request, expected) in [
        ("POST /t/1:undelete", "POST /t/{id}:undelete"),
        ("POST /t/1:UNDELETE", "POST /t/{id} + POST /t/{id}:undelete"),
        ("POST /t/1:undelete;x", "Semicolon"),
        ("POST /t/1;x", "POST /t/{id}"),
    ] {
        assert_eq!(looked_up(&c, request), expected, "{request}");
    }
}

#[test]
fn many_parameters_in_a_segment_cost_no_more_than_its_length() {
    let c = catalogue(&["GET /x/{a}-{b}-{c}-{d}-{e}.json"], &[]);
    // Backtracking would take hours on this.
    assert_eq!(looked_up(&c, &format!("GET /x/{}", "-".repeat(8000))), "unknown");
    assert_eq!(looked_up(&c, "GET /x/1-2-3-4-5-6.json"), "GET /x/{a}-{b}-{c}-{d}-{e}.json");
}

/// Every path of `depth` segments that are each `a` or a parameter.
fn overlapping(depth: u32) -> Vec<String> {
    (0..1u32 << depth)
        .map(|bits| {
            let segments = (0..depth).map(|at| if bits >> at & 1 == 0 { "/a" } else { "/{p}" });
            format!("GET {}/end", segments.collect::<String>())
        })
        .collect()
}

#[test]
fn templates_that_overlap_on_purpose_are_walked_up_to_a_bound() {
    let templates = overlapping(8);
    let c = catalogue(&templates.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    assert_eq!(looked_up(&c, &format!("GET {}/end", "/a".repeat(8))), templates[0]);
    assert_eq!(looked_up(&c, &format!("GET {}/other", "/a".repeat(8))), "unknown");
    let templates = overlapping(14);
    let c = catalogue(&templates.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    assert_eq!(looked_up(&c, &format!("GET {}/end", "/a".repeat(14))), templates[0]);
    // Thirty thousand nodes would be in vain.
    assert_eq!(looked_up(&c, &format!("GET {}/other", "/a".repeat(14))), "Siblings");
}

#[test]
fn a_long_path_of_short_segments_costs_no_recursion_beyond_the_templates() {
    let c = catalogue(&[&format!("GET {}", "/{a}".repeat(128)), "GET /f/{rest...}"], &[]);
    assert_eq!(looked_up(&c, &format!("GET {}", "/x".repeat(4096))), "unknown");
    assert_eq!(looked_up(&c, &format!("GET /f{}", "/X%41".repeat(2048))), "GET /f/{rest...}");
    assert_eq!(looked_up(&c, &format!("GET {}", "/x".repeat(128))), format!("GET {}", "/{a}".repeat(128)));
}

#[test]
fn of_many_patterns_beside_each_other_the_most_exact_is_found() {
    let verbs: Vec<String> = (0..300).map(|n| format!("POST /v1/{{name}}:verb{n}")).collect();
    let mut all: Vec<&str> = verbs.iter().map(String::as_str).collect();
    all.extend(["POST /v1/{name}", "POST /v1/{name}:x", "POST /v1/{name}b29:verb299", "POST /v1/{a}:{b}"]);
    let c = catalogue(&all, &[]);
    for (request, expected) in [
        ("POST /v1/1:verb7", "POST /v1/{name}:verb7"),
        ("POST /v1/1:verb299", "POST /v1/{name}:verb299"),
        ("POST /v1/1b29:verb299", "POST /v1/{name}b29:verb299"),
        ("POST /v1/1:x", "POST /v1/{name}:x"),
        ("POST /v1/1:verb", "POST /v1/{a}:{b}"),
        ("POST /v1/:x", "POST /v1/{name}"),
        ("POST /v1/verb7", "POST /v1/{name}"),
        ("POST /v1/1:VERB7", "POST /v1/{a}:{b} + POST /v1/{name}:verb7"),
        ("POST /v1/1:VERB7;x", "Semicolon"),
    ] {
        assert_eq!(looked_up(&c, request), expected, "{request}");
    }
}

#[test]
fn names_keep_their_places() {
    let new = |names: &[&str], before: Option<&Catalogue>| {
        let permissions = names.iter().map(|name| permission(name, &[&format!("GET /{name}")])).collect();
        Catalogue::new(permissions, &[], Leniency::default(), before).unwrap()
    };
    let place = |catalogue: &Catalogue, name: &str| catalogue.permission(name).map(|PermissionIndex(at)| at);
    let one = new(&["a", "b", "c"], None);
    let two = new(&["d", "c", "a"], Some(&one));
    assert_eq!(["a", "b", "c", "d"].map(|name| place(&two, name)), [Some(0), None, Some(2), Some(3)]);
    assert_eq!(two.place("b"), Some(PermissionIndex(1)));
    assert_eq!(two.names().iter().flatten().map(PermissionName::as_str).collect::<Vec<_>>(), ["a", "c", "d"]);
    let covered = |catalogue: &Catalogue, path: &str| match catalogue.lookup(&Method::GET, path.as_bytes()) {
        Lookup::Found(found) => found.operations()[0].permissions.to_vec(),
        Lookup::Ambiguous(_) | Lookup::Unknown => vec![],
    };
    assert_eq!(covered(&two, "/d"), [PermissionIndex(3)]);
    assert_eq!(covered(&two, "/b"), []);
    // Whoever is back finds its place again.
    let three = new(&["b"], Some(&two));
    assert_eq!((place(&three, "b"), covered(&three, "/b")), (Some(1), vec![PermissionIndex(1)]));
    assert!(!three.is_sparse());
    let many: Vec<String> = (0..1100).map(|at| format!("x{at}")).collect();
    let many = new(&many.iter().map(String::as_str).collect::<Vec<_>>(), Some(&three));
    assert!(!many.is_sparse() && new(&["a"], Some(&many)).is_sparse());
}
