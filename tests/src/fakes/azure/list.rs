//! Lists, page by page.

use std::ops::Bound;

use serde_json::{Value, json};

use super::super::listener::{Answer, Request};
use super::answer::{Refusal, json_answer};
use super::route::Route;
use super::spec::{API_VERSION, LARGEST_PAGE};
use super::world::State;
use super::zone::Key;

/// The parameter of a `nextLink` that says where its page begins.
pub(super) const SKIP: &str = "$skipToken";

impl State {
    pub(super) fn list_zones(&self, request: &Request, route: &Route) -> Result<Answer, Refusal> {
        let wanted = self.subscriptions.get(&route.subscription.to_ascii_lowercase());
        let groups = wanted.into_iter().flat_map(|subscription| &subscription.groups);
        let groups = groups.filter(|(name, _)| route.group.is_empty() || **name == route.group.to_ascii_lowercase());
        // The separator sorts before all that names have, so that the texts sort as the maps do.
        let zones = groups
            .flat_map(|(group, held)| held.zones.iter().map(move |(name, zone)| (format!("{group}\0{name}"), zone)));
        let after = after(request)?;
        let rest = zones.filter(|(at, _)| after.as_ref().is_none_or(|after| at > after));
        let most = self.limits.record_sets;
        let rest = rest.map(|(at, zone)| (at, zone.json(most)));
        let group = if route.group.is_empty() { String::new() } else { format!("/resourceGroups/{}", route.group) };
        self.page(request, route, &format!("{group}/providers/Microsoft.Network/dnszones"), rest)
    }

    pub(super) fn list_sets(&self, request: &Request, route: &Route) -> Result<Answer, Refusal> {
        let zone = self.zone(route)?;
        let all = ["RECORDSETS", "ALL"].contains(&route.record_type.as_str());
        let suffix = request.query("$recordsetnamesuffix").map(|suffix| format!(".{}", suffix.to_ascii_lowercase()));
        let after = match after(request)? {
            Some(text) => Some(Key::from_text(&text).ok_or_else(bad_token)?),
            None => None,
        };
        let beginning = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = zone.sets.range((beginning, Bound::Unbounded)).filter(|(key, set)| {
            let wanted = all || key.record_type() == route.record_type;
            wanted && suffix.as_ref().is_none_or(|suffix| set.name.to_ascii_lowercase().ends_with(suffix))
        });
        let rest = rest.map(|(key, set)| (key.text(), set.json(zone)));
        // The link of a list of all types leads to another path than the list itself.
        let last = if all { "ALL" } else { &route.record_type };
        let path =
            format!("/resourceGroups/{}/providers/Microsoft.Network/dnszones/{}/{last}", route.group, route.zone);
        self.page(request, route, &path, rest)
    }

    /// The first of what is left, and a link where that is not all. It is opaque to clients: it has another host form
    /// and other letters than the request.
    fn page(
        &self,
        request: &Request,
        route: &Route,
        path: &str,
        mut rest: impl Iterator<Item = (String, Value)>,
    ) -> Result<Answer, Refusal> {
        let top = match request.query("$top").map(str::parse::<i32>) {
            None => self.limits.page,
            Some(Ok(top)) if top > 0 => usize::try_from(top).unwrap_or(LARGEST_PAGE).min(LARGEST_PAGE),
            Some(_) => return Err(Refusal::bad("The value of '$top' is not a positive 32-bit integer.")),
        };
        // A test that has lowered the page lowers it for all.
        let default = super::spec::Limits::default().page;
        let size = if self.limits.page < default { top.min(self.limits.page) } else { top };
        let (places, values): (Vec<String>, Vec<Value>) = rest.by_ref().take(size).unzip();
        let last = places.last().map(|at| hex(at)).unwrap_or_default();
        let mut body = json!({ "value": values });
        if rest.next().is_some() {
            let mut link = format!(
                "{}:443/subscriptions/{}{path}?api-version={API_VERSION}&{SKIP}={last}",
                self.cloud.resource_manager(),
                route.subscription
            );
            for name in ["$top", "$recordsetnamesuffix"] {
                if let Some(value) = request.query(name) {
                    link = format!("{link}&{name}={value}");
                }
            }
            body["nextLink"] = json!(link);
        }
        Ok(json_answer(200, &body))
    }
}

fn after(request: &Request) -> Result<Option<String>, Refusal> {
    request.query(SKIP).map(|token| unhex(token).ok_or_else(bad_token)).transpose()
}

fn bad_token() -> Refusal {
    Refusal::bad(format!("The value of '{SKIP}' is invalid."))
}

fn hex(text: &str) -> String {
    text.bytes()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn unhex(text: &str) -> Option<String> {
    if !text.is_ascii() || text.len() % 2 == 1 {
        return None;
    }
    let bytes = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok());
    String::from_utf8(bytes.collect::<Option<Vec<_>>>()?).ok()
}
