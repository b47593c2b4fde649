//! When a changed member may be read.
//!
//! A file that is being written looks like a shorter file, and a shorter list of services is a shorter list of
//! records. So a change is used only once it has held still; a file that was renamed or swapped into place is complete.
//! In: listings, renames, the time · Out: names of members to read · Pure: yes

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::scan::{Files, Listing};

/// How long size and time of a changed file must hold.
pub(crate) const HOLD: Duration = Duration::from_millis(200);

/// The members' states: seen last, and used last.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    members: BTreeMap<String, Member>,
}

#[derive(Debug, Default)]
struct Member {
    /// `None`: absent.
    seen: Option<Files>,
    since: Duration,
    /// `None`: not used yet, or absent when it was used.
    used: Option<Files>,
    /// It was used once, so its absence is news.
    known: bool,
    /// What was seen last is too old to count.
    stale: bool,
}

/// What to do now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Members that changed and hold still.
    pub(crate) ready: BTreeSet<String>,
    /// When to look again; `None` when nothing is pending.
    pub(crate) look_at: Option<Duration>,
}

impl Settling {
    /// Takes in what lies there at `now` (a clock that never goes back); `renamed` are paths onto which something was
    /// renamed since the last call.
    pub(crate) fn observe(&mut self, listing: &Listing, renamed: &BTreeSet<PathBuf>, now: Duration) -> Verdict {
        for name in listing.members.keys() {
            self.members.entry(name.clone()).or_default();
        }
        let mut verdict = Verdict::default();
        for (name, member) in &mut self.members {
            let seen = listing.members.get(name).map(|candidate| &candidate.files);
            if member.stale || seen != member.seen.as_ref() {
                member.seen = seen.cloned();
                member.since = now;
                member.stale = false;
            }
            if member.is_used() {
                continue;
            }
            let due = member.since + HOLD;
            if now >= due || member.is_swapped(renamed) {
                verdict.ready.insert(name.clone());
            } else {
                verdict.look_at = Some(verdict.look_at.map_or(due, |earlier| earlier.min(due)));
            }
        }
        self.members.retain(|_, member| member.seen.is_some() || !member.is_used());
        verdict
    }

    /// Notes that a member was read in this state; `None` when its absence was told.
    pub(crate) fn used(&mut self, name: &str, files: Option<&Files>) {
        let member = self.members.entry(name.to_owned()).or_default();
        member.used = files.cloned();
        member.known = files.is_some();
    }

    /// Everything has to be read again, once it holds still.
    pub(crate) fn forget(&mut self) {
        for member in self.members.values_mut() {
            member.stale = true;
            member.used = None;
        }
    }
}

impl Member {
    fn is_used(&self) -> bool {
        match &self.seen {
            None => !self.known,
            seen => *seen == self.used,
        }
    }

    /// True when all that differs from what was used came into place whole.
    fn is_swapped(&self, renamed: &BTreeSet<PathBuf>) -> bool {
        let (Some(seen), empty) = (&self.seen, Files::new()) else { return false };
        let used = self.used.as_ref().unwrap_or(&empty);
        let gone = used.keys().any(|path| !seen.contains_key(path));
        let mut changed = seen.iter().filter(|(path, stamp)| used.get(*path) != Some(*stamp));
        !gone
            && changed.all(|(path, stamp)| {
                is_at_or_below(path, renamed) || used.get(path).is_some_and(|before| before.real != stamp.real)
            })
    }
}

fn is_at_or_below(path: &Path, renamed: &BTreeSet<PathBuf>) -> bool {
    path.ancestors().any(|ancestor| renamed.contains(ancestor))
}
