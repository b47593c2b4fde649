//! Which sets an answer blames.
//!
//! An entry of `errors` names the set that it is about by its place in the request: `entity.change.deletions[6]`,
//! `entity.change.additions[0].rrdata[0]`, `entity.change.additions[www.example.com.][A]`.
//! Source: <https://cloud.google.com/dns/docs/error-messages>; kubernetes-sigs/external-dns#3311 and #3715.

use google_cloud_gax::error::rpc::{Status, StatusDetails};

use super::error::cut;

/// A set of a request, as an answer names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) list: List,
    pub(super) at: At,
}

/// The two lists of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Additions,
    Deletions,
}

/// Where in its list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    Index(usize),
    Set { name: String, rr_type: String },
}

/// One entry of `errors`.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) place: Option<Place>,
}

/// The entries of `errors`, which the SDK gives as details where the body has no other; of the front's details those
/// that have a reason.
pub(super) fn entries(status: &Status) -> Vec<Entry> {
    let entry = |detail: &StatusDetails| {
        let StatusDetails::ErrorInfo(info) = detail else { return None };
        let text = |member: &str| info.metadata.get(member).map(String::as_str);
        let message = text("message").unwrap_or(&status.message).to_owned();
        let place = text("location").and_then(place).or_else(|| place(&message));
        Some(Entry { reason: info.reason.clone(), message: cut(&message), place })
    };
    status.details.iter().filter_map(entry).collect()
}

/// The first set of a change that a text names.
fn place(text: &str) -> Option<Place> {
    let (_, path) = text.split_once("entity.change.")?;
    let (list, rest) = match (path.strip_prefix("additions["), path.strip_prefix("deletions[")) {
        (Some(rest), _) => (List::Additions, rest),
        (_, Some(rest)) => (List::Deletions, rest),
        _ => return None,
    };
    let (first, rest) = rest.split_once(']')?;
    let at = if let Ok(index) = first.parse() {
        At::Index(index)
    } else {
        let (rr_type, _) = rest.strip_prefix('[')?.split_once(']')?;
        At::Set { name: first.to_owned(), rr_type: rr_type.to_owned() }
    };
    Some(Place { list, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sets_that_an_answer_blames_are_named() {
        let texts = [
            "Invalid value for 'entity.change.additions[12].rrdata[0]': 'x'",
            "The resource record set 'entity.change.additions[www.example.com.][CNAME]' is invalid because …",
            "The 'entity.change.deletions[0]' resource named 'a. (A)' does not exist.",
            "something about 'entity.change.additions'",
            "'entity.change.additions[a'",
        ];
        let errors = texts.map(|message| serde_json::json!({"message": message, "reason": "invalid"}));
        let body = serde_json::json!({"error": {"code": 400, "message": "m", "errors": errors}}).to_string();
        let status = Status::try_from(&axum::body::Bytes::from(body)).expect("a body of Google's");
        let places = entries(&status).into_iter().filter_map(|entry| entry.place).collect::<Vec<_>>();
        let set = At::Set { name: "www.example.com.".to_owned(), rr_type: "CNAME".to_owned() };
        assert_eq!(
            places,
            [
                Place { list: List::Additions, at: At::Index(12) },
                Place { list: List::Additions, at: set },
                Place { list: List::Deletions, at: At::Index(0) },
            ]
        );
    }
}
