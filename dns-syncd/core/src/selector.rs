//! Cluster selectors: the annotation `federation.alpha.kubernetes.io/cluster-selector`.
//!
//! A JSON list of `{key, operator, values}`, all of which must hold for a cluster's labels. Source: federation v1's
//! cluster selector, which took the operators of Kubernetes node affinity. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

/// Conditions on the labels of a cluster. An empty list holds for every cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    key: String,
    operator: Operator,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Gt,
    Lt,
}

/// Why a selector cannot be read. Prints the text's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorError(String);

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cluster selector: {}; hint: a JSON list such as [{{\"key\":\"tier\",\"operator\":\"In\",\"values\":[\"prod\"]}}]",
            self.0
        )
    }
}

impl std::error::Error for SelectorError {}

impl Selector {
    /// Reads the annotation's text.
    ///
    /// # Errors
    /// When it is not such a list, or an operator has the wrong number of values: none for `Exists` and
    /// `DoesNotExist`, one whole number for `Gt` and `Lt`, at least one for `In` and `NotIn`.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let requirements: Vec<Requirement> =
            serde_json::from_str(text).map_err(|error| SelectorError(error.to_string()))?;
        for requirement in &requirements {
            let (values, key) = (&requirement.values, &requirement.key);
            let rule = match requirement.operator {
                _ if key.is_empty() => Some("a key is empty"),
                Operator::In | Operator::NotIn if values.is_empty() => Some("`In` and `NotIn` need values"),
                Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                    Some("`Exists` and `DoesNotExist` take no values")
                }
                Operator::Gt | Operator::Lt if values.len() != 1 || values[0].parse::<i64>().is_err() => {
                    Some("`Gt` and `Lt` need one whole number")
                }
                _ => None,
            };
            if let Some(rule) = rule {
                return Err(SelectorError(format!("{rule} (key `{key}`)")));
            }
        }
        Ok(Self(requirements))
    }

    /// Whether the labels of a cluster meet every condition. A label that is absent is not in any list of values, and
    /// neither greater nor less than a number.
    pub fn matches(&self, labels: &BTreeMap<Arc<str>, Arc<str>>) -> bool {
        self.0.iter().all(|requirement| {
            let label = labels.get(requirement.key.as_str());
            let listed = || label.is_some_and(|label| requirement.values.iter().any(|value| **value == **label));
            let number = |text: &str| text.parse::<i64>().ok();
            let limit = requirement.values.first().and_then(|value| number(value));
            let compare = || label.and_then(|label| number(label)).zip(limit).map(|(label, limit)| label.cmp(&limit));
            match requirement.operator {
                Operator::In => listed(),
                Operator::NotIn => !listed(),
                Operator::Exists => label.is_some(),
                Operator::DoesNotExist => label.is_none(),
                Operator::Gt => compare().is_some_and(std::cmp::Ordering::is_gt),
                Operator::Lt => compare().is_some_and(std::cmp::Ordering::is_lt),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(
            anything: String,
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "[", "]", "{", "}", ",", ":", "null", "1e999", "\"\\ud800\"", "\"\"", "\"key\":", "\"tier\"", "\"operator\":",
                    "\"In\"", "\"Gt\"", "\"values\":", "[\"prod\"]", "[\"99999999999999999999\"]",
                ]),
                0..30,
            ),
        ) {
            let labels = BTreeMap::from([("tier".into(), "prod".into())]);
            for text in [anything, words.concat()] {
                let _ = Selector::parse(&text).map(|selector| selector.matches(&labels));
            }
        }

        #[test]
        fn a_selector_that_is_one_is_read_whatever_its_keys_and_values_are(key in ".+", values in prop::collection::vec(".*", 1..4)) {
            let text = serde_json::json!([{"key": key, "operator": "In", "values": values}]).to_string();
            let labels = BTreeMap::from([(key.into(), values[0].clone().into())]);
            let selector = Selector::parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert!(selector.matches(&labels) && !selector.matches(&BTreeMap::new()));
        }
    }

    #[test]
    fn operators_are_those_of_node_affinity() {
        let labels = BTreeMap::from([("tier".into(), "prod".into()), ("size".into(), "12".into())]);
        for (text, holds) in [
            (r"[]", true),
            (r#"[{"key":"tier","operator":"In","values":["prod","test"]}]"#, true),
            (r#"[{"key":"tier","operator":"NotIn","values":["prod"]}]"#, false),
            (r#"[{"key":"other","operator":"NotIn","values":["prod"]}]"#, true),
            (r#"[{"key":"tier","operator":"Exists"}]"#, true),
            (r#"[{"key":"tier","operator":"DoesNotExist","values":[]}]"#, false),
            (r#"[{"key":"size","operator":"Gt","values":["9"]}]"#, true),
            (r#"[{"key":"size","operator":"Lt","values":["9"]}]"#, false),
            (r#"[{"key":"tier","operator":"Gt","values":["9"]}]"#, false),
            (r#"[{"key":"tier","operator":"Exists"},{"key":"size","operator":"Lt","values":["9"]}]"#, false),
        ] {
            assert_eq!(Selector::parse(text).unwrap().matches(&labels), holds, "{text}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for text in [
            "",
            "x",
            "{}",
            r#"[{"key":"a"}]"#,
            r#"[{"key":"a","operator":"in","values":["b"]}]"#,
            r#"[{"key":"a","operator":"In"}]"#,
            r#"[{"key":"a","operator":"Gt","values":["x"]}]"#,
            r#"[{"key":"a","operator":"Exists","values":["x"]}]"#,
            r#"[{"key":"","operator":"Exists"}]"#,
        ] {
            assert!(Selector::parse(text).unwrap_err().to_string().contains("cluster selector:"), "{text}");
        }
    }
}
