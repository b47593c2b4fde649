//! Data on standard output, remarks on standard error.
//!
//! Each file renders one kind of report as text that people like to read; scripts use `--output json`, which is the
//! report itself. Colors are always written here and dropped by the stream where nobody sees them: not a terminal, or
//! `NO_COLOR` is set.
//! In: reports · Out: text · Pure: all but the `print`s.

pub(crate) mod answers;
pub(crate) mod check;
pub(crate) mod clusters;
pub(crate) mod explain;
pub(crate) mod plan;
pub(crate) mod records;
pub(crate) mod refused;
pub(crate) mod style;
pub(crate) mod table;

use std::io::{self, Write};

use serde::Serialize;

/// Writes data to standard output.
///
/// # Errors
/// When it cannot be written. A reader that went away (`| head`) is no error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    unless_broken(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Writes data to standard output as JSON on one line.
///
/// # Errors
/// As [`print`].
pub(crate) fn print_json(data: &impl Serialize) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let written = serde_json::to_writer(&mut out, data).map_err(io::Error::from);
    unless_broken(written.and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()))
}

/// Writes a remark to standard error; one that cannot be written is lost.
pub(crate) fn remark(text: &str) {
    let mut out = anstream::stderr().lock();
    let _ = out.write_all(text.as_bytes());
}

fn unless_broken(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
