//! Endpoints as they are told and kept: there are as many sets of them as copies of services, so each takes little.

use std::collections::BTreeSet;
use std::ops::Deref;

use crate::event::Endpoint;

/// A set of endpoints, in order.
///
/// With one endpoint, as nearly all have, it takes no allocation of its own; with none neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints(Form);

/// One alone is always [`Form::One`].
#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    One(Endpoint),
    Other(Box<[Endpoint]>),
}

impl Endpoints {
    /// Puts one more in its place; false where it is there already.
    pub fn insert(&mut self, endpoint: Endpoint) -> bool {
        let is_new = !self.contains(&endpoint);
        self.extend([endpoint]);
        is_new
    }
}

impl Default for Endpoints {
    fn default() -> Self {
        Self(Form::Other(Box::default()))
    }
}

impl Deref for Endpoints {
    type Target = [Endpoint];

    fn deref(&self) -> &[Endpoint] {
        match &self.0 {
            Form::One(one) => std::slice::from_ref(one),
            Form::Other(all) => all,
        }
    }
}

impl FromIterator<Endpoint> for Endpoints {
    fn from_iter<T: IntoIterator<Item = Endpoint>>(endpoints: T) -> Self {
        let mut endpoints = endpoints.into_iter();
        let Some(first) = endpoints.next() else { return Self::default() };
        let Some(second) = endpoints.next() else { return Self(Form::One(first)) };
        let mut all: Vec<_> = [first, second].into_iter().chain(endpoints).collect();
        all.sort_unstable();
        all.dedup();
        if all.len() == 1
            && let Some(one) = all.pop()
        {
            return Self(Form::One(one));
        }
        Self(Form::Other(all.into()))
    }
}

impl Extend<Endpoint> for Endpoints {
    fn extend<T: IntoIterator<Item = Endpoint>>(&mut self, endpoints: T) {
        *self = std::mem::take(self).into_iter().chain(endpoints).collect();
    }
}

impl IntoIterator for Endpoints {
    type Item = Endpoint;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Endpoint>, std::vec::IntoIter<Endpoint>>;

    fn into_iter(self) -> Self::IntoIter {
        let (one, other) = match self.0 {
            Form::One(one) => (Some(one), Vec::new()),
            Form::Other(all) => (None, all.into_vec()),
        };
        one.into_iter().chain(other)
    }
}

impl<'a> IntoIterator for &'a Endpoints {
    type Item = &'a Endpoint;
    type IntoIter = std::slice::Iter<'a, Endpoint>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<const N: usize> From<[Endpoint; N]> for Endpoints {
    fn from(endpoints: [Endpoint; N]) -> Self {
        endpoints.into_iter().collect()
    }
}

impl From<BTreeSet<Endpoint>> for Endpoints {
    fn from(endpoints: BTreeSet<Endpoint>) -> Self {
        endpoints.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Endpoint {
        Endpoint::Ip([192, 0, 2, last].into())
    }

    #[test]
    fn they_are_a_set_in_whatever_order_they_come() {
        let host = Endpoint::Host("lb.example".into());
        let all = Endpoints::from([host.clone(), address(2), address(1), address(2)]);
        assert_eq!(*all, [address(1), address(2), host.clone()]);
        let mut grown = Endpoints::default();
        for (endpoint, is_new) in [(address(2), true), (host, true), (address(2), false), (address(1), true)] {
            assert_eq!(grown.insert(endpoint), is_new);
        }
        assert_eq!(grown, all);
        assert_eq!(all.clone().into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Endpoints>(), all);
    }

    #[test]
    fn one_takes_no_allocation_however_it_came() {
        let mut one = Endpoints::default();
        one.extend([address(1), address(1)]);
        for one in [one, [address(1)].into(), BTreeSet::from([address(1)]).into()] {
            assert!(matches!(one.0, Form::One(_)), "{one:?}");
        }
        assert_eq!(size_of::<Endpoints>(), size_of::<Endpoint>());
    }
}
