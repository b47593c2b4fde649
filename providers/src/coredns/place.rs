//! What one key of the store says.
//!
//! Reading a zone is mostly this, so a [`Placer`] keeps what neighbouring keys have in common (the name above them, the
//! texts of their claims), and a key in the form in which we write it costs no look at names.
//!
//! In: keys with values · Out: records and the names that they belong to · Pure: yes · Called by: `convert`, `read`,
//! `watch`, `apply`

use std::collections::BTreeSet;
use std::sync::Arc;

use dnsprovider::{Blocks, Credits, Fqdn, RecordData, RrType};

use super::wire::{self, DEFAULT_TTL, Layout, Message, Text};

/// One key, understood.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) owner: Fqdn,
    pub(super) rr_type: RrType,
    pub(super) record: RecordData,
    /// The rest of the key behind that of its owner; empty when it is exactly there.
    pub(super) leaf: String,
    /// The name directly above the key, where it has one in this zone.
    pub(super) above: Option<Fqdn>,
    pub(super) wanted: Wanted,
    pub(super) ttl: u32,
    pub(super) mark: Option<Mark>,
    pub(super) blocks: Blocks,
}

/// Whose new record could want the place of a key for itself.
#[derive(Debug)]
pub(super) enum Wanted {
    /// Nobody's.
    Never,
    /// That of its owner, at `leaf`.
    Own,
    /// That of another name, at this rest of the key behind that name's.
    By(Fqdn, String),
}

/// The claim on one key.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) claim: Arc<str>,
    pub(super) federation: Arc<str>,
    /// Absent where the claim does not speak of this record.
    pub(super) clusters: Option<Credits>,
}

impl Placed {
    /// True for a record in a form that we write.
    pub(super) fn blocks_as_dns(&self) -> bool {
        self.blocks == Blocks::AsDns
    }

    /// The name on its claim.
    pub(super) fn claim(&self) -> Option<&str> {
        self.mark.as_ref().map(|mark| &*mark.claim)
    }

    /// The part of the key that a record of the name above it could want for itself, and that name.
    pub(super) fn leaf_below(&self) -> Option<(&Fqdn, &str)> {
        match &self.wanted {
            Wanted::Never => None,
            Wanted::Own => Some((&self.owner, &self.leaf)),
            Wanted::By(owner, leaf) => Some((owner, leaf)),
        }
    }
}

//----------- Placer ---------------------------------------------------------

/// Says of one key after the other what it is to a zone.
#[derive(Debug)]
pub(super) struct Placer<'a> {
    layout: &'a Layout,
    last: Option<Above>,
    shared: Shared,
}

/// What the keys directly below one key have in common.
#[derive(Debug)]
struct Above {
    key: String,
    /// Its name, where that is one of this zone.
    name: Option<Fqdn>,
    /// The name at which records of keys below it are asked, and how much of a key stands for that name.
    owner: Option<(Fqdn, usize)>,
    /// The name itself, where it is another one.
    own: Option<(Fqdn, usize)>,
}

impl Above {
    fn of(layout: &Layout, key: &str) -> Self {
        let name = layout.name(key).filter(|name| layout.holds(name));
        // A key in another spelling than ours is below no name: nobody is answered from it.
        let behind = |name: Fqdn| {
            let path = layout.path(&name)?;
            let rest = key.strip_prefix(&path)?;
            (rest.is_empty() || rest.starts_with('/')).then_some((name, path.len() + 1))
        };
        let asked = name.as_ref().map(|name| layout.owner_of_leaves(name));
        let own = name.clone().filter(|name| asked.as_ref() != Some(name)).and_then(behind);
        Self { key: key.to_owned(), name, owner: asked.and_then(behind), own }
    }
}

impl<'a> Placer<'a> {
    pub(super) fn new(layout: &'a Layout) -> Self {
        Self { layout, last: None, shared: Shared::default() }
    }

