//! `unjoin`: a member leaves, and its addresses leave DNS at once.

use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

use super::args::UnjoinArgs;
use super::contexts::{Contexts, Reached};
use super::daemon::{Daemon, Obstacle, Pods, wait_until_gone};
use super::federation::Federation;
use super::joined::AllJoined;
use super::manifests::{MemberValues, member};
use super::names::Edit;
use super::objects::{CLUSTER, MADE_BY, is_ours, text};
use super::report::{Action, JoiningError, Listener, Result};
use super::rights::{Asked, Case, Command, Known, Side};
use super::{Outcome, label};
use crate::config::Flags;

/// Undoes what `join` did.
///
/// # Errors
/// As of [`join`](super::join()); without `--force` a member that cannot be reached is one, and nothing is changed.
pub async fn unjoin(
    args: &UnjoinArgs,
    flags: &Flags,
    env: &dyn Fn(&str) -> Option<String>,
    listener: &dyn Listener,
) -> Result<Outcome> {
    let (cluster, namespace) = (&*args.member.cluster, &*args.host.federation_system_namespace);
    label("a cluster", cluster)?;
    let contexts = Contexts::read(flags.kubeconfig.as_deref(), env)?;
    contexts.check("--host-cluster-context", &args.host.host_cluster_context)?;
    let near = contexts.connect("--host-cluster-context", &args.host.host_cluster_context).await?;
    let mut asked = Asked::new(&near, Command::Unjoin, Side::Host);
    let mut known = Known::of(namespace).case(Case::Dns, args.member.cluster_dns.is_told());
    let far = far(args, &contexts, listener).await?;
    let mut asked_far = far.as_ref().map(|far| Asked::new(far, Command::Unjoin, Side::Member));
    check(&mut asked, &mut asked_far, &known, args.force, listener).await?;
    let host = near.clone().identified().await?;
    let federation = Federation::of(&host, namespace).await?;
    let secrets = federation.secrets(args.member.secret_name.as_deref())?;
    known = federation.known(known, &secrets);
    check(&mut asked, &mut asked_far, &known, args.force, listener).await?;
    let is_asked = args.member.secret_name.is_some();
    let mounted = async || AllJoined::of(&host, namespace, &secrets, cluster, is_asked).await;
    let joined = mounted().await?;
    refuse_other_secret(&joined, cluster)?;
    let objects = member(&MemberValues {
        namespace: namespace.to_owned(),
        federation: federation.name.clone(),
        cluster: cluster.to_owned(),
        exports: false,
        events: false,
    })?;
    let place = Leaving { args, host: &host, federation: &federation, objects: &objects };
    let mut reached = None;
    if let Some(far) = far.clone().filter(|_| asked_far.is_some()) {
        reached = match place.look(far, &joined, &mut known, listener).await {
            Err(error) if args.force && !matches!(error, JoiningError::Usage(_)) => {
                listener.remark(&stays(&error));
                None
            }
            looked => looked.map_err(forcible)?,
        };
    }
    asked_far = asked_far.filter(|_| reached.is_some());
    known = known.word("SECRET", [joined.secret()]);
    check(&mut asked, &mut asked_far, &known, args.force, listener).await?;
    asked.remark(listener);
    match &asked_far {
        Some(asked) => asked.remark(listener),
        None => reached = None,
    }
    if !joined.own.members.contains_key(cluster) {
        let members: Vec<_> = joined.names().into_iter().map(|name| format!("`{name}`")).collect();
        let members = if members.is_empty() { "there is none".to_owned() } else { members.join(", ") };
        listener.remark(&format!("`{cluster}` is no member (members: {members}); looking for what is left of it"));
    }

    let mut now = joined.own;
    while now.members.contains_key(cluster) && !now.set(&host, cluster, None).await? {
        // Others join meanwhile.
        now = mounted().await?.own;
    }
    let action = if now.members.contains_key(cluster) { Action::Deleted } else { Action::Absent };
    host.tell_part(&now.secret, cluster, action, listener);
    let daemon = Daemon::of(&host, namespace, &federation).await?;
    let (mut outcome, told) = tell_daemon(&daemon, cluster, listener).await?;
    if let Some(reached) = reached {
        match place.leave(&reached, listener).await {
            Ok(Outcome::Done) => {}
            Ok(Outcome::Withheld) => outcome = Outcome::Withheld,
            Err(error) if args.force => listener.remark(&stays(&error)),
            Err(error) => return Err(error),
        }
    }
    if told && !wait_until_gone(&daemon, cluster, Duration::from_secs(args.timeout), listener).await? {
        outcome = Outcome::Withheld;
    }
    if told && say_obstacle(&daemon, listener).await? {
        outcome = Outcome::Withheld;
    }
    Ok(outcome)
}

