//! `init`, `join` and `unjoin`: their words. The work is in the library.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};
use dns_providers::{OpenMode, Opened, ProviderConfig, Registry};
use dns_syncd::config::{Config, ConfigError, Flags};
use dns_syncd::joining::{
    self, Action, Init, InitArgs, Join, JoinArgs, JoiningError, Listener, Outcome, Step, UnjoinArgs,
};
use dnsprovider::Fqdn;

use super::exit::Exit;
use super::{environment, open, progress};
use crate::output;
use crate::output::style::{ASIDE, CHANGED, GOOD, paint};

/// Tells each step as it is done, or with `--output json` all of them at the end.
#[derive(Default)]
struct Teller {
    is_json: bool,
    steps: Mutex<Vec<Step>>,
}

impl Teller {
    fn new(flags: &Flags) -> anyhow::Result<Self> {
        let form = flags.output.clone().or_else(|| environment("DNS_SYNCD_OUTPUT")).filter(|form| !form.is_empty());
        let is_json = match form.as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => bail!(ConfigError::new(format!("--output: `{other}` is neither `text` nor `json`"))),
        };
        Ok(Self { is_json, steps: Mutex::default() })
    }

    /// Ends a command: says what it amounts to.
    fn end(self, ended: Result<Outcome, JoiningError>) -> anyhow::Result<Exit> {
        let steps = self.steps.into_inner().unwrap_or_else(PoisonError::into_inner);
        if self.is_json {
            output::print_json(&steps)?;
        }
        let has_changed = steps.iter().any(|step| !matches!(step.action, Action::Unchanged | Action::Absent));
        match ended {
            Ok(outcome) => {
                if !has_changed {
                    output::remark(&format!("{}\n", paint(ASIDE, "nothing had to be changed")));
                }
                Ok(Exit::unless(outcome == Outcome::Withheld))
            }
            Err(error) => {
                if has_changed {
                    let what = "what is done stays as it is; run the same command again to finish it";
                    output::remark(&format!("{}\n", paint(CHANGED, what)));
                }
                Err(worded(error))
            }
        }
    }
}

impl Listener for Teller {
    fn step(&self, step: Step) {
        if !self.is_json {
            let style = match step.action {
                Action::Created | Action::Changed => GOOD,
                Action::Deleted => CHANGED,
                Action::Unchanged | Action::Absent => ASIDE,
            };
            let action = paint(style, format!("{:<9}", step.action));
            // A reader that went away is told no more, and the work goes on.
            _ = output::print(&format!("{action}  {}: {}\n", step.cluster, step.object));
        }
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    fn remark(&self, text: &str) {
        output::remark(&format!("{}\n", paint(ASIDE, text)));
    }
}

/// As the exit code is found.
fn worded(error: JoiningError) -> anyhow::Error {
    match error {
        JoiningError::Usage(error) => error.into(),
        failed @ (JoiningError::Unreached(_) | JoiningError::Failed(_)) => failed.into(),
    }
}

pub(crate) async fn init(args: &InitArgs, flags: &Flags) -> anyhow::Result<Exit> {
    let teller = Teller::new(flags)?;
    let init = Init::new(args, flags, &environment).map_err(worded)?;
    let opened = match init.served().map_err(worded)? {
        None => open::provider(init.config(), OpenMode::ReadOnly).await?,
        Some(text) => {
            let config =
                ProviderConfig { text: Some(text), ..open::provider_config(init.config(), OpenMode::ReadOnly)? };
            let opened = Registry::builtin().open(init.config().provider_name()?, config).await?;
            // Where it listens is known when it runs.
            Opened { endpoints: Vec::new(), ..opened }
        }
    };
    let apex = zone(init.config(), &opened).await.context("nothing was written: the zone is not reached")?;
    if args.dry_run {
        output::print(&init.printed(&apex, &opened.endpoints, &teller).await.map_err(worded)?)?;
        return Ok(Exit::Done);
    }
    let ended = init.run(&apex, &opened.endpoints, &teller).await;
    let exit = teller.end(ended)?;
    let hint = format!(
        "the daemon has no member yet; next: dns-syncd join CLUSTER --host-cluster-context={}",
        args.host.host_cluster_context
    );
    output::remark(&format!("{}\n", paint(ASIDE, hint)));
    Ok(exit)
}

/// The zone as the provider knows it; one that will be created is reached when the provider answers.
async fn zone(config: &Config, opened: &Opened) -> anyhow::Result<Fqdn> {
    let found = progress::during("looking for the zone", open::zone(config).find(&opened.provider)).await?;
    match (found, &config.federation.zone_name) {
        (Some(zone), _) => Ok(zone.apex),
        (None, Some(name)) => Ok(name.clone()),
        (None, None) => bail!("the zone's id alone does not say what to create; hint: add `--dns-zone-name`"),
    }
}

pub(crate) async fn join(args: &JoinArgs, flags: &Flags) -> anyhow::Result<Exit> {
    let teller = Teller::new(flags)?;
    match joining::join(args, flags, &environment, &teller).await {
        Ok(Join::Printed(text)) => {
            output::print(&text)?;
            Ok(Exit::Done)
        }
        Ok(Join::Joined(outcome)) => {
            output::remark(&format!("{}\n", paint(GOOD, format!("the cluster `{}` is a member", args.member.cluster))));
            teller.end(Ok(outcome))
        }
        Err(error) => teller.end(Err(error)),
    }
}

pub(crate) async fn unjoin(args: &UnjoinArgs, flags: &Flags) -> anyhow::Result<Exit> {
    let teller = Teller::new(flags)?;
    let ended = joining::unjoin(args, flags, &environment, &teller).await;
    teller.end(ended)
}
