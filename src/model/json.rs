//! JSON that means one thing: a member that comes twice is refused instead of one of the two being dropped.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// The most values of one document, arrays and objects and all that is in them: a value takes more room here than on
/// the wire. The longest list that anything takes has 100000.
pub const MAX_JSON_VALUES: usize = 250_000;

/// Why a document was not read.
#[derive(Debug)]
pub enum UnreadJson {
    /// It is not JSON; where, and why.
    Malformed(serde_json::Error),
    /// More than [`MAX_JSON_VALUES`].
    TooManyValues,
}

/// Parses a whole document. Errors say line and column; nesting is bounded by serde_json (128).
pub fn strict_json(text: &[u8]) -> Result<Value, UnreadJson> {
    let mut room = MAX_JSON_VALUES;
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict { room: &mut room }.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| if room == 0 { UnreadJson::TooManyValues } else { UnreadJson::Malformed(error) })
}

/// The longest name of a member that a pointer tells, in bytes.
const MAX_TOLD: usize = 200;

/// A pointer to a member, by an RFC 6901 section 3 reference token. What is too long to be told, or cannot be seen, is
/// pointed to by the object that holds it.
pub fn json_pointer(object: &str, name: &str) -> String {
    if name.len() > MAX_TOLD || name.contains(super::is_invisible) {
        return object.to_owned();
    }
    format!("{object}/{}", name.replace('~', "~0").replace('/', "~1"))
}

struct Strict<'r> {
    /// How many values may still come; the document itself is one.
    room: &'r mut usize,
}

impl Strict<'_> {
    fn inside(&mut self) -> Strict<'_> {
        Strict { room: self.room }
    }

    /// Takes the room of one value inside.
    fn count<E: Error>(&mut self) -> Result<(), E> {
        *self.room = self.room.saturating_sub(1);
        if *self.room == 0 { Err(E::custom("too many values")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self.inside())? {
            self.count()?;
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                let name = super::quoted(&name);
                return Err(A::Error::custom(format!("the member `{name}` comes twice")));
            }
            let value = members.next_value_seed(self.inside())?;
            self.count()?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        match strict_json(text.as_bytes()) {
            Err(UnreadJson::Malformed(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn documents_come_through_whole() {
        let text = r#"{"a":[1,-2,1.5,true,null,"x"],"b":{"a":"\u00e9"}}"#;
        assert_eq!(strict_json(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_member_that_comes_twice_is_refused_with_its_place() {
        for text in [r#"{"a":1,"a":2}"#, r#"{"x":{"a":1,"b":2,"\u0061":3}}"#] {
            let error = words(text);
            assert!(error.contains("`a` comes twice at line 1 column"), "{error}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let error = words(&"[".repeat(100_000));
        assert!(error.contains("recursion limit"), "{error}");
    }

    #[test]
    fn values_are_bounded() {
        let of = |values: usize| format!("[[{}],1]", vec!["{}"; values - 3].join(","));
        assert!(strict_json(of(MAX_JSON_VALUES).as_bytes()).is_ok());
        assert!(matches!(strict_json(of(MAX_JSON_VALUES + 1).as_bytes()), Err(UnreadJson::TooManyValues)));
    }

    #[test]
    fn pointers_escape_and_tell_no_tricks() {
        assert_eq!(json_pointer("/x", "a/b~c"), "/x/a~1b~0c");
        assert_eq!(json_pointer("", &"a".repeat(200)).len(), 201);
        for odd in ["a\u{202e}", "\0", &"a".repeat(201)] {
            assert_eq!(json_pointer("/x", odd), "/x");
        }
    }

    #[test]
    fn nothing_comes_after_the_document() {
        assert!(words("{} {}").contains("trailing characters"));
    }
}
