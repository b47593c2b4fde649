//! What a backend brings along to be tested.

use std::any::Any;
use std::sync::Arc;

use dnsprovider::{DnsProvider, Fqdn};

/// A provider, a zone of it in which the suite may do as it likes, and what must live as long as the two.
///
/// Every case calls the backend's `setup` anew. The zone may be fresh each time or one that is always there; one that
/// holds more than its apex must carry [`Setup::MARK`].
#[derive(Debug)]
pub struct Setup {
    pub(crate) provider: Arc<dyn DnsProvider>,
    pub(crate) apex: Fqdn,
    pub(crate) alive: Vec<Box<dyn Alive>>,
    faults: &'static [(&'static str, &'static str)],
}

/// Anything that can be kept.
pub(crate) trait Alive: Any + Send + Sync + std::fmt::Debug {}
impl<T: Any + Send + Sync + std::fmt::Debug> Alive for T {}

impl Setup {
    /// The owner name, below the apex, of the TXT set that allows the suite to use a zone that is not empty.
    pub const MARK: &'static str = "_dns-conformance";

    /// Tests `provider` in its zone `apex`.
    pub fn new(provider: impl DnsProvider + 'static, apex: Fqdn) -> Self {
        Self { provider: Arc::new(provider), apex, alive: Vec::new(), faults: &[] }
    }

    /// Keeps a value, such as a server, until the case is over.
    #[must_use]
    pub fn keep(mut self, value: impl Any + Send + Sync + std::fmt::Debug) -> Self {
        self.alive.push(Box::new(value));
        self
    }

    /// Declares faults of the host itself, for a stand-in that is laxer than what it stands for: names of cases with the
    /// reason why the host fails them.
    ///
    /// Such a case must fail: when it passes, the fault is gone and the test says so.
    ///
    /// # Panics
    /// When a name is that of no case.
    #[must_use]
    pub fn with_known_faults(mut self, faults: &'static [(&'static str, &'static str)]) -> Self {
        for (name, _) in faults {
            assert!(crate::CASES.iter().any(|case| case.name == *name), "there is no case `{name}`");
        }
        self.faults = faults;
        self
    }

    /// Why the host fails the case of this name, where it is known to.
    pub(crate) fn known_fault(&self, name: &str) -> Option<&'static str> {
        self.faults.iter().find(|(other, _)| *other == name).map(|(_, reason)| *reason)
    }
}
