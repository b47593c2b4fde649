//! One step of the file source: look, read what changed, tell.
//!
//! Blocks on the file system; no clock, no runtime.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dns_sync_core::{ClusterAnswer, SourceEvent, Timestamp};

use super::dump::Reading;
use super::manifest::{self, Objects};
use super::scan::{Candidate, Listing, Root, hold, is_yaml};
use super::settle::Settling;
use super::view::View;
use super::{dump, member};
use crate::source::{Select, SourceError};

/// Half of the old and half of the new is neither.
const CHANGED: &str = "it changed while it was being read";

#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    select: Select,
    /// Found at the first reading.
    root: Option<Root>,
    /// Found at the first reading that succeeds.
    form: Option<Form>,
    settling: Settling,
    view: View,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// All files together are one dump of a federation v1 API server.
    Dump,
    /// A file or folder for each cluster.
    Members,
}

/// What one step found.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) events: Vec<SourceEvent>,
    /// When to look again, on the clock of the caller.
    pub(crate) look_at: Option<Duration>,
}

impl Reader {
    pub(crate) fn new(path: PathBuf, select: Select) -> Self {
        Self { path, select, root: None, form: None, settling: Settling::default(), view: View::default() }
    }

    /// The folder or file that is read, as far as it is known yet.
    pub(crate) fn root(&self) -> &Path {
        self.root.as_ref().map_or(&self.path, Root::path)
    }

    /// Reads everything, whether it changed or not.
    pub(crate) fn read_all(&mut self, now: Timestamp) -> Result<Vec<SourceEvent>, SourceError> {
        let listing = self.list().map_err(|reason| self.error(reason))?;
        if let Some((name, candidate)) = listing.members.iter().find(|(_, candidate)| candidate.paths.len() > 1) {
            return Err(self.error(doubled(name, &candidate.paths)));
        }
        if self.form(&listing) == Form::Dump {
            return self.read_dump(&listing, now).map_err(|reason| self.error(reason));
        }
        let mut events = self.view.recovered(&self.origin());
        for (name, candidate) in &listing.members {
            events.extend(self.read_member(name, candidate));
        }
        let absent = self.view.absent(|name| listing.members.contains_key(name));
        for name in absent {
            events.extend(self.tell_gone(&name));
        }
        Ok(events)
    }

    /// Reads what changed and holds still. `renamed` are paths onto which something was renamed since the last step;
    /// `clock` never goes back.
    pub(crate) fn step(&mut self, renamed: &BTreeSet<PathBuf>, clock: Duration, now: Timestamp) -> Step {
        let listing = match self.list() {
            Ok(listing) => listing,
            Err(reason) => {
                self.settling.forget();
                let is_members = self.form != Some(Form::Dump);
                return Step { events: self.view.failed(&self.origin(), &reason, is_members), look_at: None };
            }
        };
        if self.form(&listing) == Form::Dump {
            return self.step_dump(listing, renamed, clock, now);
        }
        let mut step = Step { events: self.view.recovered(&self.origin()), look_at: None };
        let verdict = self.settling.observe(&listing, renamed, clock);
        step.look_at = verdict.look_at;
        for name in verdict.ready {
            match listing.members.get(&name) {
                // It is being written again; the next look finds it changed.
                Some(candidate) if !hold(&candidate.files) => step.look_at = Some(clock),
                Some(candidate) => step.events.extend(self.read_member(&name, candidate)),
                None => step.events.extend(self.tell_gone(&name)),
            }
        }
        step
    }

    fn step_dump(&mut self, listing: Listing, renamed: &BTreeSet<PathBuf>, clock: Duration, now: Timestamp) -> Step {
        let whole = merged(listing);
        let verdict = self.settling.observe(&whole, renamed, clock);
        let mut step = Step { events: Vec::new(), look_at: verdict.look_at };
        if !verdict.ready.is_empty() {
            step.events = match self.read_dump(&whole, now) {
                Ok(events) => events,
                Err(reason) => self.view.failed(&self.origin(), &reason, false),
            };
        }
        step
    }

    /// Lists the members; a source without any is an error.
    fn list(&mut self) -> Result<Listing, String> {
        let root = match &self.root {
            Some(root) => root.clone(),
            None => self.root.insert(Root::find(&self.path).map_err(|error| error.to_string())?).clone(),
        };
        let listing = root.list().map_err(|error| error.to_string())?;
        if listing.members.is_empty() {
            return Err(format!(
                "`{}` has no cluster; hint: put one `NAME.yaml`, `NAME.json` or folder there for each cluster",
                root.path().display()
            ));
        }
        Ok(listing)
    }

