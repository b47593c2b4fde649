//! Which clusters there are, and how each is reached.
//!
//! Blocks on the file system; no clock, no network.
//! In: kubeconfig files, a folder of them, the pod · Out: [`Roster`] · Called by: `mod.rs`

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dns_sync_core::ClusterName;
use kube::config::{Kubeconfig, KubeconfigError};

use super::cluster::Way;
use super::connect::Member;
use super::loss::chain;
use super::{ClustersConfig, Contexts};

/// Name of a member that nobody named: the cluster in which this process runs, or the one at `--master`.
const UNNAMED: &str = "in-cluster";

/// The members as far as they could be read.
pub(crate) type Members = BTreeMap<ClusterName, Result<Arc<Member>, String>>;

/// Reads the members again and again, and remembers where each was found.
#[derive(Debug)]
pub(crate) struct Roster {
    config: ClustersConfig,
    /// Files as they were read last.
    read: BTreeMap<PathBuf, Seen>,
    /// Where each member was found last.
    origins: BTreeMap<ClusterName, Origin>,
    begun: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    File(PathBuf),
    Folder,
    Pod,
}

/// A file as it was read.
#[derive(Clone, Debug)]
struct Seen {
    stamp: Option<Stamp>,
    found: Result<Arc<Kubeconfig>, String>,
    /// The last that could be used, while one that cannot might still be written.
    before: Option<Arc<Kubeconfig>>,
}

/// Why there are no members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoMembers {
    /// What is asked for cannot be meant.
    Wrong(String),
    /// Nothing that could be read has one: that may be an unmounted volume.
    Unread(String),
}

impl NoMembers {
    pub(crate) fn reason(&self) -> &str {
        let (Self::Wrong(reason) | Self::Unread(reason)) = self;
        reason
    }
}

/// Tells one state of a file from another.
type Stamp = (u64, i64, i64, u64, u64);

impl Roster {
    pub(crate) fn new(config: ClustersConfig) -> Self {
        Self { config, read: BTreeMap::new(), origins: BTreeMap::new(), begun: false }
    }

    /// The `[Cluster]` sections from now on.
    pub(crate) fn pick(&mut self, contexts: &Contexts) {
        if self.config.contexts != *contexts {
            self.config.contexts.clone_from(contexts);
        }
    }

