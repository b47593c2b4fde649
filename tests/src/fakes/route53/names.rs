//! Domain names as Route 53 keeps them: lower case, a final dot, and `\ooo` for every octet other than `a-z 0-9 - _`.

use std::fmt::Write as _;

use super::errors::Refusal;

/// A name as the service keeps and shows it: `\052.example.test.`.
///
/// Order: that of the list of sets, by labels from the right, each followed by a dot and compared as text; so `-` sorts
/// before the end of a label. Source: the documentation of `ListResourceRecordSets` in the service model.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    key: String, // first, as names are compared by it
    text: String,
}

impl Name {
    /// Reads a name with or without the final dot, and with octets escaped or not.
    ///
    /// # Errors
    /// The reason in the words of the service.
    pub fn parse(text: &str) -> Result<Self, String> {
        let problem = |code: &str, why: &str| Err(format!("FATAL problem: {code} ({why}) encountered with '{text}'"));
        let mut octets = text.bytes();
        let (mut name, mut label, mut wire) = (String::new(), 0_usize, 1_usize);
        let mut after_dot = true;
        while let Some(octet) = octets.next() {
            let escaped = octet == b'\\';
            let octet = if escaped {
                let digits: Vec<u8> = octets.by_ref().take(3).collect();
                let number = std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 8).ok());
                let Some(octet) = number.filter(|_| digits.len() == 3 && digits[0].is_ascii_digit()) else {
                    return problem("InvalidEscape", "Escape is not three octal digits");
                };
                octet
            } else {
                octet
            };
            if octet == b'.' && !escaped {
                if label == 0 && !(name.is_empty() && text == ".") {
                    return problem("DomainLabelEmpty", "Domain label is empty");
                }
                (label, after_dot) = (0, true);
                wire += 1;
                name.push('.');
                continue;
            }
            if !escaped && !(octet.is_ascii_graphic()) {
                return problem("UnsupportedCharacter", "Value contains unsupported characters");
            }
            (label, after_dot) = (label + 1, false);
            wire += 1;
            if label > 63 {
                return problem("DomainLabelTooLong", "Domain label is too long");
            }
            match octet.to_ascii_lowercase() {
                octet @ (b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_') => name.push(char::from(octet)),
                octet => drop(write!(name, "\\{octet:03o}")), // writing to a String cannot fail
            }
        }
        if name.is_empty() {
            return problem("DomainLabelEmpty", "Domain label is empty");
        }
        if !after_dot {
            name.push('.');
            wire += 1;
        }
        if wire > 255 {
            return problem("DomainNameTooLong", "Domain name is too long");
        }
        let mut key = String::with_capacity(name.len());
        for label in name.split_terminator('.').rev() {
            key.push_str(label);
            key.push('.');
        }
        Ok(Self { key, text: name })
    }

    /// As the service shows it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is `apex` or lies below it.
    pub fn is_in(&self, apex: &Self) -> bool {
        self.text.strip_suffix(&apex.text).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// How many labels it has.
    pub fn labels(&self) -> usize {
        self.text.split_terminator('.').count()
    }

    /// Whether it is a wildcard: its first label is an asterisk.
    pub fn is_wildcard(&self) -> bool {
        self.text.starts_with("\\052.")
    }

    /// As [`Name::parse`], for a name in a query.
    ///
    /// # Errors
    /// 400 `InvalidInput`.
    pub fn in_query(text: &str) -> Result<Self, Refusal> {
        Self::parse(text).map_err(Refusal::invalid_input)
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}
