//! `init`, `join` and `unjoin`: the daemon and its members, set up and taken away in one command each.
//!
//! | command | in the host cluster | in the member |
//! |---|---|---|
//! | `init` | a namespace and the objects of the chart: account, config, provider's file, Deployment | |
//! | `join` | a kubeconfig in the Secret that the daemon mounts | a namespace, an account with the least rights, its token; a block in the cluster's DNS |
//! | `unjoin` | the kubeconfig goes, and the daemon is told | all of it goes |
//!
//! Every object carries the label `app.kubernetes.io/managed-by: dns-syncd`; one without it is refused, not written over.
//! A second run changes nothing, and finishes what a first one could not. Each object is applied on the server's side, so
//! what others set in it stays theirs.
//!
//! `manifests` says what the objects are, `objects` writes them, `federation` reads what `init` left, `joined` who has joined, `rights` asks what may be done, `access` makes the
//! kubeconfig, `names` edits the member's DNS, `place` says where it is, `daemon` asks the pods.

mod access;
mod args;
mod config_file;
mod contexts;
mod daemon;
mod federation;
mod init;
mod join;
mod joined;
mod manifests;
mod names;
mod objects;
mod place;
mod report;
mod rights;
mod this_machine;
mod unjoin;

pub use self::args::{ClusterDns, Host, InitArgs, JoinArgs, Member, UnjoinArgs, without_use};
pub use self::init::Init;
pub use self::join::{Join, join};
pub use self::report::{Action, JoiningError, Listener, Step};
pub use self::unjoin::unjoin;

use self::report::Result;

/// What came of a command that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is done.
    Done,
    /// All but something that is left to a person; it was said.
    Withheld,
}

/// Checks a name that becomes a label of DNS names and a part of the names of objects.
fn label(what: &str, name: &str) -> Result<()> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = name.len() <= 63 && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-');
    if fits && !name.is_empty() {
        return Ok(());
    }
    Err(JoiningError::usage(format!(
        "`{name}` cannot be the name of {what}: it is no DNS label, at most 63 lower-case letters, digits and `-`, with a \
         letter or digit at both ends"
    )))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_label_in_lower_case() {
        for name in ["a", "eu-1", &"a".repeat(63)] {
            assert!(label("a cluster", name).is_ok(), "{name}");
        }
        for name in ["", "-a", "a-", "a.b", "A", "a_b", "ä", &"a".repeat(64)] {
            let error = label("a cluster", name).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("`{name}` cannot be the name of a cluster: it is no DNS label")),
                "{error}"
            );
        }
    }
}