/// What there is to be done in the member.
struct Leaving<'a> {
    args: &'a UnjoinArgs,
    host: &'a Reached,
    federation: &'a Federation,
    objects: &'a [Value],
}

impl Leaving<'_> {
    /// The member, and what it takes to take everything away in it; `None` where another cluster has its place and that is
    /// no obstacle. Nothing is written yet.
    async fn look(
        &self,
        far: Reached,
        joined: &AllJoined,
        known: &mut Known,
        listener: &dyn Listener,
    ) -> Result<Option<Reached>> {
        let Self { args, federation, objects, .. } = self;
        let Some(member) = its_own(args, far.identified().await?, joined, listener)? else { return Ok(None) };
        refuse_another(&member, objects, &args.member.cluster).await?;
        Edit::removing(&member, args.member.cluster_dns, federation).await?.rights(known);
        let is_there = member.find(&objects[0]).await?.is_some();
        if is_there
            && member.uid != self.host.uid
            && why_it_stays(&member, &objects[0], &federation.name, objects).await?.is_none()
        {
            known.found("delete", "namespaces", &args.host.federation_system_namespace);
        }
        Ok(Some(member))
    }

    /// Takes it away.
    async fn leave(&self, member: &Reached, listener: &dyn Listener) -> Result<Outcome> {
        let Self { args, host, federation, objects } = self;
        let edit = Edit::removing(member, args.member.cluster_dns, federation).await?;
        let outcome = edit.write(member, listener).await?;
        clear(member, member.uid == host.uid, &federation.name, objects, listener).await?;
        Ok(outcome)
    }
}

/// The way to the member; `None` where there is none and that is no obstacle.
async fn far(args: &UnjoinArgs, contexts: &Contexts, listener: &dyn Listener) -> Result<Option<Reached>> {
    match contexts.connect("--cluster-context", args.member.context()).await {
        Ok(far) => Ok(Some(far)),
        Err(error) if args.force => {
            listener.remark(&stays(&error));
            Ok(None)
        }
        Err(error) => Err(forcible(error)),
    }
}

fn stays(why: &dyn std::fmt::Display) -> String {
    format!("what `join` made in the cluster itself stays there: {why}")
}

fn forcible(error: JoiningError) -> JoiningError {
    match error {
        JoiningError::Unreached(why) | JoiningError::Failed(why) => {
            let gap = if why.contains("; hint: ") { ", or" } else { "; hint:" };
            JoiningError::failed(format!("{why}{gap} --force, which leaves what is in it where it is"))
        }
        error @ JoiningError::Usage(_) => error,
    }
}

/// A member is taken out where it is.
fn refuse_other_secret(joined: &AllJoined, cluster: &str) -> Result<()> {
    match joined.other_secret(cluster) {
        Some(other) if !joined.own.members.contains_key(cluster) => Err(JoiningError::usage(format!(
            "`{cluster}` has joined in the Secret `{other}`, not in `{}`; hint: --secret-name={other}",
            joined.secret()
        ))),
        _ => Ok(()),
    }
}

/// Asks both clusters for the rights that are known by now; with `force` a member is left as it is that cannot be
/// reached, or in which one is missing.
async fn check(
    host: &mut Asked<'_>,
    member: &mut Option<Asked<'_>>,
    known: &Known,
    force: bool,
    listener: &dyn Listener,
) -> Result<()> {
    let mut is_complete = host.missing(known, false).await?.is_empty();
    if let Some(asked) = member {
        match asked.missing(known, false).await {
            Ok(missing) if missing.is_empty() => {}
            Ok(_) if !force => is_complete = false,
            Ok(missing) => {
                listener.remark(&stays(&format!("rights are missing:\n{missing}")));
                *member = None;
            }
            Err(error) if force => {
                listener.remark(&stays(&error));
                *member = None;
            }
            Err(error) => return Err(forcible(error)),
        }
    }
    if is_complete {
        return Ok(());
    }
    let missing = host.missing(known, true).await?;
    match member {
        Some(asked) if !force => missing.and(asked.missing(known, true).await?).refuse(),
        _ => missing.refuse(),
    }
}

/// The member; `None` where another cluster has its place and that is no obstacle.
fn its_own(
    args: &UnjoinArgs,
    reached: Reached,
    joined: &AllJoined,
    listener: &dyn Listener,
) -> Result<Option<Reached>> {
    let (cluster, context) = (&args.member.cluster, args.member.context());
    if joined.own.uid(cluster).is_none_or(|uid| uid == reached.uid) {
        return Ok(Some(reached));
    }
    let why = format!("the context `{context}` leads to another cluster than the one that joined as `{cluster}`");
    if args.force {
        listener.remark(&format!("{why}: nothing is changed in it"));
        return Ok(None);
    }
    Err(JoiningError::usage(format!("{why}; hint: --cluster-context, or --force when the one that joined is gone")))
}

