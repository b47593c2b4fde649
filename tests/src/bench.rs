//! Where a case works: a fresh label in the backend's zone, and the checks that every step passes through.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use dnsprovider::{
    ApplyContext, Capabilities, Change, ChangeSet, Chunked, Claim, ClaimedSet, DnsProvider, DnsProviderExt, Entry,
    ErrorKind, Fqdn, RecordData, RrKey, RrSet, RrType, Snapshot, Ttl, Unit, Version, Zone, diff,
};

use crate::case::{Failure, ensure};
use crate::setup::{Alive, Setup};
use crate::verdict::{Verdict, verdicts, worst};

/// The name on the suite's own claims.
const CLAIM: &str = "conformance";
/// The name on the claims of the other writer.
const OTHER: &str = "somebody-else";

/// A backend with a fresh label in its zone: `c-<random>.<apex>`.
///
/// Beside the label a neighbor's set is put, `n-<random>.<apex>`, which must outlive the case unchanged.
#[derive(Debug)]
pub struct Bench {
    /// The backend.
    pub provider: Arc<dyn DnsProvider>,
    /// The zone.
    pub zone: Zone,
    /// What the backend can do.
    pub can: Capabilities,
    label: Fqdn,
    neighbor: ClaimedSet,
    apex_before: Vec<ClaimedSet>,
    /// Names used so far, for hosts whose zone cannot be listed.
    names: Mutex<BTreeSet<Fqdn>>,
    _alive: Vec<Box<dyn Alive>>,
}

/// Record data of a type from texts: addresses, a target, or texts.
pub fn records(rr_type: &RrType, texts: &[&str]) -> Vec<RecordData> {
    let record = |text: &&str| match rr_type {
        RrType::A => RecordData::A(text.parse().expect("an IPv4 address")),
        RrType::Aaaa => RecordData::Aaaa(text.parse().expect("an IPv6 address")),
        RrType::Cname => RecordData::Cname(Fqdn::parse(text).expect("a name")),
        RrType::Txt => RecordData::txt(text),
        RrType::Other(_) => RecordData::Opaque((*text).into()),
    };
    texts.iter().map(record).collect()
}

impl Bench {
    //------- Values ---------------------------------------------------------

    /// The name `relative` below the label; the label itself for an empty text.
    pub fn name(&self, relative: &str) -> Fqdn {
        self.label.prepend(relative).expect("the suite's names are short enough")
    }

    /// A set below the label with the suite's claim (where the host stores claims), and TTL 180 within the host's bounds.
    pub fn set(&self, relative: &str, rr_type: RrType, texts: &[&str]) -> ClaimedSet {
        self.set_at(self.name(relative), rr_type, texts)
    }

    /// An A set, as [`Bench::set`].
    pub fn a(&self, relative: &str, addresses: &[&str]) -> ClaimedSet {
        self.set(relative, RrType::A, addresses)
    }

    /// As [`Bench::set`], at any name.
    pub fn set_at(&self, owner: Fqdn, rr_type: RrType, texts: &[&str]) -> ClaimedSet {
        let limits = &self.can.limits;
        let ttl = Ttl::from_secs(180).expect("180 is a TTL").clamp(limits.min_ttl, limits.max_ttl);
        let records = records(&rr_type, texts);
        let set = RrSet::new(RrKey::new(owner, rr_type), ttl, records).expect("the suite's sets are sets");
        ClaimedSet { set, claim: self.claim(CLAIM) }
    }

    /// The same set with another TTL.
    pub fn with_ttl(held: &ClaimedSet, ttl: Ttl) -> ClaimedSet {
        let set = RrSet::new(held.set.key().clone(), ttl, held.set.records().to_vec()).expect("it was a set");
        ClaimedSet { set, claim: held.claim.clone() }
    }

    /// The same set under the claim of another writer (on hosts without claims: the same).
    pub fn of_another(&self, held: &ClaimedSet) -> ClaimedSet {
        ClaimedSet { set: held.set.clone(), claim: self.claim(OTHER) }
    }

    /// True when the host writes this type.
    pub fn writes(&self, rr_type: &RrType) -> bool {
        self.can.record_types.contains(rr_type)
    }

