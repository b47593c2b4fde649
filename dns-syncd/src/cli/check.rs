//! `check`: is everything there that the daemon needs? Changes nothing.

use std::collections::BTreeSet;

use dns_providers::{OpenMode, Opened};
use dns_sync_core::Naming;
use dns_sync_core::report::RecordReport;
use dns_sync_core::zone::{Ownership, ZoneView};
use dns_syncd::clusters::{ClusterReport, ClusterStatus, clusters};
use dns_syncd::config::{Config, Form};
use dns_syncd::engine::{self, Clock as _, SystemClock};
use dnsprovider::{DnsProviderExt as _, Fqdn, Zone};

use super::ask::{Asker, refusing};
use super::clusters::{observed, settings};
use super::delegation::{Authority, authority, delegation};
use super::exit::Exit;
use super::rights::rights;
use super::{exit, open, progress};
use crate::output;
use crate::output::check::{Finding, Mark};
use crate::output::style::count;

pub(crate) async fn run(config: &Config) -> anyhow::Result<Exit> {
    let mut findings = vec![Finding::new("config", Mark::Ok, summary(config))];
    let refused = progress::during("asking the clusters", sources(config, &mut findings)).await;
    let opened = match open::provider(config, OpenMode::ReadOnly).await {
        Ok(opened) => Some(opened),
        Err(error) if exit::code(&error) == 2 => return Err(error),
        Err(error) => {
            findings.push(Finding::new("provider", Mark::Missing, exit::chain(&error)));
            None
        }
    };
    if let Some(opened) = &opened {
        let zone = progress::during("asking the provider", provider(config, opened, &mut findings)).await?;
        let apex = zone.map(|zone| zone.apex).or_else(|| config.federation.zone_name.clone());
        if let Some(apex) = apex {
            progress::during("asking DNS servers", dns(config, opened, &apex, &mut findings)).await;
        }
    }
    match config.output {
        Form::Text => output::print(&output::check::text(&findings))?,
        Form::Json => output::print_json(&findings)?,
    }
    if findings.iter().any(|finding| finding.mark == Mark::Missing) {
        anyhow::bail!("something that the daemon needs is missing");
    }
    Ok(Exit::unless(refused))
}

fn summary(config: &Config) -> String {
    let zone = config.federation.zone_name.as_ref().map(ToString::to_string);
    let zone = zone.or_else(|| config.federation.zone_id.as_ref().map(|id| format!("id `{id}`"))).unwrap_or_default();
    let claim = &config.federation.claim;
    let frozen = if config.guard.freeze { "; frozen: [Guard] freeze = true stops all writes" } else { "" };
    format!("federation `{}`, claim `{claim}`, zone {zone}{frozen}", config.federation.name)
}

/// Looks at the clusters; true when something of theirs is refused.
async fn sources(config: &Config, findings: &mut Vec<Finding>) -> bool {
    let clock = SystemClock::default();
    let read = async { anyhow::Ok(open::source(config)?.read_once().await?) };
    let (events, settings) = match (read.await, settings(config)) {
        (Ok(events), Ok(settings)) => (events, settings),
        (Err(error), _) | (_, Err(error)) => {
            findings.push(Finding::new("clusters", Mark::Missing, exit::chain(&error)));
            return false;
        }
    };
    let reconciler = observed(settings, events, &clock);
    for member in clusters(&reconciler) {
        findings.push(member_finding(&member));
    }
    let refused = reconciler.report(clock.now()).refused;
    for refusal in &refused {
        findings.push(Finding::new("refused", Mark::Note, output::refused::line(refusal)));
    }
    !refused.is_empty()
}

fn member_finding(member: &ClusterReport) -> Finding {
    let about = format!("cluster {}", member.name);
    if member.status != ClusterStatus::Ready {
        return Finding::new(about, Mark::Missing, member.reason.clone().unwrap_or_else(|| "no answer".into()));
    }
    let services = count(member.services, "service");
    if member.regions.is_empty() {
        let what =
            "no region; only global names can lead there by place; hint: label its nodes, or set [Cluster] region";
        return Finding::new(about, Mark::Note, format!("{services}, {what}"));
    }
    let zones = if member.zones.is_empty() { "no zone".into() } else { format!("zones {}", member.zones.join(", ")) };
    Finding::new(about, Mark::Ok, format!("{services}, region {}, {zones}", member.regions.join(", ")))
}