    /// Reads all members.
    ///
    /// A member that was found before and cannot be read now is an error of its own; so is every member of a folder
    /// that has none any more, since an unmounted folder looks like an empty one.
    ///
    /// # Errors
    /// When there is no member at all, or one is asked for that does not exist: nothing may be concluded then.
    pub(crate) fn load(&mut self) -> Result<Members, NoMembers> {
        let mut members = Members::new();
        let mut origins = BTreeMap::new();
        let mut broken = Vec::new();
        if self.config.kubeconfig.is_empty() && self.config.folder.is_none() {
            self.pod(&mut members, &mut origins);
        }
        self.files(&mut members, &mut origins, &mut broken).map_err(NoMembers::Wrong)?;
        self.folder(&mut members, &mut origins, &mut broken).map_err(NoMembers::Wrong)?;
        for (name, origin) in &self.origins {
            if members.contains_key(name) {
                continue;
            }
            // What could not be read may still hold it: it did not disappear.
            if let Some((_, reason)) = broken.iter().find(|(at, _)| at == origin) {
                members.insert(name.clone(), Err(reason.clone()));
                origins.insert(name.clone(), origin.clone());
            }
        }
        if members.is_empty() {
            let hint = "hint: `kubeconfig` or `path` in [Source], or --kubeconfig";
            let reasons: Vec<_> = broken.into_iter().map(|(_, reason)| reason).collect();
            let reasons = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) };
            let reason = format!("there is no cluster{reasons}; {hint}");
            let is_given = !self.config.kubeconfig.is_empty() || self.config.folder.is_some();
            return Err(if is_given { NoMembers::Unread(reason) } else { NoMembers::Wrong(reason) });
        }
        if self.config.master.is_some() && members.len() > 1 {
            let names = members.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Err(NoMembers::Wrong(format!(
                "`--master` is the address of one API server, but there are {} clusters: {names}; hint: leave it out, \
                 or pick one with a [Cluster] section",
                members.len()
            )));
        }
        self.origins = origins;
        self.begun = true;
        Ok(members)
    }

    /// The cluster in which this process runs, or that at `--master`.
    fn pod(&self, members: &mut Members, origins: &mut BTreeMap<ClusterName, Origin>) {
        let name = match self.config.contexts.keys().next() {
            Some(name) if self.config.contexts.len() == 1 => name.clone(),
            _ => UNNAMED.into(),
        };
        let member = match &self.config.master {
            _ if self.config.in_cluster => Member::in_cluster(self.config.master.as_deref()),
            Some(master) => Member::address(master),
            None => return,
        };
        members.insert(name.clone(), Ok(Arc::new(member)));
        origins.insert(name, Origin::Pod);
    }

    /// The contexts of the kubeconfig files: those that `[Cluster]` sections pick, or all where there are none.
    fn files(
        &mut self,
        members: &mut Members,
        origins: &mut BTreeMap<ClusterName, Origin>,
        broken: &mut Vec<(Origin, String)>,
    ) -> Result<(), String> {
        if self.config.kubeconfig.is_empty() {
            return Ok(());
        }
        let (merged, homes) = self.merged(broken);
        let picked: BTreeMap<ClusterName, String> = if self.config.contexts.is_empty() {
            one_each(&merged)?;
            homes.keys().map(|context| (context.as_str().into(), context.clone())).collect()
        } else {
            let context = |name: &ClusterName, context: &Option<String>| context.clone().unwrap_or(name.to_string());
            self.config.contexts.iter().map(|(name, picked)| (name.clone(), context(name, picked))).collect()
        };
        for (name, context) in picked {
            let Some(home) = homes.get(&context) else {
                match broken.first() {
                    // It may stand in what could not be read.
                    Some((origin, reason)) if !self.begun => {
                        members.insert(name.clone(), Err(reason.clone()));
                        origins.insert(name, origin.clone());
                    }
                    // A folder may hold it, or it has disappeared.
                    _ if self.config.folder.is_some() || self.origins.contains_key(&name) => {}
                    _ if self.begun => {
                        members.insert(name.clone(), Err(no_context(&name, &context, homes.keys())));
                    }
                    _ => return Err(no_context(&name, &context, homes.keys())),
                }
                continue;
            };
            let origin = home.display().to_string();
            let member = Member::context(&merged, &context, &origin, self.config.master.as_deref());
            members.insert(name.clone(), member.map(Arc::new));
            origins.insert(name, Origin::File(home.clone()));
        }
        Ok(())
    }

    /// The kubeconfig files as one, and the file of each context.
    fn merged(&mut self, broken: &mut Vec<(Origin, String)>) -> (Arc<Kubeconfig>, BTreeMap<String, PathBuf>) {
        let mut merged = Kubeconfig::default();
        let mut homes = BTreeMap::new();
        for path in self.config.kubeconfig.clone() {
            match self.read(&path) {
                // kubectl passes over the absent ones of a list as well.
                Ok(None) => broken.push((Origin::File(path.clone()), absent(&path))),
                Ok(Some(kubeconfig)) => {
                    for named in &kubeconfig.contexts {
                        homes.entry(named.name.clone()).or_insert_with(|| path.clone());
                    }
                    match merged.clone().merge((*kubeconfig).clone()) {
                        Ok(both) => merged = both,
                        Err(error) => {
                            broken.push((Origin::File(path.clone()), format!("{}: {error}", path.display())));
                        }
                    }
                }
                Err(reason) => broken.push((Origin::File(path.clone()), reason)),
            }
        }
        (Arc::new(merged), homes)
    }

    /// The one API server of a federation: the context of its name, else the current one, else the only one. What
    /// cannot be read may still hold it: that is no error, but nobody knows the way.
    ///
    /// # Errors
    /// When no file can lead to it.
    pub(crate) fn server(&mut self, federation: &str) -> Result<Way, String> {
        if let Some(folder) = &self.config.folder {
            return Err(format!(
                "`{}` is a folder; hint: `kubeconfig` is the file that leads to the federation's API server",
                folder.display()
            ));
        }
        let master = self.config.master.clone();
        if self.config.kubeconfig.is_empty() {
            return match &master {
                _ if self.config.in_cluster => Ok(Ok(Arc::new(Member::in_cluster(master.as_deref())))),
                Some(master) => Ok(Ok(Arc::new(Member::address(master)))),
                None => Err("there is no API server; hint: `kubeconfig` in [Source], or --kubeconfig".to_owned()),
            };
        }
        let mut broken = Vec::new();
        let (merged, homes) = self.merged(&mut broken);
        // Its file is gone or torn: another context would lead to another server.
        let lost = self.origins.iter().find(|(context, _)| !homes.contains_key(&***context));
        if let Some((_, origin)) = lost
            && let Some((_, reason)) = broken.iter().find(|(at, _)| at == origin)
        {
            return Ok(Err(reason.clone()));
        }
        let current = merged.current_context.clone().filter(|current| !current.is_empty());
        let only = (homes.len() == 1).then(|| homes.keys().next().cloned()).flatten();
        let named = homes.contains_key(federation).then(|| federation.to_owned());
        let context = named.or_else(|| current.filter(|current| homes.contains_key(current))).or(only);
        let Some(context) = context else {
            if let Some((_, reason)) = broken.into_iter().next() {
                return Ok(Err(reason));
            }
            let known = listed(homes.keys());
            return Err(format!(
                "no context leads to the federation's API server: none is called `{federation}`, and \
                 `current-context` names none; there are {known}; hint: `kubectl config use-context`"
            ));
        };
        let home = homes.get(&context).cloned().unwrap_or_default();
        let member = Member::context(&merged, &context, &home.display().to_string(), master.as_deref());
        self.origins = [(context.into(), Origin::File(home))].into();
        Ok(member.map(Arc::new))
    }

    /// The kubeconfigs of a folder: files `NAME`, `NAME.yaml` and the like, and folders with a file `kubeconfig`.
    fn folder(
        &mut self,
        members: &mut Members,
        origins: &mut BTreeMap<ClusterName, Origin>,
        broken: &mut Vec<(Origin, String)>,
    ) -> Result<(), String> {
        let Some(folder) = self.config.folder.clone() else { return Ok(()) };
        let had = |name: &str| self.origins.get(name) == Some(&Origin::Folder);
        let found = match entries(&folder, &had) {
            Ok(found) if found.is_empty() => {
                broken.push((Origin::Folder, format!("{}: the folder has no kubeconfig", folder.display())));
                return Ok(());
            }
            Ok(found) => found,
            Err(error) => {
                broken.push((Origin::Folder, format!("{}: the folder cannot be read: {error}", folder.display())));
                return Ok(());
            }
        };
        for (name, paths) in found {
            let member = match paths.as_slice() {
                [path] => self.entry(&name, path),
                paths => {
                    let paths: Vec<_> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
                    Err(format!("the cluster `{name}` stands for {}; keep one of them", paths.join(" and ")))
                }
            };
            if origins.contains_key(&name) {
                return Err(format!("the cluster `{name}` is in the kubeconfig files and in {}", folder.display()));
            }
            members.insert(name.clone(), member);
            origins.insert(name, Origin::Folder);
        }
        Ok(())
    }

    fn entry(&mut self, name: &ClusterName, path: &Path) -> Result<Arc<Member>, String> {
        let kubeconfig = self.read(path)?.ok_or_else(|| absent(path))?;
        let origin = path.display().to_string();
        let names = || kubeconfig.contexts.iter().map(|named| &named.name);
        let context = match self.config.contexts.get(name).cloned().flatten() {
            Some(context) if names().any(|known| *known == context) => context,
            Some(context) => return Err(format!("{origin}: {}", no_context(name, &context, names()))),
            None => match (&kubeconfig.current_context, kubeconfig.contexts.as_slice()) {
                (Some(current), _) if !current.is_empty() => current.clone(),
                (_, [only]) => only.name.clone(),
                (_, []) => return Err(format!("{origin}: it has no context")),
                _ => {
                    let known = listed(names());
                    return Err(format!(
                        "{origin}: it has several contexts and no `current-context`: {known}; hint: `context` in \
                         [Cluster \"{name}\"]"
                    ));
                }
            },
        };
        Member::context(&kubeconfig, &context, &origin, self.config.master.as_deref()).map(Arc::new)
    }

    /// A kubeconfig; `None` where there is no file. One that is half written is read again before it counts.
    fn read(&mut self, path: &Path) -> Result<Option<Arc<Kubeconfig>>, String> {
        let stamp = match stamp(path) {
            Ok(stamp) => Some(stamp),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.read.remove(path);
                return Ok(None);
            }
            Err(error) => return Err(format!("{}: it cannot be read: {error}", path.display())),
        };
        let last = self.read.get(path);
        if let Some(seen) = last.filter(|seen| seen.stamp == stamp) {
            // It has held still since the last look: what is wrong with it stays wrong.
            let seen = seen.clone();
            self.read.insert(path.to_owned(), Seen { before: None, ..seen.clone() });
            return seen.found.map(Some);
        }
        let before = last.and_then(|seen| seen.found.as_ref().ok().or(seen.before.as_ref()).cloned());
        let found = parse(path);
        self.read.insert(path.to_owned(), Seen { stamp, found: found.clone(), before: before.clone() });
        match (found, before) {
            (Ok(kubeconfig), _) | (Err(_), Some(kubeconfig)) => Ok(Some(kubeconfig)),
            (Err(reason), None) => Err(reason),
        }
    }
}

