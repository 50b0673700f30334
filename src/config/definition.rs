//! Environments as the control API takes them: the JSON form of `[environments.NAME]`, judged by the very readers of
//! tenant files. Places are JSON pointers, and every problem has the stable name of its kind.
//!
//! Headers that are set on upstream requests may be credentials. Nobody is shown them: a definition that is shown has
//! `null` in their places, and one that is sent back with `null` keeps what was set.

use super::documents::{Documents, Imports};
use super::json::{Tree, number_texts, tree};
use super::reader::read_table;
use super::sheet::{Found, Sheet};
use super::tenant::Policies;
use super::{GivenDocument, environment};
use crate::model::{Environment, EnvironmentId, Timestamp, canonical_json};
use serde_json::{Map, Value};
use std::fmt;

/// The definition of one environment, as it was sent or kept. It says nothing of what is right until it is
/// [read](Self::read).
#[derive(Clone, Default, PartialEq)]
pub struct EnvironmentDefinition(Map<String, Value>);

/// What is wrong with a definition, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionProblem {
    /// A JSON pointer (RFC 6901) into the definition.
    pub pointer: String,
    /// The stable name of its kind.
    pub code: &'static str,
    /// What is wrong and, where it is known, what would be right.
    pub message: String,
}

impl fmt::Display for DefinitionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.pointer, self.message)
        }
    }
}

impl fmt::Debug for EnvironmentDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvironmentDefinition").finish_non_exhaustive()
    }
}

/// Where the headers that are set on upstream requests stand.
const SET_HEADERS: &str = "/upstream/set_headers";

impl EnvironmentDefinition {
    /// A definition of these members.
    pub const fn new(members: Map<String, Value>) -> Self {
        Self(members)
    }

    /// One that was kept as text; `None` where the text is no JSON object.
    pub fn of_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).map(Self).ok()
    }

    /// The one text of all that say the same. It holds what is secret.
    pub fn to_text(&self) -> String {
        canonical_json(&Value::Object(self.0.clone()))
    }

    /// As it may be shown.
    pub fn shown(&self) -> Value {
        let mut shown = Value::Object(self.0.clone());
        if let Some(headers) = shown.pointer_mut(SET_HEADERS).and_then(Value::as_object_mut) {
            headers.values_mut().for_each(|value| *value = Value::Null);
        }
        shown
    }

    /// Headers whose value is `null` keep the value that they have in `current`.
    pub fn keep_headers(&mut self, current: &Self) {
        let Some(known) = pointer(&current.0, SET_HEADERS).cloned() else { return };
        let known = known.as_object();
        let Some(Value::Object(upstream)) = self.0.get_mut("upstream") else { return };
        let Some(Value::Object(headers)) = upstream.get_mut("set_headers") else { return };
        for (name, value) in headers.iter_mut().filter(|(_, value)| value.is_null()) {
            let kept = known.into_iter().flatten().find(|(known, _)| known.eq_ignore_ascii_case(name));
            if let Some((_, kept)) = kept {
                *value = kept.clone();
            }
        }
    }

    /// The names of headers whose value is another one than in `other`.
    pub fn headers_unlike(&self, other: &Self) -> Vec<String> {
        let of = |definition: &Self| pointer(&definition.0, SET_HEADERS).and_then(Value::as_object).cloned();
        let (own, other) = (of(self).unwrap_or_default(), of(other).unwrap_or_default());
        own.iter().filter(|(name, value)| other.get(*name) != Some(*value)).map(|(name, _)| name.clone()).collect()
    }

    /// A member.
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Sets a member, or takes it out.
    pub fn set_member(&mut self, name: &str, value: Option<Value>) {
        match value {
            Some(value) => self.0.insert(name.to_owned(), value),
            None => self.0.remove(name),
        };
    }

    /// The names in a member that is an object, such as those of `roles`.
    pub fn names(&self, member: &str) -> impl Iterator<Item = &str> {
        self.0.get(member).and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name.as_str())
    }

    /// Sets one of the names in a member that is an object, or takes it out; a member that is empty goes too.
    pub fn set_named(&mut self, member: &str, name: &str, value: Option<Value>) {
        let mut named = match self.0.remove(member) {
            Some(Value::Object(named)) => named,
            Some(_) | None => Map::new(),
        };
        match value {
            Some(value) => named.insert(name.to_owned(), value),
            None => named.remove(name),
        };
        if !named.is_empty() {
            self.0.insert(member.to_owned(), Value::Object(named));
        }
    }

    /// Reads it, with the OpenAPI document that was sent for the environment.
    ///
    /// # Errors
    ///
    /// Every problem at once, at least one.
    pub fn read(
        &self,
        id: &EnvironmentId,
        document: Option<GivenDocument<'_>>,
        documents: &Documents,
    ) -> Result<Environment, Vec<DefinitionProblem>> {
        let numbers = number_texts(&self.0);
        let Tree { table, pointers, nulls } = tree(&self.0, &numbers);
        let sheet = Sheet::of_json(pointers);
        for place in nulls {
            sheet.coded(place, "invalid_type", "null says nothing here: leave it out");
        }
        let imports = Imports::of_given(documents, document);
        let policies = Policies { block_legacy_keys: None, max_key_lifetime: None, now: Timestamp::from_unix(0) };
        let environment =
            read_table(&sheet, &table, |table| environment::environment(table, id.clone(), policies, &imports).0);
        let (found, pointers) = sheet.into_found();
        let problems: Vec<_> = found.into_iter().map(|found| problem(found, &pointers)).collect();
        match environment {
            Some(environment) if problems.is_empty() => Ok(environment),
            // INVARIANT: what could not be read left a problem. Were that ever untrue, it is refused all the same.
            Some(_) | None if !problems.is_empty() => Err(problems),
            Some(_) | None => Err(vec![DefinitionProblem {
                pointer: String::new(),
                code: "value_invalid",
                message: "the definition could not be read".to_owned(),
            }]),
        }
    }
}