    fn claim(&self, name: &str) -> Option<Claim> {
        self.can.claims.then(|| Claim::without_credits(name, "federation"))
    }

    //------- Reading --------------------------------------------------------

    /// What the zone holds at and below the label.
    ///
    /// # Errors
    /// When reading fails, or what is read is not in the form that the contract demands.
    pub async fn read(&self) -> Result<Snapshot, Failure> {
        let mut snapshot = self.read_everything().await?;
        snapshot.entries.retain(|owner, _| owner.is_at_or_below(&self.label));
        Ok(snapshot)
    }

    /// What the zone holds at the names used so far or, where it can be listed, everywhere.
    pub(crate) async fn read_everything(&self) -> Result<Snapshot, Failure> {
        let snapshot = if self.can.enumeration {
            self.provider.read_zone(&self.zone.id).await?
        } else {
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner).clone();
            names.extend([self.neighbor.set.owner().clone(), self.zone.apex.clone()]);
            self.provider.read_names(&self.zone.id, &names.into_iter().collect::<Vec<_>>()).await?
        };
        for (owner, entries) in &snapshot.entries {
            ensure!(!entries.is_empty(), "`{owner}` was read with no set at all");
            for pair in entries.windows(2) {
                let order = pair[0].key().cmp(pair[1].key());
                ensure!(order.is_lt() || self.can.shared_sets, "`{}` was read twice", pair[1].key());
            }
            for entry in entries {
                ensure!(entry.key().owner == *owner, "`{}` was read under the name `{owner}`", entry.key());
            }
        }
        Ok(snapshot)
    }

    /// Demands that the label holds exactly these sets.
    ///
    /// # Errors
    /// With all that is missing, too much or different.
    pub async fn expect(&self, desired: &[ClaimedSet]) -> Result<(), Failure> {
        let held = self.read().await?;
        let left = diff(&held, &by_key(desired), |_| true);
        ensure!(left.is_empty() && held.len() == desired.len(), "the zone is not as it should be: {}", describe(&left));
        Ok(())
    }

    //------- Changing -------------------------------------------------------

    /// Brings the label from what it holds to what is desired, and demands that nothing is left to change.
    ///
    /// # Errors
    /// When a change was not done, or the zone differs afterwards.
    pub async fn migrate(&self, desired: &[ClaimedSet]) -> Result<(), Failure> {
        self.remember(desired.iter().map(|held| held.set.owner()));
        let changes = diff(&self.read().await?, &by_key(desired), |_| true);
        let chunked = Chunked::new(Arc::clone(&self.provider));
        let verdicts = self.apply_through(&chunked, &changes, &ApplyContext::default()).await?;
        if let Some((key, verdict)) = verdicts.iter().find(|(_, verdict)| **verdict != Verdict::Done) {
            return Err(Failure::new(format!("changing `{key}` gave {verdict:?} instead of Done")));
        }
        self.expect(desired).await
    }

    /// Applies in one call, and demands that the outcomes tell the truth: exactly one for each key, what is `Done` is
    /// stored, what is not is as before.
    ///
    /// # Errors
    /// When an outcome lies.
    pub async fn apply(&self, changes: &ChangeSet) -> Result<BTreeMap<RrKey, Verdict>, Failure> {
        self.apply_through(&self.provider, changes, &ApplyContext::default()).await
    }

    /// As [`Bench::apply`], under a context.
    ///
    /// # Errors
    /// When an outcome lies.
    pub async fn apply_within(
        &self,
        changes: &ChangeSet,
        context: &ApplyContext,
    ) -> Result<BTreeMap<RrKey, Verdict>, Failure> {
        self.apply_through(&self.provider, changes, context).await
    }

    async fn apply_through(
        &self,
        provider: &dyn DnsProvider,
        changes: &ChangeSet,
        context: &ApplyContext,
    ) -> Result<BTreeMap<RrKey, Verdict>, Failure> {
        self.remember(changes.changes().map(|change| &change.key.owner));
        let before = self.read_everything().await?;
        let verdicts = verdicts(changes, provider.apply(&self.zone.id, changes, context).await)?;
        let after = self.read_everything().await?;
        for change in changes.changes() {
            let verdict = verdicts[&change.key];
            let held = sets_for(&after, change);
            match verdict {
                Verdict::Done => {
                    let stored = change.after.iter().all(|wanted| held.contains(&wanted));
                    let gone =
                        change.before.iter().all(|old| Some(old) == change.after.as_ref() || !held.contains(&old));
                    ensure!(stored && gone, "`{}` is reported as done; the zone holds {held:?}", change.key);
                }
                Verdict::Unknown => {}
                _ => {
                    let untouched = held == sets_for(&before, change);
                    ensure!(untouched, "`{}` is reported as {verdict:?} and yet it changed to {held:?}", change.key);
                }
            }
        }
        let touched: BTreeSet<_> = changes.changes().map(|change| &change.key).collect();
        let rest = |snapshot: &Snapshot| -> Vec<ClaimedSet> {
            let others = snapshot.iter().filter(|entry| !touched.contains(entry.key()) && self.is_ours(entry));
            others.map(|entry| entry.data.clone()).collect()
        };
        ensure!(rest(&before) == rest(&after), "sets outside the change set changed");
        Ok(verdicts)
    }

    /// Applies one unit in one call and gives the worst verdict.
    ///
    /// # Errors
    /// When an outcome lies.
    pub async fn apply_unit(&self, changes: Vec<Change>) -> Result<Verdict, Failure> {
        let verdicts = self.apply(&ChangeSet { units: vec![Unit { changes }] }).await?;
        Ok(worst(verdicts.values()))
    }

    /// Demands that a unit is refused, whole, with one of the given kinds.
    ///
    /// # Errors
    /// When it was done, or refused otherwise.
    pub async fn expect_refusal(&self, changes: Vec<Change>, kinds: &[ErrorKind]) -> Result<(), Failure> {
        let before = self.read().await?;
        let verdict = self.apply_unit(changes).await?;
        let right = matches!(verdict, Verdict::Refused(kind) if kinds.contains(&kind));
        ensure!(right, "it should be refused with one of {kinds:?}; it gave {verdict:?}");
        ensure!(data(&before) == data(&self.read().await?), "it was refused and yet the zone changed");
        Ok(())
    }

    /// A change that creates, decided on what the zone is now.
    ///
    /// # Errors
    /// When reading fails.
    pub async fn creation(&self, after: ClaimedSet) -> Result<Change, Failure> {
        let version = self.read_everything().await?.version;
        Ok(Change::create(after, version))
    }

    /// What the zone holds at the key of `of`, to be changed.
    ///
    /// # Errors
    /// When there is no such set.
    pub async fn entry(&self, of: &ClaimedSet) -> Result<Entry, Failure> {
        self.remember([of.set.owner()]);
        let held = self.read().await?;
        let mut entries = held.at(of.set.owner()).iter();
        let found = entries.find(|entry| entry.key() == of.set.key() && entry.data.claim_name() == of.claim_name());
        found.cloned().ok_or_else(|| Failure::new(format!("`{}` should stand in the zone", of.set.key())))
    }

    pub(crate) fn remember<'a>(&self, names: impl IntoIterator<Item = &'a Fqdn>) {
        let mut known = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(names.into_iter().filter(|name| name.is_at_or_below(&self.zone.apex)).cloned());
    }

    /// At or below the label, the neighbor, or at the apex; on a zone that others use, only there nothing else happens.
    fn is_ours(&self, entry: &Entry) -> bool {
        let owner = &entry.key().owner;
        owner.is_at_or_below(&self.label) || owner == self.neighbor.set.owner()
    }

    //------- Before and after -----------------------------------------------

    pub(crate) async fn open(setup: Setup) -> Result<Self, Failure> {
        let Setup { provider, apex, alive, .. } = setup;
        let zone = provider.find_zone(Some(&apex), None).await?;
        let random = std::hash::RandomState::new().build_hasher().finish();
        let neighbor = apex.prepend(&format!("n-{random:016x}")).map_err(|error| Failure::new(error.to_string()))?;
        let label = apex.prepend(&format!("c-{random:016x}")).map_err(|error| Failure::new(error.to_string()))?;
        let mut bench = Self {
            can: provider.capabilities(),
            provider,
            zone,
            label,
            neighbor: ClaimedSet::unclaimed(
                RrSet::new(
                    RrKey::new(neighbor.clone(), RrType::A),
                    Ttl::from_secs(0).expect("0 is a TTL"),
                    records(&RrType::A, &["192.0.2.250"]),
                )
                .expect("one address is a set"),
            ),
            apex_before: Vec::new(),
            names: Mutex::default(),
            _alive: alive,
        };
        bench.neighbor = bench.of_another(&bench.set_at(neighbor, RrType::A, &["192.0.2.250", "192.0.2.251"]));

        let held = bench.read_everything().await?;
        let mark = apex.prepend(Setup::MARK).map_err(|error| Failure::new(error.to_string()))?;
        let empty = held.entries.keys().all(|owner| *owner == apex);
        let at_mark = bench.provider.read_names(&bench.zone.id, std::slice::from_ref(&mark)).await?;
        let marked = at_mark.get(&RrKey::new(mark.clone(), RrType::Txt)).is_some();
        ensure!(empty || marked, "the zone is neither empty nor a test zone; hint: a TXT set at `{mark}` makes it one");
        bench.apex_before = bench.delegation(&held);

        let change = Change::create(bench.neighbor.clone(), held.version.clone());
        let verdict = bench.apply_unit(vec![change]).await?;
        ensure!(verdict == Verdict::Done, "creating the neighbor's set gave {verdict:?}");
        Ok(bench)
    }

    /// Removes what the case has put, and demands that it was all, that the neighbor's set and SOA and NS are as before,
    /// and that nothing is left.
    pub(crate) async fn close(&self) -> Result<(), Failure> {
        self.migrate(&[]).await.map_err(|failure| failure.at("cleaning up"))?;
        let held = self.read_everything().await?;
        let neighbor = held.at(self.neighbor.set.owner());
        let unchanged = matches!(neighbor, [entry] if entry.data == self.neighbor);
        ensure!(unchanged, "the neighbor's set was changed: {neighbor:?}");
        ensure!(self.delegation(&held) == self.apex_before, "SOA or NS at the apex were changed");

        let verdict = self.apply_unit(neighbor.iter().map(Change::delete).collect()).await?;
        ensure!(verdict == Verdict::Done, "deleting the neighbor's set gave {verdict:?}");
        let held = self.read_everything().await?;
        let left: Vec<_> = held.iter().filter(|entry| self.is_ours(entry)).map(Entry::key).collect();
        ensure!(left.is_empty(), "sets were left behind: {left:?}");
        Ok(())
    }

    /// NS at the apex with its data, SOA without: its serial grows.
    fn delegation(&self, held: &Snapshot) -> Vec<ClaimedSet> {
        let at_apex = held.at(&self.zone.apex).iter().map(|entry| entry.data.clone());
        at_apex.filter(|data| data.set.rr_type().as_str() == "NS").collect()
    }
}

