//! Random catalogues and random requests: the tree and the reference agree on them.

use super::reference::Reference;
use super::{catalogue_of, permission};
use crate::catalogue::Leniency;
use crate::model::{Method, OperationPattern, SwitchGuarded};
use proptest::prelude::*;

/// Segments of templates: few texts, so that they meet; several kinds of patterns beside each other.
fn template_segment() -> impl Strategy<Value = &'static str> {
    let literal = prop::sample::select(vec!["a", "me", "me", "A", "ME", "a.json", "m%65", "a-b", "k"]);
    let pattern = prop::sample::select(vec![
        "{p}.json",
        "{p}.JSON",
        "{p}-{q}",
        "{p}:undelete",
        "{p}:Undelete",
        "a{p}",
        "A{p}",
        "me{p}.json",
        "{p}-{q}-{r}",
        "{p}ab{q}b",
    ]);
    prop_oneof![3 => literal, 3 => Just("{p}"), 1 => pattern]
}

fn operations(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<String>> {
    let method = prop::sample::select(vec!["GET", "GET", "GET", "GET", "POST", "HEAD", "*"]);
    let end = prop::sample::select(vec!["", "", "", "", "", "/", "/{rest...}"]);
    let operation =
        (method, prop::collection::vec(template_segment(), 0..4), end).prop_map(|(method, segments, end)| {
            let path = segments.iter().map(|segment| format!("/{segment}")).collect::<String>() + end;
            format!("{method} {}", if path.is_empty() { "/" } else { &path })
        });
    prop::collection::vec(operation, count)
}

/// What stands in requests: the texts of templates, and values that look like them.
fn request_segment() -> impl Strategy<Value = String> {
    let near =
        prop::sample::select(vec!["a", "me", "mE", "A", "ME", "a.json", "me.json", "me.x.json", "a-b", "%E2%84%AA"]);
    let other =
        prop::sample::select(vec!["b:undelete", "b:UNDELETE", "aabbab", "x", "xabb", "a-b-b", "", ".json", "-"]);
    let after = prop_oneof![
        8 => Just(""),
        3 => prop::sample::select(vec![";x", ";", ".json", ".JSON", "%2F", "%3bx", ".", "..", "%20", "%3Fx", "%23", "%0A", "%253Fx", "%09x", "%C2%A0", "%E3%80%80", "%1F"]),
    ];
    (prop_oneof![3 => near, 1 => other], after, 0..8u8).prop_map(|(text, after, way)| {
        let encoded = |count: usize| text.bytes().take(count).map(|byte| format!("%{byte:02X}")).collect::<String>();
        match way {
            0 => format!("{}{after}", text.to_ascii_uppercase()),
            1 => encoded(text.len()) + after,
            2 => encoded(1) + text.get(1..).unwrap_or("") + after,
            3 => encoded(1).replace('%', "%25") + text.get(1..).unwrap_or("") + after,
            4 => encoded(text.len()).replace('%', "%25") + &after.replace('%', "%25"),
            _ => format!("{text}{after}"),
        }
    })
}

fn request() -> impl Strategy<Value = String> {
    let path = prop::collection::vec(request_segment(), 0..4);
    (path, prop::sample::select(vec!["", "", "", "/"]))
        .prop_map(|(segments, end)| segments.iter().map(|segment| format!("/{segment}")).collect::<String>() + end)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn the_tree_agrees_with_the_reference(
        listed in operations(1..24),
        public in operations(0..4),
        requests in prop::collection::vec(request(), 8),
        method in prop::sample::select(vec!["GET", "GET", "GET", "POST", "HEAD", "get", "Head", "post"]),
        semicolon in prop::sample::select(vec![SwitchGuarded::Guarded, SwitchGuarded::Opaque]),
        double_encoding in prop::sample::select(vec![SwitchGuarded::Guarded, SwitchGuarded::Refuse, SwitchGuarded::Opaque]),
    ) {
        let permissions = listed.iter().enumerate().map(|(at, text)| permission(&format!("p{at}"), &[text])).collect();
        let patterns: Vec<_> = public.iter().map(|text| OperationPattern::parse(text).unwrap()).collect();
        let leniency = Leniency { semicolon, double_encoding };
        let catalogue = catalogue_of(permissions, &patterns, leniency);
        let reference = Reference::new(&listed, &public, leniency);
        let method: Method = method.parse().unwrap();
        for path in requests {
            if let Err(difference) = reference.agrees(&catalogue, &method, &path) {
                prop_assert!(false, "{difference}\nlisted {listed:#?}\npublic {public:#?}");
            }
        }
    }
}
