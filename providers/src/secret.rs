//! Where a secret comes from.

use std::path::PathBuf;
use std::{fs, io};

use secrecy::SecretString;

/// A secret of a config file: the value itself, or the file that holds it (key `k-file` for a key `k`).
///
/// `Debug` shows the path, never a value.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// Written in the config file.
    Inline(SecretString),
    /// To be read anew at every use, so that a rotated file is picked up without a restart.
    File(PathBuf),
}

impl SecretSource {
    /// The secret as it is now. Line ends at the end of a file do not belong to it.
    ///
    /// # Errors
    /// When the file cannot be read, is not UTF-8 or is empty; the message names the path.
    pub fn read(&self) -> io::Result<SecretString> {
        match self {
            Self::Inline(secret) => Ok(secret.clone()),
            Self::File(path) => {
                let fail = |kind, what: &str| {
                    io::Error::new(kind, format!("reading the secret file `{}`: {what}", path.display()))
                };
                let text = fs::read_to_string(path).map_err(|error| fail(error.kind(), &error.to_string()))?;
                match text.trim_end_matches(['\r', '\n']) {
                    "" => Err(fail(io::ErrorKind::InvalidData, "it is empty")),
                    secret => Ok(SecretString::from(secret)),
                }
            }
        }
    }
}