/// Reads a kubeconfig.
///
/// # Errors
/// With the file and the line; never with what stands there.
pub(crate) fn parse(path: &Path) -> Result<Arc<Kubeconfig>, String> {
    // Relative paths in it are relative to it.
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let kubeconfig =
        Kubeconfig::read_from(absolute).map_err(|error| unreadable(&path.display().to_string(), &error))?;
    if kubeconfig.contexts.is_empty() && kubeconfig.clusters.is_empty() {
        return Err(format!("{}: it is no kubeconfig: it has neither contexts nor clusters", path.display()));
    }
    Ok(Arc::new(kubeconfig))
}

/// Why a kubeconfig cannot be read.
pub(crate) fn unreadable(origin: &str, error: &KubeconfigError) -> String {
    // Not the whole text of the parser's error: it may quote the line, and a line may hold a token.
    let text = chain(error);
    let line = text.split("line ").nth(1).map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    match (error, line) {
        (KubeconfigError::ReadConfig(error, _), _) => format!("{origin}: it cannot be read: {error}"),
        (_, Some(line)) if !line.is_empty() => format!("{origin}:{line}: it is no kubeconfig"),
        _ => format!("{origin}: it is no kubeconfig"),
    }
}

/// Without `[Cluster]` sections every context is a member: two of one cluster would count it twice.
fn one_each(merged: &Kubeconfig) -> Result<(), String> {
    let mut led = BTreeMap::new();
    for named in &merged.contexts {
        let Some(context) = &named.context else { continue };
        if let Some(other) = led.insert(&context.cluster, &named.name) {
            return Err(format!(
                "the contexts `{other}` and `{}` lead to the same cluster `{}`; hint: a [Cluster \"name\"] section with \
                 `context` for each member",
                named.name, context.cluster
            ));
        }
    }
    Ok(())
}

