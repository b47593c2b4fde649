//! Golden scenarios: scripts of cluster events and clock steps, and the plans that must come of them.
//!
//! `scenarios/NAME.txt` is the script, `scenarios/NAME.out` what it must print. `UPDATE_SCENARIOS=1` rewrites the
//! latter; read the difference before it is committed. The language is that of `Script::line`.
//!
//! Each script runs on hosts of several kinds, which must all print the same: one that stores claims, and three that do
//! not. A script that sets a capability runs where that makes sense.

#![expect(clippy::unwrap_used, reason = "a failed test may panic")]
#![expect(clippy::disallowed_methods, reason = "the variable that rewrites the expectations")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dns_sync_core::hosts::Resolution;
use dns_sync_core::ledger::release::attach;
use dns_sync_core::zone::ZoneView;
use dns_sync_core::{
    Adopt, AllUnhealthy, ClusterAnswer, Endpoint, Place, Problem, Reconciler, ServiceCopy, ServiceId, Settings,
    SourceEvent, Timestamp,
};
use dnsprovider::capabilities::Atomicity;
use dnsprovider::store::ZoneStore;
use dnsprovider::{
    Blocks, Capabilities, Claim, ClaimedSet, Entry, Fqdn, Outcome, RecordData, RrKey, RrSet, RrType, Ttl, Version,
    memory,
};

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { run(stringify!($name)); })*
        #[test]
        fn every_script_is_run() {
            let listed: BTreeSet<&str> = [$(stringify!($name)),*].into();
            for entry in std::fs::read_dir(folder()).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let stem = name.split('.').next().unwrap();
                assert!(listed.contains(stem), "{name} is not listed in scenarios.rs");
            }
        }
    };
}

scenarios!(
    table_a,
    table_b,
    join_one_by_one,
    unknown_is_not_empty,
    quorum_regained,
    restart_with_a_missing_cluster,
    leaving,
    drain,
    guard,
    foreign_sets,
    etcd_neighbors,
    adopt,
    selectors_and_trust,
    topology,
    load_balancer_names,
    levels_and_limits,
    sources_alone,
    unanswered_region_override,
    lost_topology_counts,
    drained_and_unknown,
    stranger_at_the_region,
    stranger_at_the_global_name,
    stranger_key_at_the_region,
    emptied_names_count_once,
    load_balancer_name_comes_back,
    service_names_that_are_no_labels,
    unjoin_with_override,
    suffix_while_unanswered,
    adopt_exact_on_etcd,
    foreign_key_below,
    foreign_key_appears_below,
    claim_of_others,
    ledger_of_others,
    ledger_and_sets,
    ledger_after_a_move,
    full_host,
    full_host_without_claims,
);

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

/// What kind of host a script runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It stores claims.
    Claims,
    /// It stores none; a call is all or nothing and takes everything.
    Ledgers,
    /// It stores none; a call is all or nothing and takes two changes.
    SmallCalls,
    /// It stores none, and changes set by set.
    SetBySet,
}

fn run(name: &str) {
    let text = std::fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
    let kinds: &[Kind] = if text.contains("\nset shared-sets") || text.contains("\nset stores-claims") {
        &[Kind::Claims]
    } else if text.contains("\nset no-claims") {
        &[Kind::Ledgers, Kind::SmallCalls, Kind::SetBySet]
    } else {
        &[Kind::Claims, Kind::Ledgers, Kind::SmallCalls, Kind::SetBySet]
    };
    for (number, kind) in kinds.iter().enumerate() {
        run_on(name, &text, *kind, number == 0);
    }
}

fn run_on(name: &str, text: &str, kind: Kind, may_update: bool) {
    let mut script = Script::new(kind);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            writeln!(script.out, "{line}").unwrap();
            continue;
        }
        writeln!(script.out, "> {line}").unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        script.line(&words).unwrap_or_else(|| panic!("{name}.txt:{} on {kind:?}: cannot read `{line}`", number + 1));
    }
    let golden = folder().join(format!("{name}.out"));
    if may_update && std::env::var_os("UPDATE_SCENARIOS").is_some() {
        std::fs::write(&golden, &script.out).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(
        expected == script.out,
        "{name} on {kind:?} printed something else than {name}.out:\n{}",
        difference(&expected, &script.out)
    );
}

fn difference(expected: &str, printed: &str) -> String {
    let (expected, printed): (Vec<_>, Vec<_>) = (expected.lines().collect(), printed.lines().collect());
    let at = expected.iter().zip(&printed).take_while(|(a, b)| a == b).count();
    let show = |lines: &[&str]| lines.iter().skip(at).take(8).copied().collect::<Vec<_>>().join("\n  ");
    format!("line {}\nexpected:\n  {}\nprinted:\n  {}", at + 1, show(&expected), show(&printed))
}

