//! The syntax of gcfg's dialect: octets to a [`Document`].
//!
//! In: octets of a file · Out: [`Document`] · Pure: yes · Called by: mod.rs
//!
//! Each function begins where its part begins and leaves the scanner right behind it.

use std::iter::Peekable;
use std::str::Chars;

use super::{Block, ConfigError, Document, Entry, Place};

pub(super) fn document(octets: &[u8], file: &str) -> Result<Document, ConfigError> {
    let (text, bad) = match std::str::from_utf8(octets) {
        Ok(text) => (text, false),
        Err(error) => (std::str::from_utf8(&octets[..error.valid_up_to()]).unwrap_or_default(), true),
    };
    let mut scanner = Scanner { chars: text.chars().peekable(), place: Place { line: 1, column: 1 }, file };
    let mut blocks: Vec<Block> = Vec::new();
    // Octets that are not UTF-8 may stand anywhere, also in a comment. They are looked for before the syntax, so that
    // the cut text does not raise errors of its own.
    if bad || text.contains('\0') {
        while scanner.peek().is_some_and(|char| char != '\0') {
            scanner.next();
        }
        let what = if scanner.peek() == Some('\0') { "a NUL character" } else { "octets that are not UTF-8" };
        return Err(scanner.error(format!("{what}; save the file as plain UTF-8 text")));
    }
    loop {
        scanner.skip_blanks();
        match scanner.peek() {
            None => return Ok(Document { file: file.into(), blocks }),
            Some('\n') => _ = scanner.next(),
            Some('#' | ';') => scanner.skip_comment(),
            Some('[') => blocks.push(scanner.header()?),
            Some(_) => {
                let Some(block) = blocks.last_mut() else {
                    return Err(scanner.before_any_section());
                };
                block.entries.push(scanner.entry()?);
            }
        }
    }
}

struct Scanner<'a> {
    chars: Peekable<Chars<'a>>,
    /// Of the next character.
    place: Place,
    file: &'a str,
}

