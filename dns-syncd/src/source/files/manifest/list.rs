//! A document whose items are taken one by one, as they are read: a large dump is never held as a whole beside its text.
//!
//! `kubectl` writes the kind of a list behind its items. What they are can be told before where each says so itself; the
//! first that does not, and those behind it, wait for the end of the list.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Fault, Field, Found, Raw};

/// Reads a document into what was found so far.
pub(super) struct Document<'f, 'a>(pub(super) &'f mut Found<'a>);

impl<'de> DeserializeSeed<'de> for Document<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Kubernetes object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(found) = self;
        let begun = found.objects.place();
        let mut raw = Raw::default();
        while let Some(field) = map.next_key::<Field>()? {
            if matches!(field, Field::Items) && raw.wants(&field) {
                found.objects.forget(begun);
                raw.items = map.next_value_seed(Items { found: &mut *found, of: raw.of() })?;
            } else {
                raw.read(&field, &mut map)?;
            }
        }
        raw.check_top()?;
        if !raw.kind.as_deref().unwrap_or_default().ends_with("List") {
            found.objects.forget(begun); // no list: what it calls items are none
        }
        found.flatten(raw, None).map_err(|fault| found.fail(fault))
    }
}

/// Reads items; gives those that wait for what the list says of them behind them.
struct Items<'f, 'a, 'o> {
    found: &'f mut Found<'a>,
    of: Option<(&'o str, Option<&'o str>)>,
}

impl<'de> DeserializeSeed<'de> for Items<'_, '_, '_> {
    type Value = Option<Vec<Raw>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Items<'_, '_, '_> {
    type Value = Option<Vec<Raw>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of Kubernetes objects")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut waiting = Vec::new();
        while let Some(raw) = items.next_element::<Raw>()? {
            let is_told = self.of.is_some() || raw.kind.is_some() && raw.api_version.is_some();
            if is_told && waiting.is_empty() {
                self.found.flatten(raw, self.of).map_err(|fault| self.found.fail(fault))?;
            } else {
                waiting.push(raw);
            }
        }
        Ok(Some(waiting))
    }
}

impl Found<'_> {
    /// Keeps a fault as it is, and gives what ends the reading.
    fn fail<E: serde::de::Error>(&mut self, fault: Fault) -> E {
        let error = E::custom(&fault.message);
        self.fault = Some(fault);
        error
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    /// The names of what a text holds, or what is wrong with it.
    fn names(text: &str) -> Result<Vec<String>, (Option<u64>, String)> {
        let mut objects = Vec::new();
        let read = parse(&"f.json".into(), text.as_bytes(), false, &mut objects);
        read.map_err(|fault| (fault.line, fault.message))?;
        Ok(objects.iter().map(|object| object.metadata.name().to_owned()).collect())
    }

    fn service(name: &str) -> String {
        format!(r#"{{"apiVersion":"v1","kind":"Service","metadata":{{"name":"{name}"}}}}"#)
    }

    #[test]
    fn items_keep_their_order_whenever_their_kind_is_known() {
        let (a, bare, c) = (service("a"), r#"{"metadata":{"name":"b"}}"#, service("c"));
        for text in [
            format!(r#"{{"apiVersion":"v1","items":[{a},{bare},{c}],"kind":"ServiceList"}}"#),
            format!(r#"{{"apiVersion":"v1","kind":"ServiceList","items":[{a},{bare},{c}]}}"#),
            format!(
                r#"{{"kind":"List","items":[{a},{{"kind":"ServiceList","apiVersion":"v1","items":[{bare}]}}]}} {c}"#
            ),
        ] {
            assert_eq!(names(&text), Ok(["a", "b", "c"].map(str::to_owned).to_vec()), "{text}");
        }
    }

    #[test]
    fn what_is_no_list_has_no_items() {
        let text = format!(r#"{{"items":[{}],"apiVersion":"v1","kind":"Secret"}}"#, service("a"));
        assert_eq!(names(&text), Ok(Vec::new()));
    }

    #[test]
    fn an_item_without_a_kind_is_told_of_as_before() {
        let text = r#"{"apiVersion":"v1","kind":"List","items":[{"metadata":{"name":"a"}}]}"#;
        assert_eq!(names(text), Err((None, "an item of a list has no `kind`".to_owned())));
    }
}
