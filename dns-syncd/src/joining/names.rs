//! The member's own DNS, which is told of the federation so that pods find it by short names.
//!
//! In: the ConfigMaps of `kube-system` · Out: an [`Edit`] of one ConfigMap

use std::collections::BTreeMap;

use dnsprovider::Fqdn;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::Outcome;
use super::args::ClusterDns;
use super::contexts::Reached;
use super::federation::Federation;
use super::manifests::{NAME, NAME_SERVERS};
use super::objects::{is_ours, marked};
use super::place::place;
use super::report::{Action, JoiningError, Listener, Result};
use super::rights::Known;
use crate::cluster_dns::kube_dns::{self, Contents, Data};
use crate::cluster_dns::{Place, ShortNames, Unreadable, coredns, custom, print};

const NAMESPACE: &str = "kube-system";
const COREDNS: &str = "coredns";
const KUBE_DNS: &str = "kube-dns";
const COREFILE: &str = "Corefile";
/// What a cluster calls its own domain unless its Corefile says otherwise.
const CLUSTER_DOMAIN: &str = "cluster.local";

/// The stub domains that `join` wrote into the ConfigMap of kube-dns, as an annotation of it: a JSON object.
const WRITTEN: &str = "dns-syncd.io/stub-domains";

/// What is to be done to the DNS of a member.
#[derive(Debug, Default)]
pub(crate) struct Edit {
    changes: Vec<Change>,
    /// What a person has to do, and why.
    by_hand: Vec<String>,
    /// What to know.
    remarks: Vec<String>,
}

/// A ConfigMap before and after.
#[derive(Debug)]
struct Change {
    map: ConfigMap,
    after: Contents,
}

impl Edit {
    /// What `join` does. Nothing is written yet. `host` is the context of the host cluster and the daemon's namespace.
    ///
    /// # Errors
    /// When the cluster does not answer, or does not have the DNS that was asked for.
    pub(crate) async fn adding(
        member: &Reached,
        cluster: &str,
        which: ClusterDns,
        federation: &Federation,
        host: (&str, &str),
    ) -> Result<Self> {
        let mut edit = Self::default();
        if which == ClusterDns::None {
            return Ok(edit);
        }
        let place = place(member, cluster, federation).await?;
        if place == Place::Anywhere && (federation.levels.region || federation.levels.zone) {
            edit.remarks.push(format!(
                "no node of the cluster `{}` has the label topology.kubernetes.io/region: its pods ask for global names",
                member.context
            ));
        }
        edit.remarks.extend(servers_are_unknown(federation, host));
        // Without the right to see it nothing is said.
        if member.find(&super::objects::namespace(&federation.name)).await.is_ok_and(|found| found.is_some()) {
            edit.remarks.push(format!(
                "the cluster `{}` has a namespace `{}`, called as the federation: pods find a service there by `SERVICE.{}` \
                 only while it has ready endpoints",
                member.context, federation.name, federation.name
            ));
        }
        let mut names = short_names(federation, place);
        let corefile = ConfigMap::find(member, COREDNS).await?.filter(|map| map.contents.data.contains_key(COREFILE));
        if let Some(Ok(domain)) = corefile.as_ref().map(|map| coredns::cluster_domain(&map.contents.data[COREFILE])) {
            names.cluster_domain = domain;
        }
        if which == ClusterDns::Print {
            edit.by_hand.push(print(&names));
            return Ok(edit);
        }
        let kube_dns = ConfigMap::find(member, KUBE_DNS).await?;
        let lacking = |what: &str| {
            let context = &member.context;
            JoiningError::usage(format!(
                "the cluster `{context}` has no {what} in {NAMESPACE}; hint: --cluster-dns=print shows what to add by hand"
            ))
        };
        match (which, corefile, kube_dns) {
            (ClusterDns::Auto | ClusterDns::Coredns, Some(map), _) => edit.corefile(member, map, &names).await?,
            (ClusterDns::Auto, None, Some(map)) | (ClusterDns::KubeDns, _, Some(map)) => {
                let changed = kube_dns::add(&map.contents, &names);
                edit.take(map, changed, &names);
            }
            (ClusterDns::Coredns, None, _) => return Err(lacking("ConfigMap `coredns` with a Corefile")),
            (ClusterDns::KubeDns, _, None) => return Err(lacking("ConfigMap `kube-dns`")),
            _ => {
                let context = &member.context;
                let why =
                    format!("the cluster `{context}` has neither ConfigMap `coredns` nor `kube-dns` in {NAMESPACE}");
                edit.by_hand.push(format!("{why}; to add by hand:\n{}", print(&names)));
            }
        }
        Ok(edit)
    }

