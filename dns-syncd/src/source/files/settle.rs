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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::scan::{Candidate, Stamp};
    use super::*;

    fn stamp(inode: u64, size: u64, real: &str) -> Stamp {
        Stamp { size, modified: (0, 0), id: (1, inode), real: real.into() }
    }

    /// A listing of `member/file` paths.
    fn listing(files: &[(&str, Stamp)]) -> Listing {
        let mut listing = Listing::default();
        for (path, stamp) in files {
            let member = path.split('/').next().unwrap();
            let candidate: &mut Candidate = listing.members.entry(member.to_owned()).or_default();
            candidate.files.insert(path.into(), stamp.clone());
        }
        listing
    }

    /// Settling in which the listing was used.
    fn after(listing: &Listing) -> Settling {
        let mut settling = Settling::default();
        settling.observe(listing, &none(), ms(0));
        for (name, candidate) in &listing.members {
            settling.used(name, Some(&candidate.files));
        }
        settling
    }

    fn none() -> BTreeSet<PathBuf> {
        BTreeSet::new()
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn ready(names: &[&str]) -> Verdict {
        Verdict { ready: names.iter().map(ToString::to_string).collect(), look_at: None }
    }

    fn wait(millis: u64) -> Verdict {
        Verdict { ready: BTreeSet::new(), look_at: Some(ms(millis)) }
    }

    #[test]
    fn what_did_not_change_is_not_read_again() {
        let same = listing(&[("a", stamp(1, 1, "a"))]);
        assert_eq!(after(&same).observe(&same, &none(), ms(999)), ready(&[]));
    }

    #[test]
    fn a_changed_file_is_ready_once_it_has_held() {
        let mut settling = after(&listing(&[("a", stamp(1, 1, "a")), ("b", stamp(2, 1, "b"))]));
        let growing = |size| listing(&[("a", stamp(1, size, "a")), ("b", stamp(2, 1, "b"))]);
        assert_eq!(settling.observe(&growing(2), &none(), ms(1000)), wait(1200));
        assert_eq!(settling.observe(&growing(2), &none(), ms(1199)), wait(1200));
        assert_eq!(settling.observe(&growing(3), &none(), ms(1199)), wait(1399), "it grew: the time begins anew");
        assert_eq!(settling.observe(&growing(3), &none(), ms(1399)), ready(&["a"]));
    }

    #[test]
    fn a_file_with_another_inode_may_still_be_written() {
        let mut settling = after(&listing(&[("a", stamp(1, 1, "a"))]));
        assert_eq!(settling.observe(&listing(&[("a", stamp(9, 1, "a"))]), &none(), ms(0)), wait(200));
    }

    #[test]
    fn a_renamed_file_is_ready_at_once() {
        let mut settling = after(&listing(&[("a", stamp(1, 1, "a"))]));
        let renamed = BTreeSet::from([PathBuf::from("a")]);
        assert_eq!(settling.observe(&listing(&[("a", stamp(9, 1, "a"))]), &renamed, ms(0)), ready(&["a"]));
    }

    #[test]
    fn a_rename_that_is_heard_late_still_counts() {
        let mut settling = after(&listing(&[("a", stamp(1, 1, "a"))]));
        let swapped = listing(&[("a", stamp(9, 1, "a"))]);
        assert_eq!(settling.observe(&swapped, &none(), ms(0)), wait(200));
        assert_eq!(settling.observe(&swapped, &BTreeSet::from(["a".into()]), ms(1)), ready(&["a"]));
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_ready_at_once() {
        let mut settling = after(&listing(&[("a", stamp(1, 1, "..one/a"))]));
        assert_eq!(settling.observe(&listing(&[("a", stamp(9, 1, "..two/a"))]), &none(), ms(0)), ready(&["a"]));
    }

    #[test]
    fn a_folder_waits_for_its_last_file() {
        let mut settling = after(&listing(&[("c/a", stamp(1, 1, "a")), ("c/b", stamp(2, 1, "b"))]));
        let changed = listing(&[("c/a", stamp(8, 1, "a")), ("c/b", stamp(2, 7, "b"))]);
        assert_eq!(settling.observe(&changed, &BTreeSet::from(["c/a".into()]), ms(0)), wait(200));
        let mut settling = after(&listing(&[("c/a", stamp(1, 1, "a"))]));
        let moved_in = listing(&[("c/a", stamp(8, 1, "a")), ("c/b", stamp(9, 1, "b"))]);
        assert_eq!(settling.observe(&moved_in, &BTreeSet::from(["c".into()]), ms(0)), ready(&["c"]));
    }

    #[test]
    fn a_file_that_is_gone_must_stay_away_as_well() {
        let mut settling =
            after(&listing(&[("c/a", stamp(1, 1, "a")), ("c/b", stamp(2, 1, "b")), ("d", stamp(3, 1, "d"))]));
        let less = listing(&[("c/a", stamp(1, 1, "a"))]);
        assert_eq!(settling.observe(&less, &none(), ms(0)), wait(200));
        assert_eq!(settling.observe(&less, &none(), ms(200)), ready(&["c", "d"]));
        settling.used("c", less.members.get("c").map(|candidate| &candidate.files));
        settling.used("d", None);
        assert_eq!(settling.observe(&less, &none(), ms(201)), ready(&[]), "its absence was told");
    }

    #[test]
    fn a_file_that_comes_and_goes_before_it_is_read_is_nothing() {
        let mut settling = after(&listing(&[]));
        assert_eq!(settling.observe(&listing(&[("a", stamp(1, 1, "a"))]), &none(), ms(0)), wait(200));
        assert_eq!(settling.observe(&listing(&[]), &none(), ms(100)), ready(&[]));
    }

    #[test]
    fn after_the_folder_was_lost_every_member_must_hold_anew() {
        let both = listing(&[("a", stamp(1, 1, "a")), ("b", stamp(2, 1, "b"))]);
        let mut settling = after(&both);
        settling.forget();
        let one = listing(&[("a", stamp(1, 1, "a"))]);
        assert_eq!(settling.observe(&one, &none(), ms(5000)), wait(5200));
        assert_eq!(settling.observe(&one, &none(), ms(5200)), ready(&["a", "b"]), "`b` stayed away: that is told");
    }
}