impl Scanner<'_> {
    fn peek(&mut self) -> Option<char> {
        self.chars.peek().copied()
    }

    fn next(&mut self) -> Option<char> {
        let char = self.chars.next()?;
        if char == '\n' {
            self.place = Place { line: self.place.line.saturating_add(1), column: 1 };
        } else {
            self.place.column = self.place.column.saturating_add(1);
        }
        Some(char)
    }

    fn error(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::new(self.file, message).at(self.place)
    }

    fn before_any_section(&mut self) -> ConfigError {
        match self.peek() {
            Some('\u{feff}') => self.error("illegal character U+FEFF; save the file without a byte order mark"),
            _ => self.error("expected a section header, such as [Global], before the first key"),
        }
    }

    /// A carriage return is a blank: lines may end as on Windows.
    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\r')) {
            self.next();
        }
    }

    fn skip_comment(&mut self) {
        while self.peek().is_some_and(|char| char != '\n') {
            self.next();
        }
    }

    /// Takes a letter, then letters, digits and `-`.
    fn identifier(&mut self, what: &str) -> Result<String, ConfigError> {
        let mut name = String::new();
        while let Some(char) = self.peek() {
            if !(char.is_alphabetic() || !name.is_empty() && (char.is_numeric() || char == '-')) {
                break;
            }
            name.push(char);
            self.next();
        }
        match self.peek() {
            Some(char) if name.is_empty() => Err(self.error(format!(
                "illegal character {} at the beginning of a {what}; it begins with a letter",
                shown(char)
            ))),
            None if name.is_empty() => Err(self.error(format!("expected a {what}"))),
            Some(char @ '_') => Err(self.error(format!("illegal character {} in a {what}; write `-`", shown(char)))),
            _ => Ok(name),
        }
    }

    /// `[Section]` or `[Section "name"]` and the rest of its line.
    fn header(&mut self) -> Result<Block, ConfigError> {
        self.next();
        self.skip_blanks();
        let place = self.place;
        let section = self.identifier("section name")?;
        self.skip_blanks();
        let subsection = if self.peek() == Some('"') { Some(self.subsection()?) } else { None };
        self.skip_blanks();
        match self.peek() {
            Some(']') => _ = self.next(),
            _ if subsection.is_some() => return Err(self.error("expected `]` after the name")),
            Some('.') => {
                return Err(self.error(format!("`[{section}.…]` is not supported; write `[{section} \"…\"]`")));
            }
            _ => return Err(self.error(format!("expected `]` or a quoted name after `{section}`"))),
        }
        self.end_of_line("the section header")?;
        Ok(Block { section, subsection, place, entries: Vec::new() })
    }

    fn subsection(&mut self) -> Result<String, ConfigError> {
        let begin = self.place;
        self.next();
        let mut name = String::new();
        loop {
            let place = self.place;
            match self.next() {
                Some('"') if name.is_empty() => {
                    return Err(self.error("the quoted name is empty; give one or drop the quotes").at(begin));
                }
                Some('"') => return Ok(name),
                Some('\\') => match self.next() {
                    Some(char @ ('\\' | '"')) => name.push(char),
                    _ => return Err(self.error("unknown escape sequence in a section's name").at(place)),
                },
                None | Some('\n') => {
                    return Err(self.error("string not terminated: the closing `\"` is missing").at(begin));
                }
                Some(char) => name.push(char),
            }
        }
    }

    /// `key = value` and the rest of its line.
    fn entry(&mut self) -> Result<Entry, ConfigError> {
        let place = self.place;
        let key = self.identifier("key")?;
        self.skip_blanks();
        match self.peek() {
            Some('=') => _ = self.next(),
            None | Some('\n' | '#' | ';') => {
                return Err(self.error(format!("blank value not supported: write `{key} = …`")).at(place));
            }
            Some(char) => {
                return Err(self.error(format!("illegal character {} after `{key}`; expected `=`", shown(char))));
            }
        }
        self.skip_blanks();
        let value = self.value()?;
        self.end_of_line("the value")?;
        Ok(Entry { key, value, place })
    }

    /// Everything up to a comment or the end of the line. Messages do not show it: it may be a secret.
    fn value(&mut self) -> Result<String, ConfigError> {
        let mut value = String::new();
        // Length up to the last character that is no blank outside quotes.
        let mut end = 0;
        let mut quote = None;
        loop {
            let (place, quoted) = (self.place, quote.is_some());
            match self.peek() {
                None | Some('\n') if let Some(begin) = quote => {
                    return Err(self
                        .error("string not terminated: the closing `\"` is missing on this line")
                        .at(begin));
                }
                None | Some('\n') => break,
                Some('#' | ';') if !quoted => break,
                Some('"') => {
                    quote = if quoted { None } else { Some(place) };
                    end = value.len();
                }
                Some('\\') => {
                    self.next();
                    match self.peek() {
                        Some(char @ ('\\' | '"')) if quoted => value.push(char),
                        Some('n') if quoted => value.push('\n'),
                        Some('t') if quoted => value.push('\t'),
                        _ if quoted => {
                            return Err(self
                                .error(
                                    "unknown escape sequence; inside quotes there are `\\\\`, `\\\"`, `\\n` and `\\t`",
                                )
                                .at(place));
                        }
                        Some('\n') => {}
                        Some('\r') if self.crlf() => {}
                        _ => {
                            return Err(self
                                .error("a `\\` outside quotes only continues a line; put the value in quotes, as `\"a\\\\b\"`")
                                .at(place));
                        }
                    }
                    // A continuation too: blanks before it are inner ones.
                    end = value.len();
                }
                Some('\r') => {}
                Some(char) => {
                    value.push(char);
                    if quoted || !matches!(char, ' ' | '\t') {
                        end = value.len();
                    }
                }
            }
            self.next();
        }
        value.truncate(end);
        Ok(value)
    }

    /// True when the carriage return ahead ends a line; takes it.
    fn crlf(&mut self) -> bool {
        self.next();
        self.peek() == Some('\n')
    }

    fn end_of_line(&mut self, after: &str) -> Result<(), ConfigError> {
        self.skip_blanks();
        match self.peek() {
            None | Some('\n' | '#' | ';') => Ok(()),
            Some(_) => Err(self.error(format!("expected the end of the line or a comment after {after}"))),
        }
    }
}

fn shown(char: char) -> String {
    if char.is_ascii_graphic() { format!("`{char}`") } else { format!("U+{:04X}", u32::from(char)) }
}