fn no_context<'a>(name: &str, context: &str, known: impl Iterator<Item = &'a String>) -> String {
    let known = listed(known);
    let known = if known.is_empty() { "there is none".to_owned() } else { format!("there are {known}") };
    format!(
        "there is no context `{context}` for the cluster `{name}`; {known}; hint: `context` in [Cluster \"{name}\"]"
    )
}

fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn absent(path: &Path) -> String {
    format!("{}: there is no such file", path.display())
}

/// Kubeconfigs of a folder by the name of their cluster.
///
/// What else lies there is passed over: names that begin with a dot, such as the `..data` of a mounted Secret, or end
/// with `~`; files that are called neither as a kubeconfig is nor without extension; folders that are none of a
/// kubeconfig, unless they `had` one. An empty folder is that of a Secret that does not exist.
fn entries(folder: &Path, had: &dyn Fn(&str) -> bool) -> io::Result<BTreeMap<ClusterName, Vec<PathBuf>>> {
    let mut found = BTreeMap::<ClusterName, Vec<PathBuf>>::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(file) = path.file_name().and_then(|name| name.to_str()).filter(|name| !is_beside(name)) else {
            continue;
        };
        if path.is_dir() {
            if may_hold_kubeconfig(&path) || had(file) {
                found.entry(file.into()).or_default().push(path.join("kubeconfig"));
            }
            continue;
        }
        let stem = match file.rsplit_once('.') {
            None => file,
            Some((stem, "yaml" | "yml" | "json" | "conf" | "kubeconfig")) => stem,
            Some(_) => continue,
        };
        found.entry(stem.into()).or_default().push(path);
    }
    for paths in found.values_mut() {
        paths.sort();
    }
    Ok(found)
}