/// What stands at the key of a change, without sets of third parties on hosts that share sets.
fn sets_for<'a>(snapshot: &'a Snapshot, change: &Change) -> Vec<&'a ClaimedSet> {
    let claims: Vec<_> = change.before.iter().chain(&change.after).map(ClaimedSet::claim_name).collect();
    let at_key = snapshot.at(&change.key.owner).iter().filter(|entry| *entry.key() == change.key);
    at_key.map(|entry| &entry.data).filter(|data| claims.contains(&data.claim_name())).collect()
}

/// All sets without their versions.
pub(crate) fn data(snapshot: &Snapshot) -> Vec<ClaimedSet> {
    snapshot.iter().map(|entry| entry.data.clone()).collect()
}

fn by_key(desired: &[ClaimedSet]) -> BTreeMap<RrKey, ClaimedSet> {
    desired.iter().map(|held| (held.set.key().clone(), held.clone())).collect()
}

fn describe(changes: &ChangeSet) -> String {
    let lines = changes.changes().map(|change| {
        format!(
            "\n    still to do: {:?} `{}` from {:?} to {:?}",
            change.action(),
            change.key,
            change.before,
            change.after
        )
    });
    lines.take(5).collect()
}

/// A version that no write has.
pub(crate) fn no_version() -> Version {
    Version::default()
}
