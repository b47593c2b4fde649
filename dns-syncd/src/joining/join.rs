//! `join`: a cluster becomes a member.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::access::{Server, Token, kubeconfig};
use super::args::JoinArgs;
use super::contexts::{Contexts, Reached};
use super::daemon::wait_until_ready;
use super::federation::Federation;
use super::joined::AllJoined;
use super::manifests::{MemberValues, member};
use super::names::Edit;
use super::objects::printed;
use super::report::{Action, JoiningError, Listener, Result};
use super::rights::{Asked, Case, Command, Known, Side, check};
use super::{Outcome, label};
use crate::config::Flags;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Join {
    /// It is a member.
    Joined(Outcome),
    /// `--dry-run`: what would be written, as YAML.
    Printed(String),
}

/// Joins a cluster and waits until the daemon follows it.
///
/// # Errors
/// When one of the clusters cannot be reached or refuses something, something of somebody else is in the way, or the
/// daemon does not follow the cluster in time. What was done until then stays, and the next run goes on from there.
pub async fn join(
    args: &JoinArgs,
    flags: &Flags,
    env: &dyn Fn(&str) -> Option<String>,
    listener: &dyn Listener,
) -> Result<Join> {
    let (cluster, namespace) = (&*args.member.cluster, &*args.host.federation_system_namespace);
    label("a cluster", cluster)?;
    let contexts = Contexts::read(flags.kubeconfig.as_deref(), env)?;
    let (context, host_context) = (args.member.context(), &*args.host.host_cluster_context);
    contexts.check("--host-cluster-context", host_context)?;
    contexts.check("--cluster-context", context)?;
    let host = contexts.connect("--host-cluster-context", host_context).await?;
    let reached = contexts.connect("--cluster-context", context).await?;
    let (near, far) = (host.clone(), reached.clone());
    let mut asked = (Asked::new(&near, Command::Join, Side::Host), Asked::new(&far, Command::Join, Side::Member));
    let mut known =
        Known::of(namespace).case(Case::Waits, args.timeout > 0).case(Case::Dns, args.member.cluster_dns.is_told());
    check(&mut asked.0, &mut asked.1, &known).await?;
    let host = host.identified().await?;
    let federation = Federation::of(&host, namespace).await?;
    let secrets = federation.secrets(args.member.secret_name.as_deref())?;
    let reached = reached.identified().await?;
    known = federation.known(known, &secrets);
    check(&mut asked.0, &mut asked.1, &known).await?;
    if reached.find(&super::objects::namespace(namespace)).await?.is_none() {
        known.found("create", "namespaces", namespace);
        known.found("patch", "namespaces", namespace);
    }
    let federation = federation.found_servers(&host, namespace).await?;
    let at_host = (&*host.context, namespace);
    let edit = Edit::adding(&reached, cluster, args.member.cluster_dns, &federation, at_host).await?;
    edit.rights(&mut known);
    check(&mut asked.0, &mut asked.1, &known).await?;
    let is_asked = args.member.secret_name.is_some();
    let mounted = async || AllJoined::of(&host, namespace, &secrets, cluster, is_asked).await;
    let joined = mounted().await?;
    refuse_twice(&joined, cluster, &reached)?;

    let objects = member(&MemberValues {
        namespace: namespace.to_owned(),
        federation: federation.name.clone(),
        cluster: cluster.to_owned(),
        exports: federation.exports,
        events: federation.events,
    })?;
    reached.check_ours(&objects).await?;
    known = known.word("SECRET", [joined.secret()]);
    check(&mut asked.0, &mut asked.1, &known).await?;
    asked.0.remark(listener);
    asked.1.remark(listener);
    if args.dry_run {
        let mut kubeconfig = joined.own.secret.clone();
        kubeconfig["data"] = json!({ cluster: "" });
        let text = printed(&objects) + &printed(&[kubeconfig]) + &edit.printed();
        return Ok(Join::Printed(text));
    }

    for object in &objects {
        reached.apply(object, listener).await?;
    }
    let token = match objects.last() {
        Some(secret) => Token::of(&reached, secret, listener).await?,
        None => return Err(JoiningError::failed("the embedded manifests have no objects")),
    };
    let is_host = reached.uid == host.uid;
    let server = Server::of(&contexts, context, args.cluster_server.as_deref(), is_host, &token, listener)?;
    let now = Timestamp::now().to_string();
    let (joined, action) = loop {
        // Others join meanwhile.
        let joined = mounted().await?;
        refuse_twice(&joined, cluster, &reached)?;
        let joined = joined.own;
        let since = joined.joined(cluster).unwrap_or_else(|| now.clone());
        let text = kubeconfig(cluster, &server, &token, &reached.uid, &since);
        let action = match joined.members.get(cluster) {
            Some(before) if *before == text => Action::Unchanged,
            Some(_) => Action::Changed,
            None => Action::Created,
        };
        if action == Action::Unchanged || joined.set(&host, cluster, Some(&text)).await? {
            break (joined, action);
        }
    };
    host.tell_part(&joined.secret, cluster, action, listener);
    let outcome = edit.write(&reached, listener).await?;
    wait(args, &host, &federation, listener).await?;
    Ok(Join::Joined(outcome))
}

/// One cluster under two names would count twice, and two under one name take turns.
fn refuse_twice(joined: &AllJoined, cluster: &str, reached: &Reached) -> Result<()> {
    let context = &reached.context;
    if let Some(other) = joined.other_secret(cluster) {
        return Err(JoiningError::usage(format!(
            "a cluster has joined as `{cluster}` already, in the Secret `{other}`; hint: --secret-name={other}, or another name"
        )));
    }
    if let Some(other) = joined.other_name(cluster, &reached.uid) {
        return Err(JoiningError::usage(format!(
            "the cluster of the context `{context}` has joined already, as `{other}`; hint: `dns-syncd unjoin {other} \
             --cluster-context={context} …` first"
        )));
    }
    if joined.own.uid(cluster).is_some_and(|uid| uid != reached.uid) {
        return Err(JoiningError::usage(format!(
            "another cluster than that of the context `{context}` has joined as `{cluster}` already; hint: another name, or \
             `dns-syncd unjoin {cluster} --force …` when that one is gone"
        )));
    }
    Ok(())
}

async fn wait(args: &JoinArgs, host: &Reached, federation: &Federation, listener: &dyn Listener) -> Result<()> {
    let (cluster, namespace) = (&*args.member.cluster, &*args.host.federation_system_namespace);
    if args.timeout == 0 {
        return Ok(());
    }
    let limit = Duration::from_secs(args.timeout);
    if wait_until_ready(host, namespace, federation, cluster, limit, listener).await? {
        return Ok(());
    }
    Err(JoiningError::failed(format!(
        "everything is written, but the daemon does not follow the cluster `{cluster}` within {} s; hint: see `waiting` \
         above, and run this again to wait longer",
        args.timeout
    )))
}
