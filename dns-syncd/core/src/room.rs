//! Who finds room in a host that is nearly full.
//!
//! In: how many sets fit, the names that want more · Out: the names that wait · Pure: yes.
//!
//! The order is that of DESIGN §3.3: services that have sets before those that have none, global names before regions
//! before zones. The first name that does not fit ends the line, so that nobody overtakes: a small new service takes no
//! room from a large one that was there before. The line is kept in order in two parts, so that a change of room or of
//! a plan costs what moves from one to the other, however many wait.

use std::collections::{BTreeMap, BTreeSet};

use dnsprovider::Fqdn;

use crate::event::ServiceId;

/// The turn of a name that would hold more sets than now.
///
/// Order: who comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn {
    /// Its service has no set yet.
    pub(crate) is_new: bool,
    /// 0 for the global name, 1 for a region's, 2 for a zone's.
    pub(crate) depth: u8,
    /// The service.
    pub(crate) service: ServiceId,
    /// The name.
    pub(crate) owner: Fqdn,
}

/// The line of all names that would hold more sets than now, with how many more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    /// From the first on, those for whom there was room when it was last looked.
    fitting: BTreeMap<Turn, usize>,
    /// All behind them.
    waiting: BTreeMap<Turn, usize>,
    /// How many sets more each part wants.
    fitting_sets: usize,
    waiting_sets: usize,
    /// The names that wait.
    without_room: BTreeSet<Fqdn>,
    turns: BTreeMap<ServiceId, Vec<Turn>>,
    visits: u64,
}

impl Line {
    /// Replaces what a service wants.
    pub(crate) fn put(&mut self, service: &ServiceId, demands: Vec<(Turn, usize)>) {
        for turn in self.turns.remove(service).unwrap_or_default() {
            self.take(&turn);
        }
        if demands.is_empty() {
            return;
        }
        self.turns.insert(service.clone(), demands.iter().map(|(turn, _)| turn.clone()).collect());
        for (turn, sets) in demands {
            self.insert(turn, sets);
        }
    }

    /// The names of a service are no longer those of a new one. Like those that are put they may find room at once.
    pub(crate) fn promote(&mut self, service: &ServiceId) {
        let turns = self.turns.get(service).cloned().unwrap_or_default();
        let demands = turns.into_iter().filter_map(|turn| {
            let sets = self.take(&turn)?;
            Some((Turn { is_new: false, ..turn }, sets))
        });
        let demands = demands.collect();
        self.turns.remove(service);
        self.put(service, demands);
    }

    /// Decides anew who finds room among `free` sets; gives the services of which a name that waited does no
    /// more.
    pub(crate) fn find_room(&mut self, free: usize) -> Vec<ServiceId> {
        while self.fitting_sets > free
            && let Some((turn, sets)) = self.fitting.pop_last()
        {
            self.fitting_sets -= sets;
            self.wait(turn, sets);
        }
        let mut moved = Vec::new();
        while let Some(first) = self.waiting.first_entry()
            && self.fitting_sets + first.get() <= free
        {
            let (turn, sets) = first.remove_entry();
            self.visits += 1;
            self.waiting_sets -= sets;
            self.without_room.remove(&turn.owner);
            moved.push(turn.service.clone());
            self.fitting_sets += sets;
            self.fitting.insert(turn, sets);
        }
        moved
    }

    /// The names that wait.
    pub(crate) fn without_room(&self) -> &BTreeSet<Fqdn> {
        &self.without_room
    }

    /// True when some wait, and all do.
    pub(crate) fn is_stuck(&self) -> bool {
        self.fitting.is_empty() && !self.waiting.is_empty()
    }

    /// How many sets more all together want.
    pub(crate) fn wanted(&self) -> usize {
        self.fitting_sets + self.waiting_sets
    }

    /// How many turns were put, taken or moved since the beginning.
    pub(crate) fn visits(&self) -> u64 {
        self.visits
    }

    fn insert(&mut self, turn: Turn, sets: usize) {
        if self.waiting.first_key_value().is_some_and(|(first, _)| *first < turn) {
            self.wait(turn, sets);
            return;
        }
        self.visits += 1;
        self.fitting_sets += sets;
        self.fitting.insert(turn, sets);
    }

    fn wait(&mut self, turn: Turn, sets: usize) {
        self.visits += 1;
        self.waiting_sets += sets;
        self.without_room.insert(turn.owner.clone());
        self.waiting.insert(turn, sets);
    }

