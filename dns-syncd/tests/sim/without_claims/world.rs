//! The world of the tests, with another host.

use dnsprovider::MemoryProvider;
use dnsprovider::memory::Builder;

pub(crate) use crate::world::*;

pub(crate) fn memory() -> MemoryProvider {
    builder().build()
}

pub(crate) fn builder() -> Builder {
    crate::world::builder().configure(|able| able.claims = false)
}
