//! `unjoin`: a member leaves, and its addresses leave DNS at once.

use kube::ResourceExt as _;
use serde_json::Value;

use super::args::UnjoinArgs;
use super::contexts::{Contexts, Reached};
use super::daemon::replicas;
use super::federation::{Federation, Joined};
use super::manifests::{MemberValues, member};
use super::names::Edit;
use super::objects::{CLUSTER, MADE_BY, is_ours, text};
use super::report::{Action, JoiningError, Listener, Result};
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
    let host = contexts.reach("--host-cluster-context", &args.host.host_cluster_context).await?;
    let federation = Federation::of(&host, namespace).await?;
    let secret = federation.secret(args.member.secret_name.as_deref())?;
    let joined = Joined::of(&host, namespace, &secret).await?;
    let reached = reach(args, &contexts, &joined, listener).await?;
    let objects = member(&MemberValues {
        namespace: namespace.to_owned(),
        federation: federation.name.clone(),
        cluster: cluster.to_owned(),
        exports: false,
        events: false,
    })?;
    if let Some(reached) = &reached {
        refuse_another(reached, &objects, cluster).await?;
    }
    if !joined.members.contains_key(cluster) {
        let members: Vec<_> = joined.members.keys().map(|name| format!("`{name}`")).collect();
        let members = if members.is_empty() { "there is none".to_owned() } else { members.join(", ") };
        listener.remark(&format!("`{cluster}` is no member (members: {members}); looking for what is left of it"));
    }

    let mut now = joined;
    while now.members.contains_key(cluster) && !now.set(&host, cluster, None).await? {
        // Others join meanwhile.
        now = Joined::of(&host, namespace, &secret).await?;
    }
    let action = if now.members.contains_key(cluster) { Action::Deleted } else { Action::Absent };
    host.tell_part(&now.secret, cluster, action, listener);
    let mut outcome = tell_daemon(&host, namespace, &federation, cluster, listener).await?;
    if let Some(reached) = reached {
        let edit = Edit::removing(&reached, args.member.cluster_dns, &federation).await?;
        if edit.write(&reached, listener).await? == Outcome::Withheld {
            outcome = Outcome::Withheld;
        }
        clear(&reached, reached.uid == host.uid, &federation.name, &objects, listener).await?;
    }
    Ok(outcome)
}

/// The member; `None` where it is gone and that is no obstacle.
async fn reach(
    args: &UnjoinArgs,
    contexts: &Contexts,
    joined: &Joined,
    listener: &dyn Listener,
) -> Result<Option<Reached>> {
    let (cluster, context) = (&args.member.cluster, args.member.context());
    let reached = match contexts.reach("--cluster-context", context).await {
        Ok(reached) => reached,
        Err(error) if args.force => {
            listener.remark(&format!("what `join` made in the cluster itself stays there: {error}"));
            return Ok(None);
        }
        Err(JoiningError::Failed(why)) => {
            return Err(JoiningError::failed(format!("{why}; hint: --force leaves what is in it where it is")));
        }
        Err(error) => return Err(error),
    };
    if joined.uid(cluster).is_some_and(|uid| uid != reached.uid) {
        let why = format!("the context `{context}` leads to another cluster than the one that joined as `{cluster}`");
        if args.force {
            listener.remark(&format!("{why}: nothing is changed in it"));
            return Ok(None);
        }
        return Err(JoiningError::usage(format!(
            "{why}; hint: --cluster-context, or --force when the one that joined is gone"
        )));
    }
    Ok(Some(reached))
}

/// Every pod takes the cluster out at once.
async fn tell_daemon(
    host: &Reached,
    namespace: &str,
    federation: &Federation,
    cluster: &str,
    listener: &dyn Listener,
) -> Result<Outcome> {
    let replicas = replicas(host, namespace, federation).await?;
    let mut outcome = Outcome::Done;
    if replicas.is_empty() {
        listener.remark(&format!("no pod of the daemon runs in the namespace {namespace}"));
        outcome = Outcome::Withheld;
    }
    for replica in replicas {
        match replica.unjoin(cluster).await {
            Ok(true) => listener.remark(&format!("pod {}: the cluster is out", replica.name)),
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
    Ok(outcome)
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

/// Deletes the namespace where this federation's `join` made it and nothing else is in it. In doubt it stays.
async fn clear_namespace(
    reached: &Reached,
    object: &Value,
    federation: &str,
    objects: &[Value],
    listener: &dyn Listener,
) -> Result<()> {
    let Some(found) = reached.find(object).await? else {
        reached.tell(object, Action::Absent, listener);
        return Ok(());
    };
    let namespace = text(object, "/metadata/name");
    let why = if !is_ours(&found) || found.annotations().get(MADE_BY).is_none_or(|by| by != federation) {
        format!("`join` of the federation `{federation}` did not make it")
    } else {
        match reached.stranger_in(namespace, objects).await {
            Ok(None) => return reached.delete(object, listener).await,
            Ok(Some(stranger)) => format!("the {stranger} in it is not ours"),
            Err(why) => format!("something else may be in it: {why}"),
        }
    };
    listener.remark(&format!("the namespace {namespace} in the cluster `{}` stays: {why}", reached.context));
    Ok(())
}
