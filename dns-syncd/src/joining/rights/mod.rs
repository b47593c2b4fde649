//! The rights that the commands need, asked for before anything is written.
//!
//! One table says them all; docs/joining.md shows it, and a test compares the two. A cluster is asked by
//! `SelfSubjectAccessReview`, one for each verb and object. What cannot be known before something is read is asked for
//! when it was read, and still before anything is written.
//!
//! In: what is known of the federation, [`Known`] · Out: what is [`Missing`]

mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;

pub(crate) use self::table::{Case, Command, ROLE_BINDINGS, ROLES, Side};
use self::table::{Row, Scope, TABLE};
use super::contexts::{PATIENCE, Reached, refused, unreachable};
use super::report::{JoiningError, Listener, Result};
use crate::source::clusters::plain;

/// What the words of the table stand for, and which cases there are, as far as it is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    words: BTreeMap<&'static str, Vec<String>>,
    cases: BTreeSet<Case>,
    /// What is to be done, by verb, resource and name.
    found: BTreeSet<(&'static str, &'static str, String)>,
}

impl Known {
    pub(crate) fn of(namespace: &str) -> Self {
        Self::default().word("NAMESPACE", [namespace.to_owned()])
    }

    pub(crate) fn word(mut self, word: &'static str, values: impl IntoIterator<Item = String>) -> Self {
        self.words.insert(word, values.into_iter().collect());
        self
    }

    pub(crate) fn case(mut self, case: Case, is_so: bool) -> Self {
        if is_so {
            self.cases.insert(case);
        }
        self
    }

    pub(crate) fn is(&self, case: Case) -> bool {
        self.cases.contains(&case)
    }

    pub(crate) fn found(&mut self, verb: &'static str, resource: &'static str, name: &str) {
        self.found.insert((verb, resource, name.to_owned()));
    }

    /// The names that one in the table stands for; `None` while nobody knows them.
    fn names(&self, written: &str) -> Option<Vec<String>> {
        let mut names = vec![written.to_owned()];
        for word in ["NAMESPACE", "FED", "LEASE", "SECRETS", "SECRET", "TOKEN"] {
            if !names.iter().any(|name| name.contains(word)) {
                continue;
            }
            let values = self.words.get(word)?;
            names = values.iter().flat_map(|value| names.iter().map(|name| name.replace(word, value))).collect();
        }
        Some(names)
    }
}

/// One right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    namespace: Option<String>,
    resource: &'static str,
    name: Option<String>,
    verb: &'static str,
}

impl Row {
    /// The rights as far as they are known. `guess` takes all objects for those whose names are not.
    fn rights(&self, known: &Known, guess: bool) -> Vec<Right> {
        let is_certain = match self.case {
            Case::Always | Case::Found(_) => true,
            Case::Without(_) => false,
            case => known.is(case),
        };
        if !is_certain {
            return Vec::new();
        }
        let mut names: Vec<Option<String>> = Vec::new();
        for written in self.names {
            match known.names(written) {
                Some(all) => names.extend(all.into_iter().map(Some)),
                None if guess => names.push(None),
                None => {}
            }
        }
        if self.names.is_empty() {
            names.push(None);
        }
        let own = || known.names("NAMESPACE").and_then(|names| names.into_iter().next());
        let namespace = match self.scope {
            Scope::Cluster => None,
            Scope::Own => own(),
            Scope::KubeSystem => Some("kube-system".to_owned()),
        };
        let mut rights = Vec::new();
        for resource in self.resources {
            for name in &names {
                for verb in self.verbs {
                    let is_found =
                        || name.as_ref().is_some_and(|name| known.found.contains(&(verb, *resource, name.clone())));
                    if !matches!(self.case, Case::Found(_)) || is_found() {
                        rights.push(Right { namespace: namespace.clone(), resource, name: name.clone(), verb });
                    }
                }
            }
        }
        rights
    }
}