/// Looks at the provider and the zone there.
async fn provider(config: &Config, opened: &Opened, findings: &mut Vec<Finding>) -> anyhow::Result<Option<Zone>> {
    let provider = &opened.provider;
    let zone = match open::zone(config).find(provider).await {
        Ok(Some(zone)) => zone,
        Ok(None) => {
            findings.push(Finding::new("provider", Mark::Ok, format!("`{}` answers", provider.name())));
            let what = "it does not exist and will be created (create-zone = true)";
            findings.push(Finding::new("zone", Mark::Note, what));
            return Ok(None);
        }
        Err(error) => {
            findings.push(Finding::new("provider", Mark::Missing, error.chain()));
            return Ok(None);
        }
    };
    findings.push(Finding::new("provider", Mark::Ok, format!("`{}` answers", provider.name())));
    let snapshot = match provider.read_zone(&zone.id).await {
        Ok(snapshot) => snapshot,
        Err(error) => {
            findings.push(Finding::new("zone", Mark::Missing, error.chain()));
            return Ok(Some(zone));
        }
    };
    let settings = config.settings(&zone.apex)?;
    let capabilities = provider.capabilities();
    let mut view = ZoneView::for_host(&settings, &capabilities);
    let used = snapshot.entries.values().map(Vec::len).sum();
    view.load(snapshot);
    let foreign = view.iter().filter(|entry| view.ownership(entry) == Ownership::Foreign).count();
    let wanted = wanted(config, settings, capabilities.claims).await;
    findings.extend(rights(provider, &zone).await);
    let allowed = capabilities.limits.sets_per_zone;
    let shortfall = match (allowed, wanted) {
        (Some(allowed), Some(wanted)) => (foreign as u64 + wanted as u64).saturating_sub(allowed),
        _ => 0,
    };
    let detail = format!(
        "{} has {} used ({} claimed, {foreign} of others), {} wanted, {} allowed",
        zone.apex,
        count(used, "set"),
        view.claimed_sets(),
        wanted.map_or("an unknown number".into(), |wanted| wanted.to_string()),
        allowed.map_or("any number".into(), |allowed| allowed.to_string()),
    );
    findings.push(if shortfall == 0 {
        Finding::new("zone", Mark::Ok, detail)
    } else {
        Finding::new("zone", Mark::Missing, format!("{detail}: room for {shortfall} more is missing"))
    });
    Ok(Some(zone))
}

/// How many sets the sources want, on hosts that store no claims with the one of each service that lists them.
async fn wanted(config: &Config, settings: dns_sync_core::Settings, claims: bool) -> Option<usize> {
    let naming = Naming::new(&settings);
    let (mut source, resolver) = (open::source(config).ok()?, open::resolver(config).ok()?);
    let (records, ..) = engine::records(settings, &mut *source, &resolver, &SystemClock::default()).await.ok()?;
    let service = |record: &RecordReport| naming.parse(&Fqdn::parse(&record.name).ok()?).map(|(service, _)| service);
    let services: BTreeSet<_> = records.iter().filter_map(service).collect();
    Some(records.len() + if claims { 0 } else { services.len() })
}

/// Looks at name servers, negative TTL and delegation.
async fn dns(config: &Config, opened: &Opened, apex: &Fqdn, findings: &mut Vec<Finding>) {
    let resolver = match Asker::resolver(config.sync.resolver) {
        Ok(resolver) => resolver,
        Err(error) => {
            let what = format!("there is no resolver to ask: {error}; hint: `resolver = ip:port` in [Sync]");
            return findings.push(Finding::new("name servers", Mark::Unknown, what));
        }
    };
    let servers: Vec<String> = opened.endpoints.iter().map(ToString::to_string).collect();
    let who = if servers.is_empty() { "the resolver".to_owned() } else { servers.join(", ") };
    let own_servers = if servers.is_empty() { None } else { Asker::at(opened.endpoints.iter().copied()).ok() };
    let (authority, refusing, delegation) = tokio::join!(
        authority(own_servers.as_ref().unwrap_or(&resolver), apex),
        refusing(&opened.endpoints, apex),
        delegation(apex, &resolver),
    );
    for server in &refusing {
        let what = format!("`{server}` refuses to answer for {apex}; hint: let that server serve the zone");
        findings.push(Finding::new("name servers", Mark::Missing, what));
    }
    let own = match authority {
        Ok(Authority { name_servers, negative_ttl }) => {
            findings.push(if name_servers.is_empty() {
                Finding::new("name servers", Mark::Note, format!("{who} names none for {apex}"))
            } else {
                Finding::new("name servers", Mark::Ok, list(&name_servers))
            });
            findings.push(match negative_ttl {
                Some(ttl) => Finding::new(
                    "negative TTL",
                    Mark::Ok,
                    format!("resolvers may keep for {ttl} s that a name does not exist"),
                ),
                None => Finding::new("negative TTL", Mark::Unknown, format!("{who} gives no SOA for {apex}")),
            });
            name_servers
        }
        Err(_) if !refusing.is_empty() => BTreeSet::new(),
        Err(why) => {
            let what = format!("{who} could not be asked: {why}");
            findings.push(Finding::new("name servers", Mark::Unknown, what));
            BTreeSet::new()
        }
    };
    findings.push(match delegation {
        Err(why) => Finding::new("delegation", Mark::Unknown, format!("the parent zone could not be asked: {why}")),
        Ok(found) if found.name_servers.is_empty() => Finding::new(
            "delegation",
            Mark::Note,
            format!("{} does not delegate {apex}: clients elsewhere do not find it", found.parent),
        ),
        Ok(found) if own.is_empty() || !found.name_servers.is_disjoint(&own) => Finding::new(
            "delegation",
            Mark::Ok,
            format!("{} sends clients to {}", found.parent, list(&found.name_servers)),
        ),
        Ok(found) => Finding::new(
            "delegation",
            Mark::Note,
            format!("{} sends clients to {}, not to {}", found.parent, list(&found.name_servers), list(&own)),
        ),
    });
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().cloned().collect::<Vec<_>>().join(", ")
}
