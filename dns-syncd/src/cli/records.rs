//! `records`: the desired records by the sources alone.

use anyhow::Context as _;
use dns_syncd::config::{Config, ConfigError};
use dns_syncd::engine::{self, SystemClock};

use super::exit::Exit;
use super::{open, print, progress, warn};
use crate::output;
use crate::output::style::{CHANGED, paint};

pub(crate) async fn run(config: &Config) -> anyhow::Result<Exit> {
    let apex = config.federation.zone_name.as_ref();
    let apex =
        apex.context(ConfigError::new("`records` asks no provider, so it needs the zone's name; hint: `--zone-name`"))?;
    let settings = config.settings(apex)?;
    let (mut source, resolver, clock) = (open::source(config)?, open::resolver(config)?, SystemClock::default());
    let reading = engine::records(settings, &mut *source, &resolver, &clock);
    let (records, refused, warnings) = progress::during("reading the clusters", reading).await?;
    warn(&warnings);
    for refusal in &refused {
        output::remark(&format!("{} {}\n", paint(CHANGED, "refused:"), output::refused::line(refusal)));
    }
    print(config, &records, |records| output::records::text(records))?;
    Ok(Exit::unless(!refused.is_empty()))
}
