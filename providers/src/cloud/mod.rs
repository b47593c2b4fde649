//! What the cloud backends share.
