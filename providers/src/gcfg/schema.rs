//! Which sections and keys a file may have, and the check that it has no others.
//!
//! In: [`Document`], [`Schema`] · Out: [`Config`] · Pure: yes

use std::path::Path;
use std::sync::Arc;

use super::section::Value;
use super::{Block, ConfigError, Document, Section, fold};

/// The sections that a file may have.
#[derive(Clone, Copy, Debug)]
pub struct Schema(pub &'static [SectionSchema]);

/// A section and its keys.
#[derive(Clone, Copy, Debug)]
pub struct SectionSchema {
    name: &'static str,
    named: bool,
    keys: &'static [Key],
}

impl SectionSchema {
    /// `[name]`: there is one, which may be written in several pieces.
    pub const fn single(name: &'static str, keys: &'static [Key]) -> Self {
        Self { name, named: false, keys }
    }

    /// `[name "…"]`: there may be many, told apart by the quoted name.
    pub const fn named(name: &'static str, keys: &'static [Key]) -> Self {
        Self { name, named: true, keys }
    }
}

/// A key that a section may have.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    name: &'static str,
    secret: bool,
}

impl Key {
    /// A key with a value that may be shown.
    pub const fn plain(name: &'static str) -> Self {
        Self { name, secret: false }
    }

    /// A key `k` with a secret value; the key `k-file` with the path of a file that holds it comes along.
    pub const fn secret(name: &'static str) -> Self {
        Self { name, secret: true }
    }

    /// The declared spelling of a key in a file, when it is this one or its `-file`.
    fn spelling(self, folded: &str) -> Option<String> {
        if fold(self.name) == folded {
            return Some(self.name.to_owned());
        }
        let file = format!("{}-file", self.name);
        (self.secret && fold(&file) == folded).then_some(file)
    }
}

/// A file whose sections and keys are all known.
#[derive(Clone, Debug)]
pub struct Config {
    file: Arc<str>,
    home: Option<Arc<Path>>,
    sections: Vec<Section>,
}

impl Document {
    /// Merges the pieces of each section and checks that all sections and keys are known.
    ///
    /// `home` stands for a leading `~` in paths; the environment is not asked.
    ///
    /// # Errors
    /// At the first section or key that is unknown, with the nearest one that is known; at a quoted name where the
    /// section has none, or none where it needs one.
    pub fn check(self, schema: &Schema, home: Option<&Path>) -> Result<Config, ConfigError> {
        let mut config = Config { file: self.file, home: home.map(Into::into), sections: Vec::new() };
        for block in self.blocks {
            let declared = declared(schema, &block, &config.file)?;
            let subsection = block.subsection.as_deref();
            let at = config.sections.iter().position(|section| section.is(declared.name, subsection));
            let at = at.unwrap_or_else(|| {
                config.sections.push(config.empty(declared.name, subsection));
                config.sections.len() - 1
            });
            let section = &mut config.sections[at];
            section.place.get_or_insert(block.place);
            for entry in block.entries {
                let folded = fold(&entry.key);
                let Some(key) = declared.keys.iter().find_map(|key| key.spelling(&folded)) else {
                    let known = declared.keys.iter().map(|key| key.name);
                    let message = format!(
                        "unknown key `{}` in {}; {}",
                        entry.key,
                        section.header(),
                        nearest(&folded, known).map_or_else(
                            || "this section has no keys".to_owned(),
                            |known| format!("did you mean `{known}`?")
                        )
                    );
                    return Err(ConfigError::new(&config.file, message).at(entry.place));
                };
                section.values.insert(key, Value { text: entry.value, place: entry.place });
            }
        }
        Ok(config)
    }
}

impl Config {
    /// The section without a quoted name; empty where the file does not have it.
    pub fn section(&self, name: &'static str) -> Section {
        self.sections.iter().find(|section| section.is(name, None)).cloned().unwrap_or_else(|| self.empty(name, None))
    }

    /// The sections of this name that have a quoted name, in the order of the file.
    pub fn named(&self, name: &'static str) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(move |section| section.name == name && section.subsection().is_some())
    }

    /// The file's name, for messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    fn empty(&self, name: &'static str, subsection: Option<&str>) -> Section {
        Section {
            name,
            subsection: subsection.map(Into::into),
            file: self.file.clone(),
            home: self.home.clone(),
            place: None,
            values: std::collections::BTreeMap::new(),
        }
    }
}

fn declared<'a>(schema: &'a Schema, block: &Block, file: &str) -> Result<&'a SectionSchema, ConfigError> {
    let folded = fold(&block.section);
    let fail = |message: String| Err(ConfigError::new(file, message).at(block.place));
    let Some(declared) = schema.0.iter().find(|known| fold(known.name) == folded) else {
        let known = nearest(&folded, schema.0.iter().map(|known| known.name));
        let hint = known.map(|known| format!("; did you mean [{known}]?")).unwrap_or_default();
        return fail(format!("unknown section [{}]{hint}", block.section));
    };
    match (&block.subsection, declared.named) {
        (Some(name), false) => {
            fail(format!("section [{0}] takes no name, but has `{name}`; write [{0}]", declared.name))
        }
        (None, true) => fail(format!("section [{0}] needs a name; write [{0} \"…\"]", declared.name)),
        _ => Ok(declared),
    }
}

fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    known.min_by_key(|known| strsim::damerau_levenshtein(name, &fold(known)))
}
