//! What commands work with: provider, source, resolver.

use std::io::ErrorKind::NotFound;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use dns_providers::{OpenMode, Opened, ProviderConfig, Registry};
use dns_syncd::config::{Config, ConfigError, SourceKind};
use dns_syncd::engine::{Pass, PassContext, SystemClock, ZoneChoice};
use dns_syncd::resolver::{Resolve, SystemResolver};
use dns_syncd::source::clusters::{Contexts, Ways};
use dns_syncd::source::{ClusterSource, ClustersConfig, Dismissed, EndpointSource, FederationSource, FileSource};
use dnsprovider::Fqdn;
use tokio::sync::watch;

use super::{environment, progress};

/// Opens the provider that the config names.
pub(crate) async fn provider(config: &Config, mode: OpenMode) -> anyhow::Result<Opened> {
    let (name, opening) = (config.provider_name()?, provider_config(config, mode)?);
    let registry = Registry::builtin();
    let opened = progress::during("opening the provider", registry.open(name, opening)).await?;
    Ok(opened)
}

/// The provider's file, read.
pub(crate) fn provider_config(config: &Config, mode: OpenMode) -> anyhow::Result<ProviderConfig> {
    let name = config.provider_name()?;
    let file = config.provider.config.as_deref();
    let text = match file.map(|path| (path, std::fs::read_to_string(path))) {
        None => None,
        Some((_, Ok(text))) => Some(text),
        Some((path, Err(error))) if error.kind() == NotFound => {
            let what =
                "the provider's config file does not exist; hint: `config` in [Provider], or --dns-provider-config";
            return Err(ConfigError::new(format!("{}: {what}", path.display())).into());
        }
        Some((path, Err(error))) => {
            let what = format!("{}: the provider's config file cannot be read: {error}", path.display());
            return Err(ConfigError::new(what).into());
        }
    };
    Ok(ProviderConfig {
        text,
        file: file.map_or_else(|| format!("config of `{name}` (none given)"), |path| path.display().to_string()),
        home: std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from),
        mode,
    })
}

/// The zone that the config names.
pub(crate) fn zone(config: &Config) -> ZoneChoice {
    let federation = &config.federation;
    ZoneChoice {
        apex: federation.zone_name.clone(),
        id: federation.zone_id.clone(),
        create: config.provider.create_zone,
    }
}

/// The apex of the zone: from the config, else as the provider knows it by its id.
pub(crate) async fn apex(config: &Config, opened: &Opened) -> anyhow::Result<Fqdn> {
    if let Some(apex) = &config.federation.zone_name {
        return Ok(apex.clone());
    }
    let found = progress::during("looking for the zone", zone(config).find(&opened.provider)).await?;
    Ok(found.context("the zone's id alone does not say what to create; hint: add `--zone-name`")?.apex)
}

/// The source that the config names.
pub(crate) fn source(config: &Config) -> anyhow::Result<Box<dyn EndpointSource>> {
    source_with(config, watch::channel(contexts(config)).1, Ways::default(), Dismissed::default())
}

/// The same, following changes of the `[Cluster]` sections, telling there how members are reached, and hearing there who
/// was taken out.
pub(crate) fn source_with(
    config: &Config,
    contexts: watch::Receiver<Contexts>,
    ways: Ways,
    dismissed: Dismissed,
) -> anyhow::Result<Box<dyn EndpointSource>> {
    match config.source.kind {
        Some(SourceKind::Clusters) => Ok(Box::new(
            ClusterSource::new(clusters(config)).with_contexts(contexts).with_ways(ways).with_dismissed(dismissed),
        )),
        Some(SourceKind::Federation) => {
            Ok(Box::new(FederationSource::new(config.federation.name.clone(), clusters(config))))
        }
        Some(SourceKind::Files) | None => {
            let path = config.manifests().ok_or_else(|| config.lacks_source())?;
            Ok(Box::new(FileSource::new(path, config.source.select)))
        }
    }
}

/// The `[Cluster]` sections, as far as they name contexts.
pub(crate) fn contexts(config: &Config) -> Contexts {
    config.clusters.iter().map(|(name, cluster)| (name.clone(), cluster.context.clone())).collect()
}

fn clusters(config: &Config) -> ClustersConfig {
    let source = &config.source;
    let given = ClustersConfig {
        kubeconfig: source.kubeconfig.clone(),
        folder: source.path.clone(),
        in_cluster: false,
        master: source.master.clone(),
        contexts: contexts(config),
        select: source.select,
        leave_delay: config.sync.leave_delay,
    };
    given.found(&environment)
}

/// Who resolves load balancers' names.
pub(crate) fn resolver(config: &Config) -> anyhow::Result<Arc<dyn Resolve>> {
    let resolver = SystemResolver::new(config.sync.resolver);
    Ok(Arc::new(resolver.context("setting up the resolver; hint: `resolver = ip:port` in [Sync]")?))
}

/// Reads source and zone and plans, writing nothing.
pub(crate) async fn pass(config: &Config, mode: OpenMode) -> anyhow::Result<Pass> {
    pass_with(config, provider(config, mode).await?).await
}

/// As [`pass`] with an opened provider.
pub(crate) async fn pass_with(config: &Config, opened: Opened) -> anyhow::Result<Pass> {
    let cx = PassContext {
        settings: config.settings(&apex(config, &opened).await?)?,
        provider: opened.provider,
        zone: zone(config),
        resolver: resolver(config)?,
        clock: Arc::new(SystemClock::default()),
    };
    let mut source = source(config)?;
    Ok(progress::during("reading the clusters and the zone", Pass::prepare(cx, &mut *source)).await?)
}