/// Every pod takes the cluster out at once. True beside it where one had it, or starts and may have it.
async fn tell_daemon(daemon: &Daemon<'_>, cluster: &str, listener: &dyn Listener) -> Result<(Outcome, bool)> {
    let Pods { running: replicas, starting } = daemon.pods().await?;
    let (mut outcome, mut has) = (Outcome::Done, !starting.is_empty());
    if replicas.is_empty() {
        listener.remark(&format!("no pod of the daemon runs in the namespace {}", daemon.namespace));
        outcome = Outcome::Withheld;
    }
    for replica in replicas {
        match replica.unjoin(cluster).await {
            Ok(true) => {
                listener.remark(&format!(
                    "pod {}: the cluster is taken out; its addresses go with the next write",
                    replica.name
                ));
                has = true;
            }
            Ok(false) => {}
            Err(why) => {
                listener.remark(&format!("pod {} cannot be told: {why}", replica.name));
                outcome = Outcome::Withheld;
            }
        }
    }
    if outcome == Outcome::Withheld {
        listener.remark(
            "the addresses of the cluster stay in DNS for `leave-delay` (five minutes unless set) where no pod was told",
        );
    }
    Ok((outcome, has))
}

/// Says what keeps the addresses in DNS; true where it stays until a person ends it.
async fn say_obstacle(daemon: &Daemon<'_>, listener: &dyn Listener) -> Result<bool> {
    let mut is_frozen = false;
    for replica in daemon.replicas().await? {
        match replica.obstacle().await {
            None => {}
            Some(Obstacle::Frozen) => {
                listener.remark(&format!(
                    "pod {}: `freeze` of [Guard] holds what would be written: the addresses stay in DNS until it ends",
                    replica.name
                ));
                is_frozen = true;
            }
            Some(Obstacle::Failing(error)) => listener.remark(&format!(
                "pod {}: calls to the DNS host fail, and until one succeeds the addresses stay in DNS: {error}",
                replica.name
            )),
        }
    }
    Ok(is_frozen)
}

/// What lies there may be of the same cluster under another name.
async fn refuse_another(reached: &Reached, objects: &[Value], cluster: &str) -> Result<()> {
    for object in objects {
        let found = reached.find(object).await?.filter(is_ours);
        let other = found.as_ref().and_then(|found| found.annotations().get(CLUSTER)).filter(|name| *name != cluster);
        if let Some(other) = other {
            let context = &reached.context;
            return Err(JoiningError::usage(format!(
                "the cluster of the context `{context}` has joined as `{other}`, not as `{cluster}`"
            )));
        }
    }
    Ok(())
}

/// Deletes what `join` made in the member, the last first.
async fn clear(
    reached: &Reached,
    is_host: bool,
    federation: &str,
    objects: &[Value],
    listener: &dyn Listener,
) -> Result<()> {
    for object in objects.iter().rev() {
        if text(object, "/kind") != "Namespace" {
            reached.delete(object, listener).await?;
        } else if !is_host {
            clear_namespace(reached, object, federation, objects, listener).await?;
        }
    }
    Ok(())
}

/// True for a namespace that this federation's `join` made.
fn is_of(namespace: &DynamicObject, federation: &str) -> bool {
    is_ours(namespace) && namespace.annotations().get(MADE_BY).is_some_and(|by| by == federation)
}

/// Deletes the namespace where this federation's `join` made it and nothing else is in it. In doubt it stays.
async fn clear_namespace(
    reached: &Reached,
    object: &Value,
    federation: &str,
    objects: &[Value],
    listener: &dyn Listener,
) -> Result<()> {
    let Some(why) = why_it_stays(reached, object, federation, objects).await? else {
        return reached.delete(object, listener).await;
    };
    let (namespace, context) = (text(object, "/metadata/name"), &reached.context);
    listener.remark(&format!("the namespace {namespace} in the cluster `{context}` stays: {why}"));
    Ok(())
}

/// Why the namespace is not deleted; `None` where it is, or is not there.
async fn why_it_stays(
    reached: &Reached,
    object: &Value,
    federation: &str,
    objects: &[Value],
) -> Result<Option<String>> {
    let Some(found) = reached.find(object).await? else { return Ok(None) };
    if !is_of(&found, federation) {
        return Ok(Some(format!("`join` of the federation `{federation}` did not make it")));
    }
    Ok(match reached.stranger_in(text(object, "/metadata/name"), objects).await {
        Ok(None) => None,
        Ok(Some(stranger)) => Some(format!("the {stranger} in it is not ours")),
        Err(why) => Some(format!("something else may be in it: {why}")),
    })
}