    fn take(&mut self, turn: &Turn) -> Option<usize> {
        self.visits += 1;
        if let Some(sets) = self.fitting.remove(turn) {
            self.fitting_sets -= sets;
            return Some(sets);
        }
        let sets = self.waiting.remove(turn)?;
        self.waiting_sets -= sets;
        self.without_room.remove(&turn.owner);
        Some(sets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A demand as `e0 shop 2`: existing or new, depth, service, sets.
    fn demand(text: &str) -> (Turn, usize) {
        let [kind, service, sets] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("not three words: {text}") };
        let owner = Fqdn::parse(&format!("{kind}.{service}.example")).expect("a name");
        let depth: u8 = kind[1..].parse().expect("a depth");
        let sets: usize = sets.parse().expect("a number");
        let turn = Turn { is_new: kind.starts_with('n'), depth, service: ServiceId::new("ns", service), owner };
        (turn, sets)
    }

    fn line(texts: &[&str]) -> Line {
        let mut of_services: BTreeMap<ServiceId, Vec<(Turn, usize)>> = BTreeMap::new();
        for (turn, sets) in texts.iter().copied().map(demand) {
            of_services.entry(turn.service.clone()).or_default().push((turn, sets));
        }
        let mut line = Line::default();
        for (service, demands) in of_services {
            line.put(&service, demands);
        }
        line
    }

    fn waiting(line: &Line) -> Vec<&str> {
        line.without_room().iter().map(|owner| &owner.as_str()[..4]).collect()
    }

    #[test]
    fn existing_services_go_first_then_globals_then_regions_then_zones() {
        let mut line = line(&["n0 a 1", "e2 b 1", "e1 b 1", "e0 c 1", "n1 a 1", "n2 a 1"]);
        // In any order of the rooms: less, more, all at once.
        for (free, expected) in [
            (6, vec![]),
            (5, vec!["n2.a"]),
            (3, vec!["n0.a", "n1.a", "n2.a"]),
            (2, vec!["e2.b", "n0.a", "n1.a", "n2.a"]),
            (0, vec!["e0.c", "e1.b", "e2.b", "n0.a", "n1.a", "n2.a"]),
            (3, vec!["n0.a", "n1.a", "n2.a"]),
            (6, vec![]),
        ] {
            line.find_room(free);
            assert_eq!((waiting(&line), line.is_stuck()), (expected, free == 0), "{free} free");
        }
    }

    #[test]
    fn nobody_overtakes_a_name_that_does_not_fit() {
        let mut line = line(&["n0 a 3", "n0 b 1"]);
        line.find_room(2);
        assert_eq!(waiting(&line), ["n0.a", "n0.b"]);
    }

    #[test]
    fn who_is_no_longer_new_goes_before_those_who_are() {
        let mut line = line(&["n0 a 1", "n0 b 1"]);
        line.find_room(1);
        assert_eq!(waiting(&line), ["n0.b"]);
        line.promote(&ServiceId::new("ns", "b"));
        line.find_room(1);
        assert_eq!((waiting(&line), line.wanted()), (vec!["n0.a"], 2));
    }

    /// However demands and room change, the line is as if it were made anew.
    #[test]
    fn a_line_that_changes_is_as_one_made_at_once() {
        let mut seed = 1_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let mut line = Line::default();
        let mut demands: BTreeMap<ServiceId, Vec<(Turn, usize)>> = BTreeMap::new();
        for _ in 0..2000 {
            let name = char::from(b'a' + u8::try_from(random(20)).expect("small"));
            let kind = if random(2) == 0 { 'n' } else { 'e' };
            let texts = (0..random(4)).map(|depth| format!("{kind}{depth} {name} {}", 1 + random(3)));
            let of_service: Vec<_> = texts.collect::<Vec<_>>().iter().map(|text| demand(text)).collect();
            let service = ServiceId::new("ns", name.to_string());
            line.put(&service, of_service.clone());
            demands.insert(service, of_service);
            let free = usize::try_from(random(40)).expect("small");
            let before = line.without_room().clone();
            let moved: BTreeSet<_> = line.find_room(free).into_iter().collect();

            let mut all: Vec<_> = demands.values().flatten().collect();
            all.sort();
            let mut wanted = 0;
            let fits = |(_, sets): &&&(Turn, usize)| {
                wanted += sets;
                wanted <= free
            };
            let fitting = all.iter().take_while(fits).count();
            let expected: BTreeSet<Fqdn> = all[fitting..].iter().map(|(turn, _)| turn.owner.clone()).collect();
            assert_eq!(*line.without_room(), expected);
            assert_eq!(line.wanted(), all.iter().map(|(_, sets)| sets).sum::<usize>());
            let wait_no_more = all[..fitting].iter().filter(|(turn, _)| before.contains(&turn.owner));
            assert!(wait_no_more.map(|(turn, _)| &turn.service).all(|service| moved.contains(service)));
        }
    }
}
