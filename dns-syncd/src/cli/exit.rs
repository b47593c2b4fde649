//! How a command ends.

use std::process::ExitCode;

use dns_sync_core::report::PlanReport;
use dns_syncd::config::ConfigError;
use dnsprovider::{Error, ErrorKind};

/// What a command that did not fail tells its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// `plan --detailed-exitcode`: there are changes.
    Changes,
    /// Done, but something was held or refused.
    Withheld,
}

impl Exit {
    /// [`Exit::Withheld`] where something was, else [`Exit::Done`].
    pub(crate) fn unless(withheld: bool) -> Self {
        if withheld { Self::Withheld } else { Self::Done }
    }

    /// What a plan amounts to, as `apply` ends.
    pub(crate) fn of(plan: &PlanReport) -> Self {
        Self::unless(!plan.held.is_empty() || !plan.refused.is_empty())
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Changes => Self::from(3),
            Exit::Withheld => Self::from(4),
        }
    }
}

/// The code of a failure: 2 where a person has to mend usage or config, else 1.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    let is_usage = error.chain().any(|cause| {
        cause.is::<ConfigError>()
            || cause.downcast_ref::<Error>().is_some_and(|error| error.kind() == ErrorKind::ConfigInvalid)
    });
    if is_usage { 2 } else { 1 }
}

/// The error and its causes on one line, hints last. The only place that walks the chain.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let (mut text, mut hints) = (String::new(), String::new());
    for cause in error.chain().map(ToString::to_string) {
        let (what, hint) = cause.split_once(HINT).unwrap_or((&cause, ""));
        if text.is_empty() {
            what.clone_into(&mut text);
        } else if !text.ends_with(what) {
            text.push_str(": ");
            text.push_str(what);
        }
        if !hint.is_empty() && !hints.ends_with(hint) {
            hints.push_str(HINT);
            hints.push_str(hint);
        }
    }
    text + &hints
}

/// Stands between what is wrong and what to do.
const HINT: &str = "; hint: ";

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_chain_names_each_cause_once() {
        let error = anyhow!("no route").context("asking `a`: no route").context("reading the zone");
        assert_eq!(chain(&error), "reading the zone: asking `a`: no route");
    }

    #[test]
    fn a_hint_comes_last() {
        let error = anyhow!("address in use").context("listening on `a`; hint: set `listen`");
        assert_eq!(chain(&error), "listening on `a`: address in use; hint: set `listen`");
    }

    #[test]
    fn a_wrong_config_is_bad_usage_wherever_it_is_found() {
        let config = anyhow::Error::new(ConfigError::new("no zone")).context("reading");
        let provider = Error::new(ErrorKind::ConfigInvalid, "coredns", "half a pair");
        let remote = Error::new(ErrorKind::Unavailable, "coredns", "etcd does not answer");
        assert_eq!((code(&config), code(&provider.into()), code(&remote.into())), (2, 2, 1));
    }
}