struct Script {
    kind: Kind,
    settings: Settings,
    capabilities: Capabilities,
    reconciler: Option<Reconciler>,
    store: ZoneStore,
    clusters: BTreeMap<String, ClusterAnswer>,
    now: Timestamp,
    out: String,
}

impl Script {
    fn new(kind: Kind) -> Self {
        let zone = Fqdn::parse("example.com").unwrap();
        let mut capabilities = memory::capabilities();
        capabilities.claims = kind == Kind::Claims;
        capabilities.atomicity = if kind == Kind::SetBySet { Atomicity::Set } else { Atomicity::Batch };
        Self {
            kind,
            settings: Settings::new("ufp", zone.clone()),
            capabilities,
            reconciler: None,
            store: ZoneStore::new("test", zone),
            clusters: BTreeMap::new(),
            now: Timestamp(1_800_000_000_000),
            out: String::new(),
        }
    }

    /// One line of a script:
    ///
    /// `set KEY VALUE` · `cluster NAME [REGION[/ZONE]]… [label:K=V]…` (answers in full) · `answer NAME` (again, after a
    /// restart) · `joined NAME` · `service NS/NAME CLUSTER ADDRESS… [unready] [ttl=N] [selector=JSON]` ·
    /// `gone NS/NAME CLUSTER` · `unknown NAME` · `disappeared NAME` · `unjoined NAME` · `unreadable NS/NAME` ·
    /// `readable` · `resolved HOST ADDRESS…|negative|failed` · `restart` · `foreign NAME TYPE DATA…` ·
    /// `foreign-key NAME DATA` · `remove NAME TYPE` (by hand) · `wait 5m` · `sync` (plan and write) · `plan` ·
    /// `records` · `zone` · `approve` (what is held) · `set no-claims`, `set stores-claims` (runs on such hosts alone) · `txt NAME TEXT…` (one record, of somebody else) · `ledger NS/NAME` and `ledgers`
    /// (print them)
    fn line(&mut self, words: &[&str]) -> Option<()> {
        match words {
            ["set", key, value @ ..] if !matches!(*key, "no-claims" | "stores-claims") => {
                self.set(key, &value.join(" "))?;
            }
            ["cluster", name, rest @ ..] => {
                let answer = self.clusters.entry((*name).into()).or_default();
                let places = rest.iter().filter(|word| !word.starts_with("label:") && **word != "nowhere");
                let place = |word: &&str| {
                    let (region, zone) = word.split_once('/').unwrap_or((word, ""));
                    Place::new(region.trim_matches('-'), zone)
                };
                answer.places = (!rest.contains(&"nowhere")).then(|| places.map(place).collect());
                let labels = rest.iter().filter_map(|word| word.strip_prefix("label:")?.split_once('='));
                answer.labels = labels.map(|(key, value)| (key.into(), value.into())).collect();
                self.send_answer(name);
            }
            ["answer", name] => self.send_answer(name),
            ["joined", name] => self.send(SourceEvent::Joined { cluster: (*name).into() }),
            ["service", service, cluster, rest @ ..] => {
                let (service, copy) = (service_id(service)?, copy(rest));
                self.clusters.get_mut(*cluster)?.services.insert(service.clone(), copy.clone());
                self.send(SourceEvent::Service { cluster: (*cluster).into(), service, copy: Some(copy) });
            }
            ["gone", service, cluster] => {
                let service = service_id(service)?;
                self.clusters.get_mut(*cluster)?.services.remove(&service);
                self.send(SourceEvent::Service { cluster: (*cluster).into(), service, copy: None });
            }
            ["unknown", name] => {
                self.send(SourceEvent::Unknown { cluster: (*name).into(), since: None, reason: "no answer".into() });
            }
            ["disappeared", name] => self.send(SourceEvent::Disappeared { cluster: (*name).into() }),
            ["unjoined", name] => self.send(SourceEvent::Unjoined { cluster: (*name).into() }),
            ["unreadable", service] => {
                let problem = Problem { cluster: None, service: Some(service_id(service)?), reason: "not JSON".into() };
                self.send(SourceEvent::Problems { origin: "test".into(), problems: vec![problem] });
            }
            ["readable"] => self.send(SourceEvent::Problems { origin: "test".into(), problems: Vec::new() }),
            ["resolved", host, answer @ ..] => {
                let resolution = match answer {
                    ["negative"] => Resolution::Negative,
                    ["failed"] => Resolution::Failed,
                    addresses => Resolution::Addresses(
                        addresses.iter().filter_map(|text| text.parse().ok()).collect(),
                        Duration::from_mins(1),
                    ),
                };
                let now = self.now;
                self.reconciler().plan(now);
                self.reconciler().resolved(host, resolution, now);
            }
            ["restart"] => self.reconciler = None,
            ["foreign", name, rr_type, data @ ..] => self.foreign(name, rr_type, data, Blocks::AsDns)?,
            ["foreign-key", name, data] => self.foreign(name, "A", &[data], Blocks::Name)?,
            ["set", "no-claims"] => assert!(self.kind != Kind::Claims),
            ["set", "stores-claims"] => assert!(self.kind == Kind::Claims),
            ["txt", name, text @ ..] => {
                let key = RrKey::new(Fqdn::parse(name).ok()?, RrType::Txt);
                let set = RrSet::new(key, Ttl::from_secs(300)?, [RecordData::txt(text.join(" "))]).ok()?;
                self.insert(ClaimedSet::unclaimed(set), Blocks::AsDns)?;
            }
            ["ledgers"] => {
                for entry in self.store.entries().filter(|entry| is_ledger_name(entry)) {
                    writeln!(self.out, "    {} {}", entry.key(), entry.data.set.records()[0]).unwrap();
                }
            }
            ["ledger", service] => {
                let service = service_id(service)?;
                let owner = self.reconciler().naming().ledger(&service).ok()?;
                let held = self.store.get(&RrKey::new(owner, RrType::Txt)).map(|entry| entry.data.set.clone());
                let records = held.as_ref().map_or(&[] as &[RecordData], |set| set.records());
                for record in records {
                    writeln!(self.out, "    {record}").unwrap();
                }
                if records.is_empty() {
                    writeln!(self.out, "    none").unwrap();
                }
            }
            ["remove", name, rr_type] => {
                self.store.remove(&RrKey::new(Fqdn::parse(name).ok()?, RrType::from_text(rr_type)))?;
                self.reload();
            }
            ["wait", duration] => self.now = self.now.plus(span(duration)?),
            ["sync"] => self.sync(),
            ["plan"] => self.plan(),
            ["records"] => {
                let now = self.now;
                self.reconciler().plan(now);
                for record in self.reconciler().records(now) {
                    let line =
                        format!("{} {} {} {}", record.name, record.rr_type, record.set.ttl, record.set.rdata.join(" "));
                    writeln!(self.out, "    {line}").unwrap();
                }
            }
            ["zone"] => self.print_zone(),
            ["approve"] => {
                let now = self.now;
                let hash = self.reconciler().held().1.map(str::to_owned)?;
                assert!(self.reconciler().approve(&hash, now));
            }
            _ => return None,
        }
        Some(())
    }

    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        let settings = &mut self.settings;
        let percent = || value.parse().ok();
        match key {
            "ttl" => settings.ttl = Ttl::from_secs(value.parse().ok()?)?,
            "suffix" => settings.suffix = Fqdn::parse(value).ok()?,
            "claim" => settings.claim = value.into(),
            "federation" => settings.federation = value.into(),
            "previous-claim" => settings.previous_claim = Some(value.into()),
            "levels" => {
                settings.region_level = value.contains("region");
                settings.zone_level = value.contains("zone");
            }
            "max-addresses" => settings.max_addresses = Some(value.parse().ok()?),
            "adopt" => settings.adopt = if value == "names" { Adopt::Names } else { Adopt::Exact },
            "all-unhealthy" => settings.all_unhealthy = AllUnhealthy::Keep,
            "sets-per-zone" => {
                self.capabilities.limits.sets_per_zone = Some(value.parse().ok()?);
                if let Some(reconciler) = &mut self.reconciler {
                    reconciler.set_limits(&self.capabilities.limits);
                }
            }
            "external-ips" => settings.external_ips = value == "true",
            "max-delete" => settings.guard.max_delete = percent()?,
            "max-update" => settings.guard.max_update = percent()?,
            "max-emptied" => settings.guard.max_emptied = percent()?,
            "freeze" => settings.guard.freeze = value == "true",
            "one-shot" => *settings = settings.clone().for_one_shot(),
            "sources-alone" => settings.sources_alone = true,
            "shared-sets" => {
                self.capabilities.shared_sets = true;
                self.capabilities.answers_subtree = true;
            }
            cluster => {
                let (name, key) = cluster.split_once('.')?;
                let section = settings.clusters.entry(name.into()).or_default();
                match key {
                    "drain" => section.drain = value == "true",
                    "region" => section.region = Some(value.into()),
                    "zones" => section.zones = Some(value.split(',').map(Into::into).collect()),
                    "namespaces" => section.namespaces = Some(value.split(',').map(Into::into).collect()),
                    "addresses" => section.addresses = Some(vec![value.parse().ok()?]),
                    _ => return None,
                }
            }
        }
        if matches!(key, "suffix" | "federation" | "shared-sets") {
            self.reconciler = None; // these need a restart
        }
        let settings = self.settings.clone();
        if let Some(reconciler) = &mut self.reconciler {
            reconciler.set_settings(settings);
        }
        Some(())
    }

    fn reconciler(&mut self) -> &mut Reconciler {
        let (settings, capabilities, store, now) = (&self.settings, &self.capabilities, &self.store, self.now);
        self.reconciler.get_or_insert_with(|| {
            let mut reconciler = Reconciler::new(settings.clone(), capabilities);
            reconciler.load_zone(store.snapshot().clone(), now);
            reconciler
        })
    }

    fn send(&mut self, event: SourceEvent) {
        let now = self.now;
        self.reconciler().observe(event, now);
    }

    fn send_answer(&mut self, name: &str) {
        let answer = self.clusters[name].clone();
        self.send(SourceEvent::Answer { cluster: name.into(), answer });
    }

    fn foreign(&mut self, name: &str, rr_type: &str, data: &[&str], blocks: Blocks) -> Option<()> {
        let rr_type = RrType::from_text(rr_type);
        let records = data.iter().map(|text| match rr_type {
            RrType::A => text.parse().map(RecordData::A).ok(),
            RrType::Aaaa => text.parse().map(RecordData::Aaaa).ok(),
            RrType::Cname => Fqdn::parse(text).map(RecordData::Cname).ok(),
            _ => Some(RecordData::txt(text)),
        });
        let key = RrKey::new(Fqdn::parse(name).ok()?, rr_type.clone());
        let set = RrSet::new(key, Ttl::from_secs(300)?, records.collect::<Option<Vec<_>>>()?).ok()?;
        self.insert(ClaimedSet::unclaimed(set), blocks)
    }

    fn insert(&mut self, data: ClaimedSet, blocks: Blocks) -> Option<()> {
        self.store.insert_foreign(Entry { data, version: Version::default(), blocks }).ok()?;
        self.reload();
        Some(())
    }

    /// As a watch or an audit would: the reconciler reads the zone again.
    fn reload(&mut self) {
        let (snapshot, now) = (self.store.snapshot().clone(), self.now);
        self.reconciler().load_zone(snapshot, now);
    }

    fn plan(&mut self) {
        let now = self.now;
        self.reconciler().plan(now);
        let report = self.reconciler().report(now);
        let set = |set: &Option<dns_sync_core::report::SetReport>| {
            set.as_ref().map_or_else(|| "-".into(), |set| format!("{} {}", set.ttl, set.rdata.join(" ")))
        };
        for (list, held) in [(&report.changes, false), (&report.held, true)] {
            for change in list {
                let sign = match change.action {
                    "create" => "+",
                    "update" => "~",
                    _ => "-",
                };
                let values = match change.action {
                    "create" => set(&change.after),
                    "update" => format!("{} -> {}", set(&change.before), set(&change.after)),
                    _ => set(&change.before),
                };
                let limit = if held { format!(" HELD by {}", change.limit.unwrap()) } else { String::new() };
                let line = format!("{sign} {} {} {values}  ; {}{limit}", change.name, change.rr_type, change.reason);
                writeln!(self.out, "    {line}").unwrap();
            }
        }
        for refusal in &report.refused {
            let about: Vec<&str> = [&refusal.name, &refusal.rr_type, &refusal.cluster, &refusal.service]
                .into_iter()
                .filter_map(|part| part.as_deref())
                .collect();
            writeln!(self.out, "    refused {}: {}", about.join(" "), refusal.reason).unwrap();
        }
        for warning in &report.warnings {
            writeln!(self.out, "    warning {warning}").unwrap();
        }
        if !report.held.is_empty() {
            writeln!(self.out, "    guard {}", serde_json::to_string(&report.guard).unwrap()).unwrap();
        }
        if report.changes.is_empty() && report.held.is_empty() {
            writeln!(self.out, "    nothing to do ({} unchanged)", report.unchanged).unwrap();
        }
    }

    /// A moment later, so that the minimal interval between two changes of a set has passed.
    fn sync(&mut self) {
        self.now = self.now.plus(Duration::from_secs(2));
        self.plan();
        let now = self.now;
        let most = if self.kind == Kind::SmallCalls { 2 } else { usize::MAX };
        let mut calls = 0;
        loop {
            let mut room = most;
            let Some(batch) = self.reconciler().next_batch(now, |unit| {
                let fits = unit.changes.len() <= room;
                room -= if fits { unit.changes.len() } else { 0 };
                fits
            }) else {
                break;
            };
            calls += 1;
            assert!(calls < 1000, "no end of writing");
            assert!(batch.changes.len() <= most || batch.changes.units.len() == 1);
            if self.kind != Kind::Claims {
                let mut sets = batch.changes.changes().flat_map(|change| change.before.iter().chain(&change.after));
                assert!(sets.all(|data| data.claim.is_none()), "this host takes no claims");
            }
            let applied = self.store.apply(&batch.changes, self.capabilities.atomicity);
            for (key, outcome) in &applied.outcomes {
                assert!(matches!(outcome, Outcome::Done(_)), "{key}: {outcome:?}");
            }
            let follow = self.reconciler().record(batch, &applied, now);
            assert!(follow.reread.is_empty() && !follow.reread_zone);
            self.reconciler().plan(now);
        }
        let view: Vec<_> = self.reconciler().zone().iter().map(|entry| entry.data.clone()).collect();
        let mut held = self.held();
        if self.kind != Kind::Claims {
            // What the ledgers of others list at other names is nobody's concern.
            let known = [Some(&self.settings.claim), self.settings.previous_claim.as_ref()];
            let is_other = |claim: &Claim| !known.contains(&Some(&claim.name));
            for data in &mut held {
                data.claim.take_if(|claim| is_other(claim));
            }
        }
        assert_eq!(held, view, "the view is what the zone holds");
        let mut fresh = ZoneView::for_host(&self.settings, &self.capabilities);
        fresh.load(self.store.snapshot().clone());
        let fresh: Vec<_> = fresh.iter().map(|entry| entry.data.clone()).collect();
        assert_eq!(fresh, view, "and what a new process would see");
    }

    /// The sets with the claims on them, wherever these are.
    fn held(&self) -> Vec<ClaimedSet> {
        let snapshot = self.store.snapshot().clone();
        let snapshot = if self.kind == Kind::Claims { snapshot } else { attach(snapshot).snapshot };
        let is_ledger = |entry: &&Entry| {
            self.kind != Kind::Claims && *entry.data.set.rr_type() == RrType::Txt && is_ledger_name(entry)
        };
        snapshot.iter().filter(|entry| !is_ledger(entry)).map(|entry| entry.data.clone()).collect()
    }

    fn print_zone(&mut self) {
        for data in self.held() {
            let set = &data.set;
            let records = data.credited().map(|(record, credits)| {
                if credits.is_empty() { record.to_string() } else { format!("{record}[{}]", credits.join(",")) }
            });
            let records: Vec<String> = records.collect();
            let claim = if data.claim.is_none() { "  (foreign)" } else { "" };
            writeln!(self.out, "    {} {} {} {}{claim}", set.owner(), set.ttl(), set.rr_type(), records.join(" "))
                .unwrap();
        }
    }
}