    /// The Corefile itself, or what a distribution lets it import.
    async fn corefile(&mut self, member: &Reached, map: ConfigMap, names: &ShortNames) -> Result<()> {
        let corefile = map.contents.data[COREFILE].clone();
        if coredns::reloads(&corefile) == Ok(false) {
            self.remarks.push(format!(
                "the Corefile has no plugin `reload`; hint: kubectl --context {} --namespace {NAMESPACE} rollout restart \
                 deployment coredns",
                member.context
            ));
        }
        if custom::is_imported(&corefile) == Ok(true) {
            let imported = ConfigMap::find_or_new(member, custom::CONFIG_MAP).await?;
            let changed = custom::add(&corefile, &imported.contents.data, names).map(|data| imported.with(data));
            self.take(imported, changed, names);
            return Ok(());
        }
        let changed = coredns::add(&corefile, names).map(|text| map.with_corefile(text));
        self.take(map, changed, names);
        Ok(())
    }

    /// What `unjoin` does: what is ours goes from wherever it is. Nothing is written yet.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub(crate) async fn removing(member: &Reached, which: ClusterDns, federation: &Federation) -> Result<Self> {
        let mut edit = Self::default();
        if matches!(which, ClusterDns::Auto | ClusterDns::Coredns) {
            if let Some(map) = ConfigMap::find(member, COREDNS).await?
                && let Some(corefile) = map.contents.data.get(COREFILE)
            {
                let changed = coredns::remove(corefile, &federation.name).map(|text| map.with_corefile(text));
                edit.give(map, changed);
            }
            if let Some(map) = ConfigMap::find(member, custom::CONFIG_MAP).await? {
                let changed = custom::remove(&map.contents.data, &federation.name).map(|data| map.with(data));
                edit.give(map, changed);
            }
        }
        if matches!(which, ClusterDns::Auto | ClusterDns::KubeDns)
            && let Some(map) = ConfigMap::find(member, KUBE_DNS).await?
        {
            let changed = kube_dns::remove(&map.contents, &short_names(federation, Place::Anywhere));
            edit.give(map, changed);
        }
        Ok(edit)
    }

    fn take(&mut self, map: ConfigMap, changed: std::result::Result<Contents, Unreadable>, names: &ShortNames) {
        match changed {
            Ok(after) => self.changes.push(Change { map, after }),
            Err(why) => {
                self.by_hand.push(format!("{}; to add by hand:\n{}", map.left_alone(&why), print(names)));
            }
        }
    }

    /// As [`Edit::take`], for what goes.
    fn give(&mut self, map: ConfigMap, changed: std::result::Result<Contents, Unreadable>) {
        match changed {
            Ok(after) => self.changes.push(Change { map, after }),
            Err(why) => self.by_hand.push(map.left_alone(&why)),
        }
    }

    /// The rights that it takes.
    pub(crate) fn rights(&self, known: &mut Known) {
        for change in &self.changes {
            let name = super::objects::text(&change.map.map, "/metadata/name");
            for verb in change.verbs() {
                known.found(verb, "configmaps", name);
            }
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// When the cluster does not answer, or the ConfigMap has changed since it was read.
    pub(crate) async fn write(&self, member: &Reached, listener: &dyn Listener) -> Result<Outcome> {
        for change in &self.changes {
            change.write(member, listener).await?;
        }
        for remark in self.remarks.iter().chain(&self.by_hand) {
            listener.remark(remark);
        }
        Ok(if self.by_hand.is_empty() { Outcome::Done } else { Outcome::Withheld })
    }

    /// The keys that would change, as a part of each ConfigMap, and what is to be done by hand as comments.
    pub(crate) fn printed(&self) -> String {
        let changes = self.changes.iter().filter(|change| change.after != change.map.contents);
        let text = super::objects::printed(&changes.map(Change::part).collect::<Vec<_>>());
        let by_hand = self.by_hand.iter().chain(&self.remarks).flat_map(|text| text.lines());
        by_hand.fold(text, |text, line| text + format!("# {line}").trim_end() + "\n")
    }
}

impl Change {
    /// The keys that differ; null for those that go.
    fn keys(&self) -> BTreeMap<&String, Option<&String>> {
        let (before, after) = (&self.map.contents.data, &self.after.data);
        let gone = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key, None));
        let written = after.iter().filter(|(key, value)| before.get(*key) != Some(value));
        written.map(|(key, value)| (key, Some(value))).chain(gone).collect()
    }

    /// What is done to the ConfigMap.
    fn verbs(&self) -> &'static [&'static str] {
        match &self.map.found {
            _ if self.after == self.map.contents => &[],
            None => &["create", "patch"],
            Some(found) if self.after.data.is_empty() && is_ours(found) => &["delete"],
            Some(_) => &["patch"],
        }
    }

    fn part(&self) -> Value {
        let mut part = self.map.map.clone();
        part["data"] = json!(self.keys());
        if let Some(annotations) = self.annotations() {
            part["metadata"]["annotations"] = annotations;
        }
        part
    }

    /// The note of what was written, where it differs; null where it goes.
    fn annotations(&self) -> Option<Value> {
        let written = &self.after.written;
        let note = (!written.is_empty()).then(|| json!(written).to_string());
        (*written != self.map.contents.written).then(|| json!({ WRITTEN: note }))
    }

    async fn write(&self, member: &Reached, listener: &dyn Listener) -> Result<()> {
        let map = &self.map;
        match &map.found {
            _ if self.after == map.contents => member.tell(&map.map, Action::Unchanged, listener),
            None => _ = member.apply(&marked(self.part()), listener).await?,
            Some(found) if self.after.data.is_empty() && is_ours(found) => member.delete(&map.map, listener).await?,
            Some(found) => {
                let mut fields = json!({ "data": self.keys() });
                if let Some(annotations) = self.annotations() {
                    fields["metadata"]["annotations"] = annotations;
                }
                if !member.merge(&map.map, found, &fields).await? {
                    let called = super::objects::called(&map.map);
                    return Err(JoiningError::failed(format!(
                        "the {called} in the cluster `{}` has changed meanwhile; hint: run this again",
                        member.context
                    )));
                }
                member.tell(&map.map, Action::Changed, listener);
            }
        }
        Ok(())
    }
}

