//! Partial answers: the `fields` parameter of Google's interfaces, as in `kind,rrsets(name,rrdatas)` or `quota/kind`.

use serde_json::{Map, Value};

use super::refusal::Refusal;

/// Which members to keep: all of what they hold where nothing is below.
#[derive(Debug, Default)]
struct Selection(Vec<(String, Self)>);

/// Keeps what the selector names. Members of lists are selected as if each item stood alone.
///
/// # Errors
/// When it is no selector. A name that no answer has selects nothing here, while the vendor refuses it.
pub(super) fn select(value: &Value, fields: &str) -> Result<Value, Refusal> {
    let mut rest = fields;
    let selection = parse(&mut rest).filter(|_| rest.is_empty());
    let selection =
        selection.ok_or_else(|| Refusal::new(400, "invalidParameter", format!("Invalid field selection {fields}")))?;
    Ok(keep(value, &selection))
}

fn parse(rest: &mut &str) -> Option<Selection> {
    let mut selection = Selection::default();
    loop {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '*' && c != '_').unwrap_or(rest.len());
        let (name, tail) = rest.split_at(end);
        if name.is_empty() {
            return None;
        }
        *rest = tail;
        let below = match rest.chars().next() {
            Some('/') => {
                *rest = &rest[1..];
                return_one(rest)?
            }
            Some('(') => {
                *rest = &rest[1..];
                let below = parse(rest)?;
                *rest = rest.strip_prefix(')')?;
                below
            }
            _ => Selection::default(),
        };
        selection.0.push((name.to_owned(), below));
        match rest.strip_prefix(',') {
            Some(tail) => *rest = tail,
            None => return Some(selection),
        }
    }
}

/// The one path behind a slash.
fn return_one(rest: &mut &str) -> Option<Selection> {
    let end = rest.find(',').unwrap_or(rest.len());
    let (mut path, tail) = rest.split_at(end);
    // A closing parenthesis ends the path of an outer selection.
    let close = path.find(')').filter(|_| !path.contains('('));
    let (inner, back) = path.split_at(close.unwrap_or(path.len()));
    path = inner;
    let selection = parse(&mut path).filter(|_| path.is_empty())?;
    *rest = &rest[rest.len() - tail.len() - back.len()..];
    Some(selection)
}

fn keep(value: &Value, selection: &Selection) -> Value {
    match value {
        _ if selection.0.is_empty() => value.clone(),
        Value::Array(items) => items.iter().map(|item| keep(item, selection)).collect(),
        Value::Object(members) => {
            let chosen = members.iter().filter_map(|(name, value)| {
                let (_, below) = selection.0.iter().find(|(wanted, _)| wanted == "*" || wanted == name)?;
                Some((name.clone(), keep(value, below)))
            });
            Value::Object(chosen.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_keeps_what_it_names() {
        let value = json!({"kind": "k", "quota": {"a": 1, "b": 2}, "sets": [{"name": "x", "ttl": 1}, {"name": "y"}]});
        for (fields, is) in [
            ("kind", json!({"kind": "k"})),
            ("*", value.clone()),
            ("quota/a", json!({"quota": {"a": 1}})),
            ("sets(name),kind", json!({"kind": "k", "sets": [{"name": "x"}, {"name": "y"}]})),
            ("sets/name,quota(b)", json!({"quota": {"b": 2}, "sets": [{"name": "x"}, {"name": "y"}]})),
        ] {
            assert_eq!(select(&value, fields).ok(), Some(is), "{fields}");
        }
        for fields in ["", "a(", "a)", "a,,b", "a b", "a(b"] {
            assert!(select(&value, fields).is_err(), "{fields}");
        }
    }
}
