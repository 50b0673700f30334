//! The API's document is true: every answer of these tests is held against it, and it knows every route.
//!
//! The part of JSON Schema that the document uses is checked here by a few lines; a keyword they do not know fails.

use super::*;
use std::collections::BTreeSet;

/// The document, and answers held against it.
pub(super) struct Contract(Value);

impl Contract {
    pub(super) fn new() -> Self {
        Self(serde_json::from_str(&portcullis::control::openapi_document()).unwrap())
    }

    /// Panics where the document does not promise the answer.
    #[track_caller]
    pub(super) fn check(&self, method: &str, path: &str, answer: &Answer) {
        let path = path.split('?').next().unwrap();
        if !path.starts_with("/v1") {
            // A page; the document is about the API.
            return;
        }
        let asked = format!("{method} {path} -> {}", answer.status);
        let Some((template, item)) = self.item(path) else {
            assert_eq!(answer.status, 404, "{asked}: the document does not know the path");
            return;
        };
        let method = if method == "HEAD" { "get".to_owned() } else { method.to_lowercase() };
        let Some(operation) = item.get(&method) else {
            assert!([401, 405].contains(&answer.status), "{asked}: the document does not know the method");
            return;
        };
        let asked = format!("{asked} ({method} {template})");
        let promised = operation["responses"].get(answer.status.to_string());
        let promised = self.resolve(promised.unwrap_or_else(|| panic!("{asked}: not documented: {}", answer.text)));
        self.check_headers(promised, answer, &asked);
        let media_type = answer.header("content-type");
        let Some(content) = promised.get("content") else {
            assert!(answer.text.is_empty() && media_type.is_empty(), "{asked}: a body that is not documented");
            return;
        };
        let content = content.get(media_type).unwrap_or_else(|| panic!("{asked}: `{media_type}` is not documented"));
        if media_type.ends_with("json") {
            let wrong = self.wrong(&content["schema"], &answer.json(), "");
            assert!(wrong.is_empty(), "{asked}: {wrong:?} in {}", answer.text);
        }
    }