/// A ConfigMap as it was read.
#[derive(Debug)]
struct ConfigMap {
    map: Value,
    /// None where it does not exist.
    found: Option<DynamicObject>,
    contents: Contents,
}

impl ConfigMap {
    async fn find(member: &Reached, name: &str) -> Result<Option<Self>> {
        Ok(Some(Self::find_or_new(member, name).await?).filter(|map| map.found.is_some()))
    }

    async fn find_or_new(member: &Reached, name: &str) -> Result<Self> {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": NAMESPACE },
        });
        let found = member.find(&map).await?;
        let data = found.as_ref().and_then(|found| found.data["data"].as_object()).into_iter().flatten();
        let data = data.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()));
        let note = found.as_ref().and_then(|found| found.annotations().get(WRITTEN));
        // What somebody has made of it says nothing.
        let written = note.and_then(|note| serde_json::from_str(note).ok()).unwrap_or_default();
        Ok(Self { contents: Contents { data: data.collect(), written }, map, found })
    }

    /// The same with other data.
    fn with(&self, data: Data) -> Contents {
        Contents { data, written: self.contents.written.clone() }
    }

    /// The same with another Corefile.
    fn with_corefile(&self, text: String) -> Contents {
        let mut contents = self.contents.clone();
        contents.data.insert(COREFILE.to_owned(), text);
        contents
    }

    fn left_alone(&self, why: &Unreadable) -> String {
        format!("the {} is left alone: {why}", super::objects::called(&self.map))
    }
}

fn short_names(federation: &Federation, place: Place) -> ShortNames {
    let bare = |name: &Fqdn| name.as_str().trim_end_matches('.').to_owned();
    ShortNames {
        federation: federation.name.clone(),
        cluster_domain: CLUSTER_DOMAIN.to_owned(),
        zone_name: bare(&federation.zone),
        suffix: bare(&federation.suffix),
        place,
        servers: federation.servers.clone(),
    }
}

/// What to know where a zone that need not be public has no servers that could be asked.
fn servers_are_unknown(federation: &Federation, (context, namespace): (&str, &str)) -> Option<String> {
    let need_not_be_public = federation.provider.as_deref() == Some("coredns") || federation.is_embedded();
    if !need_not_be_public || !federation.servers.is_empty() {
        return None;
    }
    let zone = federation.zone.as_str().trim_end_matches('.');
    Some(format!(
        "no DNS servers of the zone `{zone}` are known, so pods find it only where it is public; hint: `kubectl --context \
         {context} --namespace {namespace} annotate deployment {NAME} {NAME_SERVERS}=IP:PORT`, several with commas between \
         them, then run this again"
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_zone_that_need_not_be_public_and_has_no_known_servers_is_remarked_on() {
        let federation = |provider: &str, servers: &[&str]| Federation {
            provider: Some(provider.to_owned()),
            zone: Fqdn::parse("example.com").unwrap(),
            servers: servers.iter().map(|server| server.parse().unwrap()).collect(),
            ..Federation::empty()
        };
        let host = ("eu", "federation-system");
        let said = servers_are_unknown(&federation("coredns", &[]), host).unwrap();
        let hint =
            "`kubectl --context eu --namespace federation-system annotate deployment dns-syncd nameserver=IP:PORT`";
        assert!(said.contains("zone `example.com`") && said.contains(hint), "{said}");
        assert_eq!(servers_are_unknown(&federation("coredns", &["192.0.2.1:53"]), host), None);
        assert_eq!(servers_are_unknown(&federation("aws-route53", &[]), host), None);
    }
}