    /// What a key is; `None` when it is not of this zone.
    pub(super) fn place(&mut self, key: &[u8], value: &[u8]) -> Option<Placed> {
        let layout = self.layout;
        let Ok(text) = std::str::from_utf8(key) else {
            return nameless(layout, key, &String::from_utf8_lossy(key), value);
        };
        let above_key = text.rsplit_once('/').map(|(above, _)| above);
        if self.last.as_ref().map(|last| last.key.as_str()) != above_key {
            self.last = above_key.map(|key| Above::of(layout, key));
        }
        let above = self.last.as_ref();
        let is_below = above.is_some_and(|above| above.name.is_some());
        // Below a name of this zone lies nothing of others but a zone nested there.
        let mut own = None;
        if !is_below || layout.has_nested() {
            own = layout.name(text);
            if own.as_ref().is_some_and(|own| !layout.holds(own)) {
                return None;
            }
        }
        let message = serde_json::from_slice::<Message<'_>>(value).unwrap_or_default();
        let ttl = message.ttl.filter(|ttl| *ttl != 0).unwrap_or(DEFAULT_TTL);
        let record = message.record();

        if let (Some(above), Some((rr_type, record))) = (above, &record) {
            let owner = above.owner.iter().chain(&above.own).find(|(owner, _)| message.groups_under(owner));
            let owner = owner.filter(|(owner, _)| *rr_type != RrType::Cname || *owner != layout.apex);
            let owner = owner.filter(|(_, at)| text.len() > *at);
            if let Some((owner, at)) = owner {
                let leaf = text[*at..].to_owned();
                let asked = above.owner.as_ref().is_some_and(|(asked, _)| asked == owner);
                let wanted = if asked && is_leaf(layout, owner, &leaf) {
                    Wanted::Own
                } else {
                    wanted_below(layout, above.owner.as_ref(), text)
                };
                return Some(Placed {
                    owner: owner.clone(),
                    rr_type: rr_type.clone(),
                    record: record.clone(),
                    leaf,
                    above: above.name.clone(),
                    wanted,
                    ttl,
                    mark: message.mark.map(|mark| self.shared.mark(&mark)),
                    blocks: Blocks::AsDns,
                });
            }
        }
        let Some(own) = own.or_else(|| layout.name(text)) else { return nameless(layout, key, text, value) };
        let ours = message.groups_under(&own) && matches!(record, Some((RrType::Cname, _))) && own != layout.apex;
        let (rr_type, record) = record.unwrap_or_else(|| opaque(value));
        Some(Placed {
            owner: own,
            rr_type,
            record,
            leaf: String::new(),
            above: above.and_then(|above| above.name.clone()),
            wanted: wanted_below(layout, above.and_then(|above| above.owner.as_ref()), text),
            ttl,
            mark: message.mark.filter(|_| ours).map(|mark| self.shared.mark(&mark)),
            blocks: if ours { Blocks::AsDns } else { Blocks::Name },
        })
    }
}

/// A key that no name can be made of, at the nearest name above it.
fn nameless(layout: &Layout, key: &[u8], text: &str, value: &[u8]) -> Option<Placed> {
    let mut path = text;
    let owner = loop {
        path = path.rsplit_once('/')?.0;
        if let Some(name) = layout.name(path) {
            break name;
        }
    };
    if !layout.holds(&owner) {
        return None;
    }
    let (rr_type, record) = opaque(value);
    let asked = layout.owner_of_leaves(&owner);
    let at = layout.path(&asked).filter(|asked| path.starts_with(asked.as_str())).map(|path| path.len() + 1);
    let whole = std::str::from_utf8(key).is_ok();
    Some(Placed {
        above: Some(owner.clone()),
        wanted: wanted_below(layout, at.filter(|_| whole).map(|at| (asked, at)).as_ref(), text),
        owner,
        rr_type,
        record,
        leaf: text[path.len() + 1..].to_owned(),
        ttl: DEFAULT_TTL,
        mark: None,
        blocks: Blocks::AsDns,
    })
}

/// Data that is shown to people only, cut to what fits a line.
fn opaque(value: &[u8]) -> (RrType, RecordData) {
    let text: String = String::from_utf8_lossy(value).chars().take(200).collect();
    (RrType::Other("KEY".into()), RecordData::Opaque(text.into()))
}

fn wanted_below(layout: &Layout, above: Option<&(Fqdn, usize)>, key: &str) -> Wanted {
    let below = above.and_then(|(owner, at)| key.get(*at..).map(|leaf| (owner, leaf)));
    match below.filter(|(owner, leaf)| is_leaf(layout, owner, leaf)) {
        Some((owner, leaf)) => Wanted::By(owner.clone(), leaf.to_owned()),
        None => Wanted::Never,
    }
}

/// True for what a record of `owner` could get as the rest of its key.
fn is_leaf(layout: &Layout, owner: &Fqdn, leaf: &str) -> bool {
    let hash = leaf.strip_prefix(layout.leaves(owner));
    let fits = |hash: &str| hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    hash.is_some_and(|hash| !hash.is_empty() && fits(hash))
}

//----------- Shared ---------------------------------------------------------

/// Texts and credits of one read, each held once.
#[derive(Debug, Default)]
struct Shared {
    texts: BTreeSet<Arc<str>>,
    credits: BTreeSet<Credits>,
    /// Room for a list that is looked up.
    list: Vec<Arc<str>>,
}

impl Shared {
    fn mark(&mut self, mark: &wire::Mark<'_>) -> Mark {
        Mark {
            claim: self.text(&mark.claim),
            federation: self.text(&mark.federation),
            clusters: mark.clusters.as_ref().map(|clusters| self.credits(clusters)),
        }
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        let new: Arc<str> = text.into();
        self.texts.insert(new.clone());
        new
    }

    fn credits(&mut self, clusters: &[Text<'_>]) -> Credits {
        let mut list = std::mem::take(&mut self.list);
        list.clear();
        list.extend(clusters.iter().map(|cluster| self.text(cluster)));
        let credits = if let Some(known) = self.credits.get(list.as_slice()) {
            known.clone()
        } else {
            let new: Credits = list.as_slice().into();
            self.credits.insert(new.clone());
            new
        };
        self.list = list;
        credits
    }
}