/// A cluster that is asked what its user may do.
pub(crate) struct Asked<'a> {
    cluster: &'a Reached,
    command: Command,
    side: Side,
    answers: BTreeMap<Right, bool>,
    /// Why it does not say; then it shows when something is refused.
    silent: Option<String>,
    /// What is missing and may not be needed, by the version of Kubernetes that asks for it first.
    later: BTreeMap<&'static str, Missing>,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(cluster: &'a Reached, command: Command, side: Side) -> Self {
        Self { cluster, command, side, answers: BTreeMap::new(), silent: None, later: BTreeMap::new() }
    }

    /// The missing ones of the rights that are known by now; with `guess` those as well that are not known to the last,
    /// such as of an object whose name nobody could read.
    ///
    /// # Errors
    /// When the cluster cannot be reached, or does not know its user.
    pub(crate) async fn missing(&mut self, known: &Known, guess: bool) -> Result<Missing> {
        let rows = TABLE.iter().filter(|row| row.side == self.side && row.commands.contains(&self.command));
        let rows: Vec<_> = rows.map(|row| (row, row.rights(known, guess))).collect();
        self.ask(rows.iter().flat_map(|(_, rights)| rights.clone()).collect()).await?;
        let (mut missing, mut later) = (Missing::default(), BTreeMap::<_, Missing>::new());
        for (row, rights) in rows {
            let mut lacking: Vec<_> = rights.into_iter().filter(|right| !self.has(right)).collect();
            if let (false, Some((resource, name))) = (lacking.is_empty(), row.passed_on) {
                let name = known.names(name).and_then(|names| names.into_iter().next());
                let of = |verb| Right { namespace: lacking[0].namespace.clone(), resource, name: name.clone(), verb };
                let others = [of("escalate"), of("bind")];
                self.ask(others.to_vec()).await?;
                if others.iter().all(|right| self.has(right)) {
                    lacking.clear();
                }
            }
            let context = &self.cluster.context;
            let lacking = lacking.into_iter().map(|right| (context.clone(), right, row.passed_on.map(|of| of.0)));
            match row.since {
                None => missing.0.extend(lacking),
                Some(version) => later.entry(version).or_default().0.extend(lacking),
            }
        }
        self.later = later;
        Ok(missing)
    }

    fn has(&self, right: &Right) -> bool {
        self.answers.get(right).copied().unwrap_or(true)
    }

    async fn ask(&mut self, rights: Vec<Right>) -> Result<()> {
        let new: BTreeSet<_> = rights.into_iter().filter(|right| !self.answers.contains_key(right)).collect();
        if self.silent.is_some() || new.is_empty() {
            return Ok(());
        }
        let cluster = self.cluster;
        let asking = new.into_iter().map(|right| async move { (cluster.may(&right).await, right) });
        for (answer, right) in futures::future::join_all(asking).await {
            match answer? {
                Ok(may) => _ = self.answers.insert(right, may),
                Err(why) => self.silent = Some(why),
            }
        }
        Ok(())
    }

    /// Says where the cluster keeps to itself what its user may do, and what is missing that only some clusters ask for.
    pub(crate) fn remark(&self, listener: &dyn Listener) {
        for (version, missing) in self.later.iter().filter(|(_, missing)| !missing.is_empty()) {
            listener.remark(&format!("rights are missing that Kubernetes asks for from {version} on:\n{missing}"));
        }
        if let Some(why) = &self.silent {
            let context = &self.cluster.context;
            listener
                .remark(&format!("the cluster `{context}` does not say beforehand which rights are missing: {why}"));
        }
    }
}

impl Reached {
    /// Whether the user of the context has a right; `Err` inside where the cluster does not tell.
    async fn may(&self, right: &Right) -> Result<std::result::Result<bool, String>> {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes(right)), ..Default::default() },
            ..SelfSubjectAccessReview::default()
        };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let context = &self.context;
        match tokio::time::timeout(PATIENCE, reviews.create(&PostParams::default(), &review)).await {
            Ok(Ok(answer)) => Ok(Ok(answer.status.is_some_and(|status| status.allowed))),
            Ok(Err(error @ kube::Error::Api(_))) => match &error {
                kube::Error::Api(status) if status.code != 401 => Ok(Err(status.message.clone())),
                _ => Err(refused(context, "asking for the rights", &error)),
            },
            Ok(Err(error)) => Err(unreachable(context, &plain(&error))),
            Err(_) => Err(unreachable(context, &format!("it did not answer within {PATIENCE:?}"))),
        }
    }
}

fn attributes(right: &Right) -> ResourceAttributes {
    let (resource, subresource) = right.resource.split_once('/').unwrap_or((right.resource, ""));
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    ResourceAttributes {
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: Some(subresource.to_owned()).filter(|name| !name.is_empty()),
        verb: Some(right.verb.to_owned()),
        namespace: right.namespace.clone(),
        name: right.name.clone(),
        ..ResourceAttributes::default()
    }
}

/// Asks both clusters.
///
/// # Errors
/// With all that is missing in one of them, and as [`Asked::missing`].
pub(crate) async fn check(host: &mut Asked<'_>, member: &mut Asked<'_>, known: &Known) -> Result<()> {
    let missing = host.missing(known, false).await?.and(member.missing(known, false).await?);
    if missing.is_empty() {
        return Ok(());
    }
    host.missing(known, true).await?.and(member.missing(known, true).await?).refuse()
}

/// Rights that are missing: the context, the right, and the kind of role that would pass it on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Missing(Vec<(String, Right, Option<&'static str>)>);

impl Missing {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Fails where something is missing.
    ///
    /// # Errors
    /// With all that is missing.
    pub(crate) fn refuse(self) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        Err(JoiningError::failed(format!(
            "nothing was written, for rights are missing:\n{self}\nhint: grant them to the users of the contexts, or take \
             contexts whose users have them"
        )))
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<(String, Vec<&str>, String)> = Vec::new();
        for (context, Right { namespace, resource, name, verb }, passed_on) in &self.0 {
            let name = name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            let place = namespace.as_ref().map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
            let or = passed_on.map(|resource| format!(", or escalate and bind {resource}")).unwrap_or_default();
            let object = format!("{resource}{name}{place} of context {context}");
            match lines.iter_mut().find(|(of, ..)| *of == object) {
                Some((_, verbs, _)) if verbs.contains(verb) => {}
                Some((_, verbs, _)) => verbs.push(verb),
                None => lines.push((object, vec![verb], or)),
            }
        }
        let lines = lines.iter().map(|(object, verbs, or)| format!("needs: {} {object}{or}", verbs.join(", ")));
        f.write_str(&lines.collect::<Vec<_>>().join("\n"))
    }
}

#[cfg(test)]
mod tests;
