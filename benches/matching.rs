//! What it costs to find the operation of a request, in catalogues of several sizes. One thread;
//! `cargo bench --bench matching`. The goal is under 300 ns with 1 223 operations, whatever their number.
//!
//! The operations are those of the real documents in `../shared/data/openapi`, repeated under other first segments
//! until there are enough; Stripe alone is 452.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a measurement, not a library")]

use portcullis::catalogue::{Catalogue, Leniency, Lookup, openapi};
use portcullis::model::{Method, Operation, OperationPattern, Permission, PermissionName};
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const SPENT: Duration = Duration::from_millis(300);

/// Method and path of every operation of the documents, Stripe's first.
fn real() -> Vec<OperationPattern> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/openapi");
    let names = ["stripe", "twilio_api", "box", "petstore_31", "train_travel_31"];
    let read = |name: &str| std::fs::read_to_string(folder.join(format!("{name}.json"))).ok();
    let documents = names.iter().filter_map(|name| read(name));
    let permissions =
        documents.flat_map(|document| openapi::import(document.as_bytes(), "").unwrap().permissions.to_vec());
    permissions.flat_map(|permission| permission.operations).map(|operation| operation.pattern).collect()
}

/// The first so many of them, again under `/again1`, `/again2` ... where there are too few.
fn catalogue(real: &[OperationPattern], count: usize) -> Catalogue {
    let place = |round: usize| if round == 0 { String::new() } else { format!("/again{round}") };
    let all = (0..).flat_map(|round| real.iter().map(move |pattern| (round, pattern)));
    let patterns = all.map(|(round, pattern)| {
        OperationPattern::new(pattern.method().cloned(), &format!("{}{}", place(round), pattern.path()))
    });
    let permission = |(number, pattern): (usize, OperationPattern)| Permission {
        name: PermissionName::parse(&format!("p{number}")).unwrap(),
        group: String::new(),
        summary: String::new(),
        operations: vec![Operation { id: pattern.to_string().into(), pattern }],
    };
    let permissions = patterns.take(count).enumerate().map(permission).collect();
    Catalogue::new(permissions, &[], Leniency::default(), None).unwrap()
}

/// As many literals beside each other, and a parameter.
fn siblings(count: usize) -> Catalogue {
    let literals = (1..count).map(|n| OperationPattern::new(Some(Method::GET), &format!("/v1/things/literal{n}")));
    let parameter = OperationPattern::new(Some(Method::GET), "/v1/things/{id}");
    catalogue(&literals.chain([parameter]).collect::<Vec<_>>(), count)
}

/// What this thread has spent on a processor so far, so that a busy machine counts for nothing; what has passed, where
/// the system does not tell.
fn spent(began: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/self/schedstat").ok();
    let nanos = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| began.elapsed(), Duration::from_nanos)
}

/// Nanoseconds for one of these lookups: the middle one of five measurements.
fn cost(catalogue: &Catalogue, requests: &[(Method, String)]) -> f64 {
    let mut measured: Vec<f64> = (0..5).map(|_| measure(catalogue, requests)).collect();
    measured.sort_by(f64::total_cmp);
    measured.get(2).copied().unwrap_or_default()
}

fn measure(catalogue: &Catalogue, requests: &[(Method, String)]) -> f64 {
    let began = Instant::now();
    let (before, mut times) = (spent(began), 0);
    loop {
        for _ in 0..200_000 / requests.len() {
            for (method, path) in requests {
                black_box(catalogue.lookup(method, black_box(path.as_bytes())));
            }
            times += requests.len();
        }
        let took = spent(began) - before;
        if took >= SPENT / 5 {
            return took.as_nanos() as f64 / times as f64;
        }
    }
}

/// A request for each operation of the catalogue, with a value in place of each parameter.
fn filled(catalogue: &Catalogue, value: &str, after: &str) -> Vec<(Method, String)> {
    let request = |label: &str| {
        let (method, path) = label.split_once(' ').unwrap();
        let pieces = path.split(['{', '}']).enumerate();
        let path: String = pieces.map(|(at, piece)| if at % 2 == 1 { value } else { piece }).collect();
        (method.parse().unwrap(), path + after)
    };
    catalogue.operations().iter().map(|operation| request(&operation.label)).collect()
}

fn is_found(catalogue: &Catalogue, requests: &[(Method, String)]) -> usize {
    requests
        .iter()
        .filter(|(method, path)| matches!(catalogue.lookup(method, path.as_bytes()), Lookup::Found(_)))
        .count()
}

fn main() {
    let real = real();
    if real.is_empty() {
        println!("the real documents are not in `../shared/data/openapi`");
        return;
    }
    println!("ns a lookup, over requests of all operations   hit   encoded      miss   the same ten");
    let ten = filled(&catalogue(&real, 10), "cus_NffrFeUfNV2Hib", "");
    for count in [10, 452, 1_223, 12_230] {
        let catalogue = catalogue(&real, count);
        let (hit, encoded, miss) = (
            filled(&catalogue, "cus_NffrFeUfNV2Hib", ""),
            filled(&catalogue, "a%20b%C3%A9", ""),
            filled(&catalogue, "x", "/none/of/these"),
        );
        assert_eq!((is_found(&catalogue, &hit), is_found(&catalogue, &miss)), (count, 0));
        let [hit, encoded, miss] = [hit, encoded, miss].map(|requests| cost(&catalogue, &requests));
        let same = cost(&catalogue, &ten);
        println!("{count:>6} operations                           {hit:>9.0} {encoded:>9.0} {miss:>9.0} {same:>14.0}");
    }
    println!();
    println!("ns a lookup of one path beside literals    literal parameter   sibling");
    for count in [10, 452, 1_223, 12_230] {
        let catalogue = siblings(count);
        let paths = ["/v1/things/literal7", "/v1/things/cus_NffrFeUfNV2Hib", "/v1/things/LITERAL7.json"];
        let [literal, parameter, sibling] = paths.map(|path| cost(&catalogue, &[(Method::GET, path.to_owned())]));
        println!("{count:>6} siblings                             {literal:>9.0} {parameter:>9.0} {sibling:>9.0}");
    }
}