fn problem(found: Found, pointers: &super::json::Pointers) -> DefinitionProblem {
    let Found { file: _, line, missing, code, message } = found;
    let pointer = pointers.pointer(line, missing);
    let message = match pointer.strip_prefix(SET_HEADERS) {
        Some(rest) if rest.starts_with('/') && message.starts_with("null ") => {
            "null keeps the value that is set, and none is set".to_owned()
        }
        Some(_) | None => message,
    };
    DefinitionProblem { pointer, code, message }
}

/// [`Value::pointer`] of an object's members.
fn pointer<'v>(members: &'v Map<String, Value>, pointer: &str) -> Option<&'v Value> {
    let (first, rest) = pointer.strip_prefix('/')?.split_once('/')?;
    members.get(first)?.get(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sources::Reading;
    use crate::config::tenant;
    use crate::model::{Identifier, Timestamp};
    use serde_json::json;
    use std::sync::Arc;
    use toml::de::{DeTable, DeValue};

    fn definition(value: Value) -> EnvironmentDefinition {
        let Value::Object(members) = value else { panic!("{value}") };
        EnvironmentDefinition::new(members)
    }

    fn id() -> EnvironmentId {
        let parse = |text| Identifier::parse(text).unwrap();
        EnvironmentId { organization: parse("acme"), environment: parse("production") }
    }

    fn read(value: Value) -> Result<Environment, Vec<DefinitionProblem>> {
        definition(value).read(&id(), None, &Documents::default())
    }

    /// Pointers and codes of what is wrong.
    #[track_caller]
    fn wrong(value: Value) -> Vec<(String, &'static str)> {
        let problems = read(value).expect_err("it is wrong");
        problems.into_iter().map(|problem| (problem.pointer, problem.code)).collect()
    }

    fn sound() -> Value {
        json!({"base_url": "http://gate.test/v1", "upstream": "http://127.0.0.1:9"})
    }

    fn with(more: Value) -> Value {
        let mut whole = sound();
        whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        whole
    }

    #[test]
    fn what_a_file_can_say_can_be_said() {
        let environment = read(json!({
            "base_url": "http://gate.test/v1",
            "upstream": {"urls": ["http://127.0.0.1:9"], "host": "caller", "timeouts": {"connect": "2s"},
                "set_headers": {"X-Key": "canary"}},
            "public": ["GET /health"],
            "permissions": {"cards:read": ["GET /cards", "GET /cards/{id}"], "files:read": "GET /files/{path...}"},
            "presets": {"Start": ["cards:read"]},
            "roles": {"events": ["files:read"]},
            "platform_addresses": {"label": "Acme", "networks": ["198.51.100.0/24"]},
            "paths": {"encoded_slash": "opaque"},
            "token_header": "x-token",
            "oauth_prefix": "/auth",
            "cors": "forward",
            "body_limit": "2MiB",
        }))
        .unwrap();
        assert_eq!(environment.id, id());
        assert_eq!(environment.upstream.timeouts.connect.as_secs(), 2);
        assert_eq!(environment.upstream.set_headers.len(), 1);
        assert_eq!((environment.permissions.len(), environment.presets.len(), environment.roles.len()), (2, 1, 1));
        assert_eq!((environment.token_header.as_str(), environment.oauth_prefix.as_str()), ("x-token", "/auth"));
        assert_eq!((environment.cors, environment.body_limit), (crate::model::Cors::Forward, Some(2 << 20)));
    }

    #[test]
    fn every_problem_has_its_pointer_and_code() {
        let cases = [
            (json!({}), vec![("/base_url", "field_required"), ("/upstream", "field_required")]),
            (
                json!({"base_url": 7, "upstream": null}),
                vec![("/upstream", "invalid_type"), ("/base_url", "invalid_type"), ("/upstream", "field_required")],
            ),
            (with(json!({"upstream": {}})), vec![("/upstream/urls", "field_required")]),
            (with(json!({"upstream": {"urls": vec!["http://a"; 65]}})), vec![("/upstream/urls", "value_invalid")]),
            (
                with(json!({"upstream": {"url": "x", "timeouts": {"connect": 5, "raed": "1s"}}})),
                vec![
                    ("/upstream/url", "value_invalid"),
                    ("/upstream/timeouts/connect", "invalid_type"),
                    ("/upstream/timeouts/raed", "field_unknown"),
                ],
            ),
            (
                with(json!({"upstream": {"url": "http://a", "set_headers": {"X-A": null, "Host": "b"}}})),
                vec![("/upstream/set_headers/X-A", "invalid_type"), ("/upstream/set_headers/Host", "value_invalid")],
            ),
            (
                with(json!({"roles": {"a/b": ["cards:raed"]}, "permissions": {"cards:read": "GET /cards"}})),
                vec![("/roles/a~1b/0", "permission_unknown")],
            ),
            (
                with(json!({"presets": {"x": ["api:read", "api:read"], "y": []}})),
                vec![("/presets/x/1", "value_invalid"), ("/presets/y", "value_invalid")],
            ),
            (
                with(json!({"permissions": {"a": [["GET /"], "GET /x y"]}})),
                vec![("/permissions/a/0", "invalid_type"), ("/permissions/a/1", "value_invalid")],
            ),
            (
                with(json!({"openapi": "/etc/passwd", "keys": []})),
                vec![("/openapi", "field_elsewhere"), ("/keys", "field_elsewhere")],
            ),
            (
                with(json!({"platform_addresses": {"networks_file": "/etc/passwd"}})),
                vec![("/platform_addresses/networks_file", "field_elsewhere")],
            ),
            (
                with(json!({"cors": "any", "body_limit": "1B", "upstrem": 1})),
                vec![("/cors", "value_invalid"), ("/body_limit", "value_invalid"), ("/upstrem", "field_unknown")],
            ),
        ];
        for (value, expected) in cases {
            let mut expected: Vec<_> = expected.into_iter().map(|(at, code)| (at.to_owned(), code)).collect();
            let mut found = wrong(value.clone());
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected, "{value}");
        }
    }

    #[test]
    fn hints_are_given_for_the_first_problems_alone() {
        let names: Vec<String> = (0..100).map(|at| format!("cards:raed{at:03}")).collect();
        let known: serde_json::Map<_, _> =
            (0..100).map(|at| (format!("cards:read{at:03}"), json!("GET /cards"))).collect();
        let problems = read(with(json!({"permissions": known, "roles": {"events": names}}))).unwrap_err();
        let hinted = problems.iter().filter(|problem| problem.message.contains("did you mean")).count();
        assert_eq!((problems.len(), hinted), (100, 20));
    }

    #[test]
    fn an_environment_has_so_many_presets_and_roles() {
        let sets = |count: usize| -> Value {
            (0..count).map(|at| (format!("set {at:04}"), json!("api:read"))).collect::<Map<_, _>>().into()
        };
        let most = read(with(json!({"presets": sets(1000), "roles": sets(1000)}))).unwrap();
        assert_eq!((most.presets.len(), most.roles.len()), (1000, 1000));
        let beyond = |member: &str| (format!("/{member}/set 1000"), "value_invalid");
        let found = wrong(with(json!({"presets": sets(1001), "roles": sets(1001)})));
        assert_eq!(found, [beyond("presets"), beyond("roles")]);
    }

    #[test]
    fn nothing_secret_is_shown_and_null_keeps_it() {
        let headers = |value: Value| definition(json!({"upstream": {"set_headers": {"X-Key": value, "X-B": "b"}}}));
        let kept = headers(json!("canary"));
        assert_eq!(kept.shown(), json!({"upstream": {"set_headers": {"X-Key": null, "X-B": null}}}));
        assert!(!format!("{kept:?}").contains("canary"));
        let mut sent = EnvironmentDefinition::new(kept.shown().as_object().unwrap().clone());
        sent.keep_headers(&kept);
        assert_eq!(sent, kept);
        let other = headers(json!("other"));
        assert_eq!(other.headers_unlike(&kept), ["X-Key"]);
        assert!(kept.headers_unlike(&kept).is_empty());
        let mut short = definition(json!({"upstream": "http://a"}));
        short.keep_headers(&kept);
        assert_eq!(short, definition(json!({"upstream": "http://a"})));
    }

    /// TOML as JSON has it.
    fn as_json(value: &DeValue<'_>) -> Value {
        match value {
            DeValue::Array(items) => items.iter().map(|item| as_json(item.get_ref())).collect(),
            DeValue::Boolean(value) => json!(value),
            DeValue::Datetime(instant) => json!(instant.to_string()),
            DeValue::Float(number) => serde_json::from_str(number.as_str()).unwrap(),
            DeValue::Integer(number) => serde_json::from_str(number.as_str()).unwrap(),
            DeValue::String(text) => json!(text),
            DeValue::Table(table) => table_as_json(table),
        }
    }

    fn table_as_json(table: &DeTable<'_>) -> Value {
        let members = table.iter().map(|(name, value)| (name.get_ref().to_string(), as_json(value.get_ref())));
        Value::Object(members.collect())
    }

    /// What a tenant file gives, and what its environment gives as a definition.
    #[track_caller]
    fn both(text: &str) -> (Result<Environment, Vec<String>>, Result<Environment, Vec<String>>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("acme.toml");
        std::fs::write(&file, text).unwrap();
        let documents = Documents::default();
        let sheet = Sheet::open(&file, &Arc::new(Reading::new(Timestamp::EPOCH)));
        let tenant = tenant::read(&sheet, Timestamp::from_unix(0), &Imports::of_files(&documents));
        let problems: Vec<String> = sheet.into_problems().into_iter().map(|problem| problem.message).collect();
        let environment = tenant.organization.and_then(|organization| organization.environments.into_iter().next());
        let of_file = if problems.is_empty() { Ok(environment.unwrap()) } else { Err(problems) };
        let whole = table_as_json(DeTable::parse(text).unwrap().get_ref());
        let read = read(whole["environments"]["production"].clone());
        (of_file, read.map_err(|problems| problems.into_iter().map(|problem| problem.message).collect()))
    }

    #[test]
    fn a_definition_is_what_the_file_would_be() {
        let conf = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/tenants/acme.toml");
        let conf = std::fs::read_to_string(conf).unwrap();
        let more = r#"
            [organization]
            id = "acme"
            [environments.production]
            base_url = "https://api.example.com/v1"
            upstream = { urls = ["http://a:1", "https://b/x"], host = "caller", authorization = "forward" }
            token_header = "x-token"
            [environments.production.paths]
            semicolon = "opaque"
        "#;
        for text in [conf.as_str(), more] {
            let (of_file, of_json) = both(text);
            assert_eq!(format!("{:?}", of_file.unwrap()), format!("{:?}", of_json.unwrap()));
        }
    }

    #[test]
    fn what_a_file_refuses_is_refused() {
        for wrong in [
            "upstream = \"ftp://a\"",
            "upstream = { url = \"http://a\", urls = [] }",
            "upstream = { url = \"http://a\", timeouts = { read = \"1ms\" } }",
            "upstream = { url = \"http://a\", protocol = \"h2\" }",
            "upstream = { url = \"http://a\", set_headers = { Host = \"x\" } }",
            "upstream = { url = \"http://a\", authorization = \"forward\", set_headers = { Authorization = \"x\" } }",
            "upstream = \"http://a\"\npublic = [\"GET\", \"GET /x\", \"GET /x\"]",
            "upstream = \"http://a\"\npermissions = { \"portcullis:x\" = \"GET /\" }",
            "upstream = \"http://a\"\npresets = { x = [\"nothing\"] }",
            "upstream = \"http://a\"\nplatform_addresses = { networks = [\"10.0.0.1/8\", 7] }",
            "upstream = \"http://a\"\npaths = { semicolon = \"off\" }",
            "upstream = \"http://a\"\noauth_prefix = \"/a/\"\ntoken_header = \"a b\"",
            "upstream = \"http://a\"\nbody_limit = \"1B\"\ncors = \"any\"",
        ] {
            let head = "[organization]\nid = \"acme\"\n[environments.production]\nbase_url = \"http://gate.test\"";
            let (of_file, of_json) = both(&format!("{head}\n{wrong}\n"));
            let (mut of_file, mut of_json) = (of_file.expect_err(wrong), of_json.expect_err(wrong));
            of_file.sort();
            of_json.sort();
            assert_eq!(of_file, of_json, "{wrong}");
        }
    }

    #[test]
    fn names_come_and_go() {
        let mut changing = definition(sound());
        changing.set_named("roles", "events", Some(json!(["api:read"])));
        assert_eq!(changing.names("roles").collect::<Vec<_>>(), ["events"]);
        changing.set_named("roles", "events", None);
        assert_eq!(changing, definition(sound()));
        assert_eq!(EnvironmentDefinition::of_text(&changing.to_text()), Some(changing));
    }
}