fn is_ledger_name(entry: &Entry) -> bool {
    entry.key().owner.as_str().starts_with("_dns-syncd.")
}

fn service_id(text: &str) -> Option<ServiceId> {
    let (namespace, name) = text.split_once('/')?;
    Some(ServiceId::new(namespace, name))
}

fn copy(words: &[&str]) -> ServiceCopy {
    let mut copy = ServiceCopy { ready: true, ..ServiceCopy::default() };
    for word in words {
        if *word == "unready" {
            copy.ready = false;
        } else if let Some(ttl) = word.strip_prefix("ttl=") {
            copy.ttl = Some(ttl.into());
        } else if let Some(selector) = word.strip_prefix("selector=") {
            copy.selector = Some(selector.into());
        } else if let Some(address) = word.strip_prefix("external:") {
            copy.external_ips.insert(endpoint(address));
        } else {
            copy.ingress.insert(endpoint(word));
        }
    }
    copy
}

fn endpoint(text: &str) -> Endpoint {
    match text.parse() {
        Ok(address) => Endpoint::Ip(address),
        Err(_) if text.starts_with("bad:") => Endpoint::Bad(Arc::from(&text[4..])),
        Err(_) => Endpoint::Host(text.into()),
    }
}

fn span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.len() - 1);
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "s" => number,
        "m" => number * 60,
        "h" => number * 3600,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}
