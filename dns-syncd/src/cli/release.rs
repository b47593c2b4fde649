//! `release`: gives up the claim on all sets, or deletes them, with the TXT sets that list claims where there are such.
//! A TXT set that holds the place of a CNAME is deleted either way.

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use dns_providers::{OpenMode, Opened};
use dns_sync_core::Naming;
use dns_sync_core::ledger::release::{self as ledger, Release};
use dns_sync_core::report::{BudgetReport, ChangeReport, GuardReport, PlanReport};
use dns_syncd::config::{Config, ConfigError};
use dns_syncd::leader::Leader;
use dnsprovider::capabilities::Atomicity;
use dnsprovider::chunk::Packer;
use dnsprovider::{
    Action, Applied, ApplyContext, Change, Chunked, DnsProvider, DnsProviderExt as _, Error, Outcome, RrKey, Unit,
    Zone, ZoneId,
};

use super::exit::Exit;
use super::{lead, open, print, progress};
use crate::output;

pub(crate) async fn run(config: &Config, delete: bool, yes: bool) -> anyhow::Result<Exit> {
    let opened = open::provider(config, OpenMode::ReadWrite).await?;
    let zone =
        open::zone(config).find(&opened.provider).await?.context("the zone does not exist: nothing to release")?;
    let held = lead::take(config, &config.settings(&zone.apex)?).await?;
    let released = release(config, &opened, &zone, &held.leader, delete, yes).await;
    held.give_up().await;
    released
}

/// Reads, shows and writes, as the process that leads.
async fn release(
    config: &Config,
    opened: &Opened,
    zone: &Zone,
    leader: &Leader,
    delete: bool,
    yes: bool,
) -> anyhow::Result<Exit> {
    let reading = opened.provider.read_zone(&zone.id);
    let snapshot = progress::during("reading the zone", reading).await?;
    let capabilities = opened.provider.capabilities();
    // A host that stores no claims has them in TXT sets; the plan is the same.
    let attached = if capabilities.claims { None } else { Some(ledger::attach(snapshot.clone())) };
    let claimed = attached.as_ref().map_or(&snapshot, |attached| &attached.snapshot);
    let changes = ledger::changes(claimed, &config.federation.claim, delete);
    let naming = Naming::new(&config.settings(&zone.apex)?);
    let plan = report(config, &zone.apex.to_string(), &naming, &changes, delete);
    print(config, &plan, output::plan::text)?;
    if !plan.held.is_empty() {
        return Ok(Exit::Withheld);
    }
    let provider = Chunked::new(opened.provider.clone());
    let release = match &attached {
        Some(attached) => {
            let packer = Packer::new(&capabilities);
            let whole = capabilities.atomicity == Atomicity::Batch;
            let fits = |unit: &Unit| whole && packer.never_fits(provider.cost(unit)).is_none();
            attached.release(&config.federation.claim, &changes, fits)
        }
        None => Release::of(&changes),
    };
    if release.is_empty() || !is_confirmed(changes.len(), delete, yes)? {
        return Ok(Exit::Done);
    }
    let context = leader.write_context().context("this process leads no more, and nothing was written")?;
    let applied = progress::during("writing", write(&provider, &zone.id, &release, &context)).await?;
    let is_done = |key: &RrKey| applied.outcomes.get(key).is_some_and(Outcome::is_done);
    let done = release.decided_by().filter(|(_, key)| is_done(key)).count();
    output::remark(&format!("{done} of {} released\n", changes.len()));
    let failed = applied.outcomes.iter().find(|(_, outcome)| !outcome.is_done());
    match failed {
        None => Ok(Exit::Done),
        Some((key, Outcome::Refused(error) | Outcome::Unknown(error))) => bail!("releasing `{key}`: {}", error.chain()),
        Some((key, _)) => {
            bail!("releasing `{key}`: somebody changed it meanwhile; hint: run `dns-syncd release` again")
        }
    }
}

/// Writes what comes first, then what follows it.
async fn write<P: DnsProvider>(
    provider: &Chunked<P>,
    zone: &ZoneId,
    release: &Release,
    context: &ApplyContext,
) -> Result<Applied, Error> {
    let mut applied = provider.apply(zone, &release.first, context).await?;
    let second = release.second(|key| applied.outcomes.get(key).is_some_and(Outcome::is_done));
    match provider.apply(zone, &second, context).await {
        Ok(more) => applied.outcomes.extend(more.outcomes),
        // The first part was done and is told, so this is no failure of everything.
        Err(error) => {
            let refused = |key: &RrKey| Outcome::Refused(error.duplicate_for(key));
            applied.outcomes.extend(Applied::all(&second, refused).outcomes);
        }
    }
    Ok(applied)
}

fn report(config: &Config, zone: &str, naming: &Naming, changes: &[Change], delete: bool) -> PlanReport {
    let none = BudgetReport { counted: 0, allowed: None };
    let freeze = config.guard.freeze;
    let change = |change: &Change| ChangeReport {
        action: if change.action() == Action::Delete { "delete" } else { "update" },
        name: change.key.owner.to_string(),
        rr_type: change.key.rr_type.to_string(),
        before: change.before.as_ref().map(Into::into),
        after: change.after.as_ref().map(Into::into),
        reason: reason(change, delete).into(),
        limit: freeze.then_some("freeze"),
        service: naming.parse(&change.key.owner).map(|(service, _)| service.to_string()),
    };
    let all: Vec<ChangeReport> = changes.iter().map(change).collect();
    let (held, changes) = if freeze { (all, Vec::new()) } else { (Vec::new(), all) };
    PlanReport {
        zone: zone.to_owned(),
        changes,
        held,
        refused: Vec::new(),
        unchanged: 0,
        hash: None,
        guard: GuardReport { base: 0, deleted: none, updated: none, emptied: none },
        warnings: Vec::new(),
    }
}

fn reason(change: &Change, delete: bool) -> &'static str {
    match change.action() {
        _ if delete => "released",
        Action::Delete => "the claim is given up, and it only held the place of a CNAME",
        _ => "the claim is given up, the records stay",
    }
}

/// Asks on a terminal; elsewhere only `--yes` confirms.
fn is_confirmed(sets: usize, delete: bool, yes: bool) -> anyhow::Result<bool> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(ConfigError::new("`release` needs a yes, and nothing was changed; hint: `--yes`").into());
    }
    let what = if delete { "delete these record sets" } else { "give up the claim on these record sets" };
    output::remark(&format!("{what}? {sets} in all [y/N] "));
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use dnsprovider::{ClaimedSet, Fqdn, RecordData, RrSet, RrType, Ttl, Version};

    use super::*;

    #[test]
    fn the_plan_says_why_a_set_goes_though_the_records_stay() {
        let key = RrKey::new(Fqdn::parse("web.shop.fed.svc.z1.r1.example.com").unwrap(), RrType::A);
        let address = RecordData::A([192, 0, 2, 1].into());
        let set = RrSet::new(key, Ttl::from_secs(60).unwrap(), [address]).unwrap();
        let create = Change::create(ClaimedSet::unclaimed(set), Version::default());
        let delete = Change { before: create.after.clone(), after: None, ..create.clone() };
        let update = Change { before: create.after.clone(), ..create };
        assert_eq!(reason(&delete, true), "released");
        assert_eq!(reason(&delete, false), "the claim is given up, and it only held the place of a CNAME");
        assert_eq!(reason(&update, false), "the claim is given up, the records stay");
    }
}
