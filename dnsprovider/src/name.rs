//! Absolute DNS names.
//!
//! One form everywhere: lower-case ASCII with a final dot, so that equality, order and printing need no further rule.
//! Spelling of a remote (no final dot, `@`, `\052`, upper case) is the adapters' business and ends at [`Fqdn::parse`].

use std::fmt;
use std::sync::Arc;

/// Longest name in octets on the wire, length bytes and root label included. Source: RFC 1035 §2.3.4.
pub const MAX_NAME_OCTETS: usize = 255;
/// Longest label in octets. Source: RFC 1035 §2.3.4.
pub const MAX_LABEL_OCTETS: usize = 63;

/// An absolute domain name.
///
/// Invariants: lower-case ASCII presentation form of RFC 1035 §5.1 with a final dot; every label has 1 to 63 octets and
/// the whole at most 255 on the wire; octets outside `!`–`~` and the special ones are written `\DDD`, a dot inside a label `\.`.
/// Equality and order: by the bytes of that form. Cloning is cheap (a reference count).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fqdn(Arc<str>);

/// Why a text is not a domain name. Prints the text and the rule that it breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    text: String,
    rule: &'static str,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a domain name: {}", self.text.escape_debug(), self.rule)
    }
}

impl std::error::Error for NameError {}

impl Fqdn {
    /// Reads a name in presentation form, with or without a final dot; both mean the absolute name.
    ///
    /// Upper case is folded. `.` alone is the root.
    ///
    /// # Errors
    /// When the text is empty, has an empty or too long label, is too long as a whole, has a bad escape, or holds a
    /// character outside ASCII (write the A-label, `xn--…`).
    ///
    /// ```
    /// use dnsprovider::Fqdn;
    /// assert_eq!(Fqdn::parse("WWW.Example.com").unwrap().as_str(), "www.example.com.");
    /// assert!(Fqdn::parse("a..example.com").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fail = |rule| NameError { text: text.chars().take(300).collect(), rule };
        if text == "." {
            return Ok(Self::root());
        }
        if text.is_empty() {
            return Err(fail("it is empty"));
        }
        if is_canonical(text) {
            return Ok(Self(text.into()));
        }
        let mut out = String::with_capacity(text.len() + 1);
        let mut label_octets = 0;
        let mut wire_octets = 1; // the root label
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            let octet = match byte {
                b'.' => {
                    if label_octets == 0 {
                        return Err(fail("a label is empty"));
                    }
                    wire_octets += label_octets + 1;
                    label_octets = 0;
                    out.push('.');
                    continue;
                }
                b'\\' => {
                    unescape(&mut bytes).ok_or_else(|| fail("an escape is neither `\\X` nor `\\DDD` up to 255"))?
                }
                0x80.. => return Err(fail("a character is not ASCII; write the A-label (`xn--…`)")),
                0..=0x20 | 0x7f => return Err(fail("it holds a blank or a control character")),
                _ => byte,
            };
            label_octets += 1;
            if label_octets > MAX_LABEL_OCTETS {
                return Err(fail("a label has more than 63 octets"));
            }
            push_octet(&mut out, octet);
        }
        if label_octets > 0 {
            wire_octets += label_octets + 1;
            out.push('.');
        }
        if wire_octets > MAX_NAME_OCTETS {
            return Err(fail("it has more than 255 octets"));
        }
        Ok(Self(out.into()))
    }

    /// The root of the name space, `.`.
    pub fn root() -> Self {
        Self(".".into())
    }

    /// The presentation form, final dot included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for `.`.
    pub fn is_root(&self) -> bool {
        &*self.0 == "."
    }

    /// The labels from left to right in presentation form, without the root; empty for the root.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        let mut labels = Vec::new();
        let (mut start, bytes) = (0, self.0.as_bytes());
        for (at, byte) in bytes.iter().enumerate() {
            if *byte == b'.' && !is_escaped(bytes, at) {
                if at > start {
                    labels.push(&self.0[start..at]);
                }
                start = at + 1;
            }
        }
        labels.into_iter()
    }

    /// This name without its first label; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let bytes = self.0.as_bytes();
        let dot = (0..bytes.len()).find(|at| bytes[*at] == b'.' && !is_escaped(bytes, *at))?;
        match &self.0[dot + 1..] {
            "" if dot == 0 => None,
            "" => Some(Self::root()),
            rest => Some(Self(rest.into())),
        }
    }

    /// True when this name is `ancestor` or lies below it, at a label boundary.
    pub fn is_at_or_below(&self, ancestor: &Self) -> bool {
        self.relative_to(ancestor).is_some()
    }

    /// The part left of `ancestor` without the dot between them: empty when equal, `None` when not at or below it.
    ///
    /// ```
    /// use dnsprovider::Fqdn;
    /// let name = Fqdn::parse("a.b.example.com").unwrap();
    /// let zone = Fqdn::parse("example.com").unwrap();
    /// assert_eq!(name.relative_to(&zone), Some("a.b"));
    /// ```
    pub fn relative_to(&self, ancestor: &Self) -> Option<&str> {
        if self == ancestor {
            return Some("");
        }
        if ancestor.is_root() {
            return Some(&self.0[..self.0.len() - 1]);
        }
        let head = self.0.strip_suffix(&*ancestor.0)?;
        let dot = head.len().checked_sub(1)?;
        let bytes = head.as_bytes();
        (bytes[dot] == b'.' && !is_escaped(bytes, dot)).then(|| &head[..dot])
    }

    /// The name made of `relative` (presentation form, possibly several labels, possibly empty) in front of this one.
    ///
    /// # Errors
    /// As [`Fqdn::parse`], for the whole name.
    pub fn prepend(&self, relative: &str) -> Result<Self, NameError> {
        if relative.is_empty() {
            return Ok(self.clone());
        }
        if self.is_root() {
            Self::parse(&format!("{relative}."))
        } else {
            Self::parse(&format!("{relative}.{}", self.0))
        }
    }

    /// Octets on the wire, uncompressed, root label included.
    pub fn wire_len(&self) -> usize {
        1 + self.labels().map(|label| label_octets(label) + 1).sum::<usize>()
    }
}

