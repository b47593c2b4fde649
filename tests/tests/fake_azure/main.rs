//! The stand-in for Azure DNS keeps the laws that it states, and answers as the recordings do.

mod client;
mod faults;
mod identity;
mod lists;
mod observed;
mod replay;
mod sets;
mod zones;