    /// Which form the source has, by what the files hold. Settled once a file of that form was read.
    fn form(&self, listing: &Listing) -> Form {
        if let Some(form) = self.form {
            return form;
        }
        let mut files = listing.members.values().flat_map(|candidate| candidate.files.keys());
        let is_dump = matches!(self.root, Some(Root::File(_)))
            || files.any(|path| {
                // Parsing is dear, and all that makes a dump has this word in it.
                let federated = fs::read_to_string(path).is_ok_and(|text| text.contains("federation"));
                let mut objects = Vec::new();
                federated && read_file(path, &mut objects).is_ok() && dump::is_dump(&objects)
            });
        if is_dump { Form::Dump } else { Form::Members }
    }

    fn read_dump(&mut self, listing: &Listing, now: Timestamp) -> Result<Vec<SourceEvent>, String> {
        let origin = self.origin();
        let whole = merged(listing.clone());
        let mut files = whole.members.values().flat_map(|candidate| candidate.files.keys());
        let mut reading = Reading::new(self.select);
        let read = files.try_for_each(|path| read_file(path, &mut reading));
        for (name, candidate) in &whole.members {
            if !hold(&candidate.files) {
                return Err(CHANGED.to_owned());
            }
            self.settling.used(name, Some(&candidate.files));
        }
        read?;
        let dump = reading.end();
        if dump.clusters.is_empty() {
            return Err(
                "it has no `Cluster` object of `federation/v1beta1`; hint: a dump of a federation v1 API server \
                        needs its clusters and services, a file for each member cluster goes into a folder `clusters/`"
                    .to_owned(),
            );
        }
        self.form = Some(Form::Dump);
        Ok(self.view.dump(&origin, dump, now))
    }

    fn read_member(&mut self, name: &str, candidate: &Candidate) -> Vec<SourceEvent> {
        let reading = self.member(name, candidate);
        if reading.is_ok() {
            self.form = Some(Form::Members);
        }
        let reading = if hold(&candidate.files) {
            self.settling.used(name, Some(&candidate.files));
            reading
        } else {
            Err(format!("{}: {CHANGED}", self.member_origin(name)))
        };
        self.view.member(name, &self.member_origin(name), reading)
    }

    fn member(&self, name: &str, candidate: &Candidate) -> Result<ClusterAnswer, String> {
        let [path] = candidate.paths.as_slice() else { return Err(doubled(name, &candidate.paths)) };
        if candidate.files.is_empty() {
            return Err(format!("{}: the folder has no manifest", path.display()));
        }
        let mut objects = Vec::new();
        candidate.files.keys().try_for_each(|path| read_file(path, &mut objects))?;
        member::answer(objects, self.select).map_err(|reason| format!("{}: {reason}", path.display()))
    }

    fn tell_gone(&mut self, name: &str) -> Vec<SourceEvent> {
        self.settling.used(name, None);
        self.view.gone(name, &self.member_origin(name))
    }

    fn origin(&self) -> String {
        self.root().display().to_string()
    }

    /// Without extension: a member may come back as another file, and its problems with it.
    fn member_origin(&self, name: &str) -> String {
        self.root().join(name).display().to_string()
    }

    fn error(&self, reason: String) -> SourceError {
        SourceError { origin: self.origin(), reason }
    }
}

/// All files as one member: a dump is used as a whole.
fn merged(listing: Listing) -> Listing {
    let mut whole = Candidate::default();
    for candidate in listing.members.into_values() {
        whole.paths.extend(candidate.paths);
        whole.files.extend(candidate.files);
    }
    Listing { members: [(String::new(), whole)].into() }
}

/// Reads the objects of a file.
fn read_file(path: &Path, objects: &mut dyn Objects) -> Result<(), String> {
    let file = Arc::<str>::from(path.display().to_string());
    let bytes = fs::read(path).map_err(|error| format!("{file}: {}", read_failure(&error)))?;
    manifest::parse(&file, &bytes, is_yaml(path), objects).map_err(|fault| match fault.line {
        Some(line) => format!("{file}:{line}: {}", fault.message),
        None => format!("{file}: {}", fault.message),
    })
}

fn read_failure(error: &io::Error) -> String {
    format!("cannot be read: {error}")
}

fn doubled(name: &str, paths: &[PathBuf]) -> String {
    let paths = paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>();
    format!("the cluster `{name}` stands for {}; keep one of them", paths.join(" and "))
}