/// Whether a text is a name as it is: final dot included, in lower case, and without anything that is escaped. Nearly all
/// names are.
fn is_canonical(text: &str) -> bool {
    let mut label_octets = 0;
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' if label_octets < MAX_LABEL_OCTETS => label_octets += 1,
            b'.' if label_octets > 0 => label_octets = 0,
            _ => return false,
        }
    }
    // Each label has a length byte on the wire where the text has a dot; the root label is one more.
    label_octets == 0 && !text.is_empty() && text.len() < MAX_NAME_OCTETS
}

/// The octet behind a backslash: `\DDD` in decimal or `\X` for X itself.
fn unescape(bytes: &mut std::str::Bytes<'_>) -> Option<u8> {
    let first = bytes.next()?;
    if !first.is_ascii_digit() {
        return (first.is_ascii_graphic()).then_some(first);
    }
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    let value = digit(first)? * 100 + digit(bytes.next()?)? * 10 + digit(bytes.next()?)?;
    u8::try_from(value).ok()
}

/// Writes one octet of a label in the canonical form.
fn push_octet(out: &mut String, octet: u8) {
    match octet.to_ascii_lowercase() {
        plain @ (b'.' | b'\\') => {
            out.push('\\');
            out.push(char::from(plain));
        }
        plain @ b'!'..=b'~' if !matches!(plain, b'"' | b'(' | b')' | b';' | b'@' | b'$') => out.push(char::from(plain)),
        other => {
            use fmt::Write as _;
            write!(out, "\\{other:03}").expect("writing to a String cannot fail");
        }
    }
}

/// True when an odd number of backslashes stands before `at`. In canonical form `\DDD` never ends before a dot
/// in a way that could be misread, because the octet `\` itself is written `\\`.
fn is_escaped(bytes: &[u8], at: usize) -> bool {
    bytes[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

fn label_octets(label: &str) -> usize {
    let (mut octets, mut bytes) = (0, label.bytes());
    while let Some(byte) = bytes.next() {
        if byte == b'\\' && bytes.next().is_some_and(|next| next.is_ascii_digit()) {
            bytes.nth(1);
        }
        octets += 1;
    }
    octets
}

impl fmt::Display for Fqdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Fqdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Fqdn {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Fqdn {
        Fqdn::parse(text).unwrap()
    }

    #[test]
    fn final_dot_and_case_do_not_matter() {
        assert_eq!(name("A.example.COM"), name("a.Example.com."));
        assert_eq!(name("_a.x-1.example.com"), name("_a.x-1.example.com."));
    }

    #[test]
    fn an_escaped_dot_is_no_label_boundary() {
        let odd = name("a\\.example.com");
        assert_eq!(odd.labels().collect::<Vec<_>>(), ["a\\.example", "com"]);
        assert!(!odd.is_at_or_below(&name("example.com")));
        assert_eq!(odd.parent(), Some(name("com")));
    }

    #[test]
    fn an_octal_looking_escape_is_decimal() {
        assert_eq!(name("\\042.example.com"), name("*.example.com"));
        assert_eq!(name("a\\032b.example.com").as_str(), "a\\032b.example.com.");
        assert_eq!(name("a\\032b.c").wire_len(), 1 + 3 + 1 + 1 + 1);
    }

    #[test]
    fn limits_are_kept_to_the_octet() {
        let label = "a".repeat(63);
        assert!(Fqdn::parse(&format!("{label}.x")).is_ok());
        assert!(Fqdn::parse(&format!("a{label}.x")).is_err());
        let long = format!("{label}.{label}.{label}.{}", "b".repeat(61));
        let too_long = format!("{label}.{label}.{label}.{}", "b".repeat(62));
        for dot in ["", "."] {
            assert_eq!(name(&format!("{long}{dot}")).wire_len(), 255);
            assert!(Fqdn::parse(&format!("{too_long}{dot}")).is_err());
            assert!(Fqdn::parse(&format!("a{label}.x{dot}")).is_err());
        }
        assert!(Fqdn::parse("a..b.").is_err());
    }

    #[test]
    fn a_sibling_with_the_same_ending_is_not_below() {
        assert!(!name("wwwexample.com").is_at_or_below(&name("example.com")));
        assert_eq!(name("example.com").relative_to(&name("example.com")), Some(""));
        assert_eq!(name("a.b").relative_to(&Fqdn::root()), Some("a.b"));
    }

    #[test]
    fn what_is_no_name_is_refused_with_its_rule() {
        for bad in ["", "..", ".a", "a..b", "a b", "ü.example", "a\\", "a\\25", "a\\999", "a\n"] {
            let error = Fqdn::parse(bad).unwrap_err().to_string();
            assert!(error.contains("is not a domain name:"), "{error}");
        }
    }
}
