//! Pages of lists. A token says after which item the next page begins, so nothing is lost or doubled when other items
//! come or go between two pages. To callers it is an opaque text.

use super::refusal::Refusal;

/// The service's own page size where `maxResults` is absent, and the most that it gives. The documents name neither;
/// these are the fake's.
const DEFAULT: usize = 100;
const MOST: usize = 1_000;

/// The part of a list that a request asks for.
pub(super) struct Page {
    /// What the list is of: a token of one list is refused by another.
    of: String,
    size: usize,
    /// The key of the last item of the page before.
    pub(super) after: Option<String>,
}

impl Page {
    /// Reads `maxResults` and `pageToken`.
    pub(super) fn read(
        of: String,
        max_results: Option<&str>,
        token: Option<&str>,
        own_size: Option<usize>,
    ) -> Result<Self, Refusal> {
        let size = match max_results.map(|text| (text, text.parse::<usize>())) {
            Some((_, Ok(max))) if max > 0 => max.min(own_size.unwrap_or(MOST)),
            Some((text, _)) => return Err(Refusal::invalid("parameters.maxResults", text)),
            None => own_size.unwrap_or(DEFAULT),
        };
        let decoded = token.map(|token| {
            let after = decode(token).and_then(|text| text.strip_prefix(&format!("{of}\n")).map(str::to_owned));
            after.ok_or_else(|| Refusal::invalid("parameters.pageToken", token))
        });
        let after = decoded.transpose()?;
        Ok(Self { of, size, after })
    }

    /// The page and the token of the next. `items` come with their keys and begin behind `after`.
    pub(super) fn cut<T>(&self, items: impl Iterator<Item = (String, T)>) -> (Vec<T>, Option<String>) {
        let (mut page, mut last, mut token) = (Vec::new(), String::new(), None);
        for (key, item) in items {
            if page.len() == self.size {
                token = Some(encode(&format!("{}\n{last}", self.of)));
                break;
            }
            page.push(item);
            last = key;
        }
        (page, token)
    }

    /// Whether an item comes after the last page, for lists that are ordered by their keys.
    pub(super) fn wants(&self, key: &str) -> bool {
        self.after.as_deref().is_none_or(|after| key > after)
    }
}

fn encode(text: &str) -> String {
    let digits = text.bytes().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

fn decode(token: &str) -> Option<String> {
    let digits = token.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    String::from_utf8(digits.collect::<Option<Vec<u8>>>()?).ok()
}