    fn check_headers(&self, promised: &Value, answer: &Answer, asked: &str) {
        for (name, header) in promised["headers"].as_object().unwrap() {
            let header = self.resolve(header);
            match answer.headers.get(name) {
                None => assert_ne!(header["required"], true, "{asked}: no `{name}`"),
                Some(value) => {
                    let text = value.to_str().unwrap();
                    let value = text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number));
                    let wrong = self.wrong(&header["schema"], &value, name);
                    assert!(wrong.is_empty(), "{asked}: {wrong:?}");
                }
            }
        }
        for name in ["etag", "retry-after", "idempotency-replayed", "www-authenticate"] {
            let known = promised["headers"].as_object().unwrap().keys().any(|known| known.eq_ignore_ascii_case(name));
            assert!(known || !answer.headers.contains_key(name), "{asked}: `{name}` is not documented");
        }
    }

    /// The template of a path, and what it takes.
    fn item(&self, path: &str) -> Option<(&String, &Value)> {
        let fits = |template: &str| {
            let (given, wanted): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), template.split('/').collect());
            let mut pairs = given.iter().zip(&wanted);
            given.len() == wanted.len() && pairs.all(|(given, wanted)| given == wanted || wanted.starts_with('{'))
        };
        let mut fitting: Vec<_> =
            self.0["paths"].as_object().unwrap().iter().filter(|(template, _)| fits(template)).collect();
        fitting.sort_by_key(|(template, _)| template.matches('{').count());
        fitting.into_iter().next()
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.get("$ref") {
            Some(reference) => self.0.pointer(reference.as_str().unwrap().trim_start_matches('#')).unwrap(),
            None => value,
        }
    }

    /// What is wrong with a value, with the place of each mistake. Members that are not described are mistakes too.
    fn wrong(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        let mut wrong = self.broken(schema, value, at);
        let described = self.described(schema);
        if let (Some(members), false) = (value.as_object(), described.is_empty()) {
            let unknown = members.keys().filter(|name| !described.contains(*name));
            wrong.extend(unknown.map(|name| format!("{at}/{name}: not described")));
        }
        wrong
    }

    /// The names of all members that a schema and those it is made of describe.
    fn described(&self, schema: &Value) -> BTreeSet<String> {
        let schema = self.resolve(schema);
        let parts = ["allOf", "oneOf"].into_iter().flat_map(|name| schema[name].as_array().into_iter().flatten());
        let own = schema["properties"].as_object().into_iter().flat_map(|properties| properties.keys().cloned());
        own.chain(parts.flat_map(|part| self.described(part))).collect()
    }

    fn broken(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        let mut wrong = vec![];
        for (keyword, wanted) in schema.as_object().unwrap() {
            wrong.extend(self.keyword(keyword, wanted, value, at));
        }
        wrong
    }

    fn keyword(&self, keyword: &str, wanted: &Value, value: &Value, at: &str) -> Vec<String> {
        let items = || wanted.as_array().unwrap().iter();
        let length = || value.as_str().map(|text| text.chars().count() as u64);
        let fine = match keyword {
            "$ref" => return self.broken(self.resolve(&json!({"$ref": wanted})), value, at),
            "allOf" => return items().flat_map(|part| self.broken(part, value, at)).collect(),
            "oneOf" => items().filter(|part| self.broken(part, value, at).is_empty()).count() == 1,
            "items" => {
                let each = value.as_array().into_iter().flatten().enumerate();
                return each.flat_map(|(index, item)| self.wrong(wanted, item, &format!("{at}/{index}"))).collect();
            }
            "properties" => {
                let known = wanted.as_object().unwrap().iter();
                let given = known.filter_map(|(name, schema)| Some((name, schema, value.get(name)?)));
                return given
                    .flat_map(|(name, schema, value)| self.wrong(schema, value, &format!("{at}/{name}")))
                    .collect();
            }
            "required" => {
                let missing = items().filter(|name| value.is_object() && value.get(name.as_str().unwrap()).is_none());
                return missing.map(|name| format!("{at}: no {name}")).collect();
            }
            "type" => match wanted {
                Value::Array(names) => names.iter().any(|name| is(name, value)),
                name => is(name, value),
            },
            "enum" => items().any(|known| known == value),
            "const" => value == wanted || (wanted == "true" && value == true),
            "minimum" => value.as_i64().is_none_or(|number| number >= wanted.as_i64().unwrap()),
            "maximum" => value.as_i64().is_none_or(|number| number <= wanted.as_i64().unwrap()),
            "minLength" => length().is_none_or(|length| length >= wanted.as_u64().unwrap()),
            "maxLength" => length().is_none_or(|length| length <= wanted.as_u64().unwrap()),
            "format" if wanted == "date-time" => value.as_str().is_none_or(|text| Timestamp::parse(text).is_ok()),
            "default" | "description" | "example" | "examples" | "format" | "pattern" | "title" => true,
            other => panic!("`{other}` is no keyword that is checked here"),
        };
        if fine { vec![] } else { vec![format!("{at}: {value} against {keyword} {wanted}")] }
    }
}

fn is(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "null" => value.is_null(),
        "object" => value.is_object(),
        "string" => value.is_string(),
        other => panic!("`{other}` is no type that is checked here"),
    }
}

#[test]
fn what_is_served_is_what_is_printed_and_needs_no_credential() {
    let node = Node::start();
    let answer = node.send_bare("GET", "/v1/openapi.json", &[], "");
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.text, portcullis::control::openapi_document());
    let document = answer.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "{}", document["openapi"]);
    assert_eq!(document["security"], json!([{"bearer": []}]));
    assert_eq!(node.send_bare("POST", "/v1/openapi.json", &[], "").header("allow"), "GET,HEAD");
}

#[test]
fn every_described_operation_is_served_and_asks_for_a_token() {
    let node = Node::start();
    let document: Value = serde_json::from_str(&portcullis::control::openapi_document()).unwrap();
    for (template, item) in document["paths"].as_object().unwrap() {
        let path: Vec<&str> = template.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
        let path = path.join("/");
        let methods: Vec<String> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        for method in ["DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"] {
            let answer = node.send(method, &path, &[], "");
            let described = methods.iter().any(|known| known == method);
            assert_eq!(answer.status != 405, described, "{method} {template}: {answer:?}");
            if !described {
                let allow: BTreeSet<&str> =
                    answer.header("allow").split(',').filter(|known| *known != "HEAD").collect();
                assert_eq!(allow, methods.iter().map(String::as_str).collect(), "{method} {template}");
            } else if item[method.to_lowercase()].get("security").is_none() {
                node.send_bare(method, &path, &[], "").problem(401, "not_authenticated");
            }
        }
    }
}
