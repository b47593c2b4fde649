//! The few styles in use, each for one meaning.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

/// Something new, or well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Something changed, or to be looked at.
pub(crate) const CHANGED: Style = AnsiColor::Yellow.on_default();
/// Something that goes, or is wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
/// A heading.
pub(crate) const HEAD: Style = Style::new().bold();
/// What may be skipped.
pub(crate) const ASIDE: Style = Style::new().dimmed();

/// The text in that style.
pub(crate) fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// `1 set`, `2 sets`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
