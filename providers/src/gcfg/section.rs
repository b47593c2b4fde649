//! Typed access to the values of one section.
//!
//! In: checked text values · Out: values of the consumer's types · Pure: yes

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::{ConfigError, Place};
use crate::SecretSource;

/// A section with its values, merged from all its pieces.
///
/// Each getter gives `None` for a key that is absent or has an empty value: federation v1 made no difference.
/// Keys are those of the schema, in its spelling.
#[derive(Clone)]
pub struct Section {
    pub(super) name: &'static str,
    pub(super) subsection: Option<Arc<str>>,
    pub(super) file: Arc<str>,
    pub(super) home: Option<Arc<Path>>,
    pub(super) place: Option<Place>,
    pub(super) values: BTreeMap<String, Value>,
}

/// The last value of a key.
#[derive(Clone)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) place: Place,
}

/// Keys only: a value may be a secret.
impl std::fmt::Debug for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.header())?;
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Section {
    /// The quoted name, for a section that has one.
    pub fn subsection(&self) -> Option<&str> {
        self.subsection.as_deref()
    }

    /// True when the file has this section, be it empty.
    pub fn is_present(&self) -> bool {
        self.place.is_some()
    }

    /// True when the key has a value.
    pub fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// The value as it is.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.value(key).map(|value| value.text.as_str())
    }

    /// The value split on commas, each part trimmed, empty parts dropped.
    pub fn list(&self, key: &str) -> Vec<&str> {
        let parts = self.text(key).unwrap_or_default().split(',');
        parts.map(str::trim).filter(|part| !part.is_empty()).collect()
    }

    /// The parts of a list, each read by `read`; `what` says what was expected, such as `an address`.
    ///
    /// # Errors
    /// When a part cannot be read; the message shows it.
    pub fn list_of<T>(&self, key: &str, what: &str, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, ConfigError> {
        let parts = self.list(key).into_iter();
        parts.map(|part| read(part).ok_or_else(|| self.invalid(key, not(part, what)))).collect()
    }

    /// The value, read by `read`; `what` says what was expected, such as `a number`.
    ///
    /// # Errors
    /// When it cannot be read; the message shows it.
    pub fn read<T>(
        &self,
        key: &str,
        what: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        read(text).map(Some).ok_or_else(|| self.invalid(key, not(text, what)))
    }

    /// A value that [`FromStr`] reads, such as a number.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn parsed<T: FromStr>(&self, key: &str, what: &str) -> Result<Option<T>, ConfigError> {
        self.read(key, what, |text| text.parse().ok())
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        self.parsed(key, "`true` or `false`")
    }

    /// One of several words, each standing for a value.
    ///
    /// # Errors
    /// When it is another word; the message lists them.
    pub fn choice<T: Clone>(&self, key: &str, words: &[(&str, T)]) -> Result<Option<T>, ConfigError> {
        let what = words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
        self.read(key, &what, |text| words.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone()))
    }

    /// A duration: `90s`, `5m`, `24h`, or a bare number of seconds.
    ///
    /// # Errors
    /// When it is none.
    pub fn duration(&self, key: &str) -> Result<Option<Duration>, ConfigError> {
        self.read(key, "a duration such as `90s`, `5m` or `24h`", |text| {
            let number = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
            let unit = match &text[number.len()..] {
                "" | "s" => 1,
                "m" => 60,
                "h" => 3600,
                _ => return None,
            };
            whole(number)?.checked_mul(unit).map(Duration::from_secs)
        })
    }

    /// A percentage from 0 to 100, with or without `%`.
    ///
    /// # Errors
    /// When it is none.
    pub fn percent(&self, key: &str) -> Result<Option<u8>, ConfigError> {
        self.read(key, "a percentage from `0` to `100`", |text| {
            let number = text.strip_suffix('%').map_or(text, str::trim_end);
            whole(number).and_then(|number| u8::try_from(number).ok()).filter(|number| *number <= 100)
        })
    }

    /// An address and a port.
    ///
    /// # Errors
    /// When it is none; a host name is none.
    pub fn socket(&self, key: &str) -> Result<Option<SocketAddr>, ConfigError> {
        self.parsed(key, SOCKET)
    }

    /// A list of addresses with ports.
    ///
    /// # Errors
    /// When a part is none.
    pub fn sockets(&self, key: &str) -> Result<Vec<SocketAddr>, ConfigError> {
        self.list_of(key, SOCKET, |part| part.parse().ok())
    }

    /// A path; a leading `~/` is the home directory.
    ///
    /// # Errors
    /// When it begins with `~/` and there is no home directory.
    pub fn path(&self, key: &str) -> Result<Option<PathBuf>, ConfigError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        match (text.strip_prefix("~/"), &self.home) {
            (None, _) => Ok(Some(text.into())),
            (Some(below), Some(home)) => Ok(Some(home.join(below))),
            (Some(_), None) => {
                Err(self.invalid(key, "`~/` needs a home directory and there is none; write the whole path"))
            }
        }
    }

    /// The secret of `key`, or the file that `key-file` names.
    ///
    /// # Errors
    /// When both are given.
    pub fn secret(&self, key: &str) -> Result<Option<SecretSource>, ConfigError> {
        let file_key = format!("{key}-file");
        match (self.text(key), self.path(&file_key)?) {
            (Some(_), Some(_)) => Err(self.invalid(&file_key, format!("`{key}` is given too; drop one of them"))),
            (Some(text), None) => Ok(Some(SecretSource::Inline(SecretString::from(text)))),
            (None, path) => Ok(path.map(SecretSource::File)),
        }
    }

    /// An error at a key's value: `why` says what is wrong with it and what to do.
    pub fn invalid(&self, key: &str, why: impl AsRef<str>) -> ConfigError {
        let error = ConfigError::new(&self.file, format!("`{key}` in {}: {}", self.header(), why.as_ref()));
        match self.values.get(key).map(|value| value.place).or(self.place) {
            Some(place) => error.at(place),
            None => error,
        }
    }

    /// An error about a key without a value: `why` says what it is needed for.
    pub fn missing(&self, key: &str, why: impl AsRef<str>) -> ConfigError {
        let error = ConfigError::new(&self.file, format!("{} needs `{key} = …`: {}", self.header(), why.as_ref()));
        match self.place {
            Some(place) => error.at(place),
            None => error,
        }
    }

    pub(super) fn is(&self, name: &str, subsection: Option<&str>) -> bool {
        self.name == name && self.subsection() == subsection
    }

    pub(super) fn header(&self) -> String {
        match &self.subsection {
            Some(subsection) => format!("[{} \"{subsection}\"]", self.name),
            None => format!("[{}]", self.name),
        }
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.text.is_empty())
    }
}

const SOCKET: &str = "an address with a port, such as `192.0.2.1:53` or `[2001:db8::1]:53`";

fn not(text: &str, what: &str) -> String {
    format!("`{}` is not {what}", text.escape_debug())
}

/// A number of digits alone: [`str::parse`] takes a sign too.
fn whole(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
