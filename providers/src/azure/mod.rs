//! Azure DNS.
