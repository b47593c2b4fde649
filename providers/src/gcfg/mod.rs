//! Reader of the config dialect of gcfg, the Go library with which Kubernetes Federation v1 read its files.
//!
//! It looks like git's config and like an ini file, but crates that read those (`ini`, `rust-ini`, `gix-config`) take
//! real files of gcfg differently: quotes and escapes stay in the value, a continued line ends at the backslash,
//! `[Global.sub]` and `key_with_underscore` pass. So the reader is ours.
//!
//! - `[Section]` or `[Section "name"]` alone on its line, then `key = value` lines. Section names and keys ignore case;
//!   the quoted name does not. A section that comes twice is one section; of a key that comes twice the last wins.
//! - A key is a letter, then letters, digits and `-`.
//! - `#` and `;` begin a comment, also after a value. Blanks around a value are dropped, those inside are kept.
//! - `"…"`, anywhere in a value, keeps blanks, `#` and `;`; inside it `\\`, `\"`, `\n` and `\t` are escapes.
//!   A secret that holds `#`, `;`, `"` or `\` must be quoted.
//! - `\` at the end of a line, outside quotes, continues the value on the next line.
//! - Nothing is interpolated: `$HOME` and `%(x)s` are literal.
//!
//! Reading has two steps: [`parse`] knows the syntax alone, [`Document::check`] the sections and keys of a [`Schema`];
//! the [`Section`]s it gives have typed access to the values.
//!
//! ```
//! use dns_providers::gcfg::{self, Key, Schema, SectionSchema};
//!
//! const SCHEMA: Schema = Schema(&[
//!     SectionSchema::single("Global", &[Key::plain("zones"), Key::secret("token")]),
//!     SectionSchema::named("Cluster", &[Key::plain("drain")]),
//! ]);
//!
//! let text = "[global]\nzones = example.com, example.org\n[Cluster \"a\"]\ndrain = true\n";
//! let config = gcfg::parse(text, "dns.conf")?.check(&SCHEMA, None)?;
//! assert_eq!(config.section("Global").list("zones"), ["example.com", "example.org"]);
//! for cluster in config.named("Cluster") {
//!     assert_eq!((cluster.subsection(), cluster.boolean("drain")?), (Some("a"), Some(true)));
//! }
//!
//! let error = gcfg::parse("[Global]\nzone = a\n", "dns.conf")?.check(&SCHEMA, None).unwrap_err();
//! assert_eq!(error.to_string(), "dns.conf:2:1: unknown key `zone` in [Global]; did you mean `zones`?");
//! # Ok::<(), gcfg::ConfigError>(())
//! ```

mod scan;
mod schema;
mod section;

use std::fmt;
use std::sync::Arc;

use dnsprovider::{Error, ErrorKind};

pub use schema::{Config, Key, Schema, SectionSchema};
pub use section::Section;

/// A parsed file: its sections in order, each header as often as it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The file's name, for messages.
    pub file: Arc<str>,
    /// In the order of the file.
    pub blocks: Vec<Block>,
}

/// A section header and the entries below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The section's name as it is written.
    pub section: String,
    /// The quoted name after it, escapes resolved; never empty.
    pub subsection: Option<String>,
    /// Where the section's name stands.
    pub place: Place,
    /// In the order of the file.
    pub entries: Vec<Entry>,
}

/// One `key = value`.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key as it is written.
    pub key: String,
    /// The value: quotes and escapes resolved, comment and outer blanks dropped.
    pub value: String,
    /// Where the key stands.
    pub place: Place,
}

/// The value may be a secret.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("key", &self.key).field("place", &self.place).finish_non_exhaustive()
    }
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
}

/// What is wrong with a config file, where, and what to do. Never shows the value of a secret.
///
/// Prints as `conf.ini:12:3: unknown key …`; without a place where something is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    file: Arc<str>,
    place: Option<Place>,
    message: String,
}

impl ConfigError {
    /// An error about the file as a whole.
    pub fn new(file: &str, message: impl Into<String>) -> Self {
        Self { file: file.into(), place: None, message: message.into() }
    }

    /// The same at a place in the file.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Where in the file, unless it is about something missing.
    pub fn place(&self) -> Option<Place> {
        self.place
    }

    /// The same as an error of a provider, kind [`ErrorKind::ConfigInvalid`].
    pub fn of_provider(&self, provider: &'static str) -> Error {
        Error::new(ErrorKind::ConfigInvalid, provider, self.to_string())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Place { line, column }) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ConfigError {}

/// Reads a text in gcfg's dialect.
///
/// # Errors
/// At the first place that breaks the syntax; `file` names the file in the message.
pub fn parse(text: impl AsRef<[u8]>, file: &str) -> Result<Document, ConfigError> {
    scan::document(text.as_ref(), file)
}

/// The form in which section names and keys are compared: gcfg ignores case as Unicode's simple case folding does,
/// so that even `zoneſ` is `zones`.
fn fold(name: &str) -> String {
    name.chars()
        .map(|char| {
            let upper = single(char.to_uppercase()).unwrap_or(char);
            single(upper.to_lowercase()).unwrap_or(upper)
        })
        .collect()
}

fn single(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next();
    if chars.next().is_some() { None } else { first }
}