/// Of no cluster: hidden, an editor's copy, or what a file system has at its root.
fn is_beside(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~') || name == "lost+found"
}

/// True for a folder with a `kubeconfig`, an empty one, and one that cannot be read.
fn may_hold_kubeconfig(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return true };
    let mut names = entries.flatten().map(|entry| entry.file_name()).filter(|name| {
        // Whatever begins with a dot does not count.
        !name.as_encoded_bytes().starts_with(b".")
    });
    names.next().is_none_or(|first| first == "kubeconfig" || names.any(|name| name == "kubeconfig"))
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.size(), metadata.mtime(), metadata.mtime_nsec(), metadata.dev(), metadata.ino()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn kubeconfig(contexts: &BTreeSet<&str>, file: usize) -> String {
        let list =
            |make: &dyn Fn(&str) -> String| contexts.iter().map(|name| make(name)).collect::<Vec<_>>().join(", ");
        let clusters = list(&|name| format!("{{name: {name}, cluster: {{server: 'https://{name}.{file}.example'}}}}"));
        let named = list(&|name| format!("{{name: {name}, context: {{cluster: {name}}}}}"));
        format!("kind: Config\nclusters: [{clusters}]\ncontexts: [{named}]\n")
    }

    proptest! {
        /// The first file that has a context says what it is, as with kubectl; absent files are passed over.
        #[test]
        fn the_first_file_wins(
            files in prop::collection::vec(
                prop::option::of(prop::collection::btree_set(prop::sample::select(vec!["a", "b", "c"]), 1..=3)),
                1..5,
            ),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let paths: Vec<_> = (0..files.len()).map(|file| folder.path().join(file.to_string())).collect();
            let mut first = BTreeMap::new();
            for (file, contexts) in files.iter().enumerate() {
                let Some(contexts) = contexts else { continue };
                fs::write(&paths[file], kubeconfig(contexts, file)).unwrap();
                for context in contexts {
                    first.entry(ClusterName::from(*context)).or_insert(file);
                }
            }
            let mut roster = Roster::new(ClustersConfig { kubeconfig: paths.clone(), ..ClustersConfig::default() });
            let Ok(members) = roster.load() else {
                prop_assert!(first.is_empty(), "nothing else is an error");
                return Ok(());
            };
            let found: Vec<_> = members.keys().cloned().collect();
            prop_assert_eq!(found, first.keys().cloned().collect::<Vec<_>>());
            for (name, file) in first {
                prop_assert_eq!(&roster.origins[&name], &Origin::File(paths[file].clone()));
                let member = members[&name].clone().unwrap();
                prop_assert_eq!(member.server(), Some(format!("https://{name}.{file}.example")));
            }
        }
    }

    #[test]
    fn where_nothing_is_given_it_looks_where_kubectl_would() {
        let found = |vars: &[(&str, &str)], given: ClustersConfig| {
            let vars: BTreeMap<_, _> = vars.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            let config = given.found(&|name| vars.get(name).cloned());
            (config.kubeconfig, config.in_cluster)
        };
        let (list, pod, home) = (("KUBECONFIG", "a:b"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("HOME", "/home/me"));
        let open = ClustersConfig::default;
        assert_eq!(found(&[list, pod, home], open()), (vec!["a".into(), "b".into()], false));
        assert_eq!(found(&[pod, home], open()), (vec![], true));
        assert_eq!(found(&[home], open()), (vec!["/home/me/.kube/config".into()], false));
        let given = ClustersConfig { kubeconfig: vec!["c".into()], ..open() };
        assert_eq!(found(&[list, pod, home], given), (vec!["c".into()], false));
        let folder = tempfile::tempdir().unwrap();
        let config = ClustersConfig { kubeconfig: vec![folder.path().into()], ..open() }.found(&|_| None);
        assert_eq!((config.kubeconfig, config.folder), (vec![], Some(folder.path().into())));
    }
}
