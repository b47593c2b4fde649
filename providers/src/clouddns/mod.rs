//! Google Cloud DNS.
