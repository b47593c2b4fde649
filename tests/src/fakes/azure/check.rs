//! Whether a body is one that the description allows.

use serde_json::{Map, Value};

use super::super::listener::Request;
use super::answer::Refusal;
use super::spec::{Field, Kind};

/// The body as an object whose members are all known, of their type, and there where they are needed.
///
/// A record set's mistakes are refused by the DNS resource provider, a zone's by the resource manager.
pub(super) fn body(request: &Request, fields: &'static [Field], of_set: bool) -> Result<Map<String, Value>, Refusal> {
    let media_type = request.header("content-type").unwrap_or_default();
    if media_type.split(';').next().unwrap_or_default().trim() != "application/json" {
        let message =
            format!("The content media type '{media_type}' is not supported. Only 'application/json' is supported.");
        return Err(Refusal::arm(415, "UnsupportedMediaType", message));
    }
    let refusal = |message: String| {
        if of_set { Refusal::bad(message) } else { Refusal::arm(400, "InvalidRequestContent", message) }
    };
    let value: Value = serde_json::from_slice(&request.body).map_err(|error| {
        refusal(format!("The request content was invalid and could not be deserialized: '{error}'."))
    })?;
    let Value::Object(members) = value else {
        return Err(refusal("The request content is not a JSON object.".into()));
    };
    object(&members, fields, "").map_err(refusal)?;
    Ok(members)
}

fn object(members: &Map<String, Value>, fields: &'static [Field], path: &str) -> Result<(), String> {
    for (name, value) in members {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            return Err(format!(
                "The request content was invalid and could not be deserialized: 'Could not find member '{name}' on \
                 object. Path '{path}'.'."
            ));
        };
        if !(field.read_only && value.is_null()) {
            self::value(value, field.kind, &path)?;
        }
    }
    let missing: Vec<String> = fields
        .iter()
        .filter(|field| field.required && !members.contains_key(field.name))
        .map(|field| format!("The resource record is missing field '{}'.", field.name))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(missing.join(" ")) }
}

fn value(value: &Value, kind: Kind, path: &str) -> Result<(), String> {
    let wrong = |wanted: &str| Err(format!("The value '{value}' of '{path}' is not {wanted}."));
    match (kind, value) {
        (Kind::Text, Value::String(_)) => Ok(()),
        (Kind::Text, _) => wrong("a string"),
        (Kind::Int32, _) => match value.as_i64() {
            Some(number) if i32::try_from(number).is_ok() => Ok(()),
            _ => wrong("a 32-bit integer"),
        },
        (Kind::Int64, _) if value.as_i64().is_some() => Ok(()),
        (Kind::Int64, _) => wrong("a 64-bit integer"),
        (Kind::OneOf(texts), Value::String(text)) if texts.contains(&text.as_str()) => Ok(()),
        (Kind::OneOf(texts), _) => wrong(&format!("one of '{}'", texts.join("', '"))),
        (Kind::Map, Value::Object(pairs)) if pairs.values().all(Value::is_string) => Ok(()),
        (Kind::Map, _) => wrong("an object of strings"),
        (Kind::Texts, Value::Array(texts)) if texts.iter().all(Value::is_string) => Ok(()),
        (Kind::Texts, _) => wrong("an array of strings"),
        (Kind::Object(fields), Value::Object(members)) => object(members, fields, path),
        (Kind::Object(_), _) => wrong("an object"),
        (Kind::Array(fields), Value::Array(values)) => {
            for (at, value) in values.iter().enumerate() {
                let Value::Object(members) = value else { return wrong("an array of objects") };
                object(members, fields, &format!("{path}[{at}]"))?;
            }
            Ok(())
        }
        (Kind::Array(_), _) => wrong("an array"),
    }
}

/// Whether tags are within the resource manager's limits.
pub(super) fn tags(tags: &Map<String, Value>) -> Result<(), Refusal> {
    let (pairs, name, value) = super::spec::TAGS;
    if tags.len() > pairs {
        let message = format!("The resource has {} tags, which exceeds the maximum of {pairs}.", tags.len());
        return Err(Refusal::arm(400, "InvalidTagCount", message));
    }
    let long = |(key, text): (&String, &Value)| {
        key.chars().count() > name || text.as_str().is_some_and(|text| text.chars().count() > value)
    };
    if tags.iter().any(long) {
        let message = format!("A tag is longer than {name} characters in its name or {value} in its value.");
        return Err(Refusal::arm(400, "InvalidTagLength", message));
    }
    Ok(())
}
