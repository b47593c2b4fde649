//! What the commands tell while they work.

use std::fmt;

use serde::Serialize;

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It was not there.
    Created,
    /// It was, and differed.
    Changed,
    /// It was as it should be.
    Unchanged,
    /// It is gone.
    Deleted,
    /// It had gone before.
    Absent,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
            Self::Absent => "absent",
        })
    }
}

/// One thing that was done, or was found done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The context of the cluster.
    pub cluster: String,
    /// Kind and name, with the namespace where there is one.
    pub object: String,
    /// What became of it.
    pub action: Action,
}

/// Hears what goes on.
pub trait Listener: Send + Sync {
    /// This was done.
    fn step(&self, step: Step);
    /// For people: what is being waited for, what to know.
    fn remark(&self, text: &str);
}

/// Why a command ended without having done its work.
#[derive(Debug, thiserror::Error)]
pub enum JoiningError {
    /// What is asked for cannot be meant.
    #[error(transparent)]
    Usage(#[from] crate::config::ConfigError),
    /// A cluster does not answer.
    #[error("{0}")]
    Unreached(String),
    /// It failed.
    #[error("{0}")]
    Failed(String),
}

impl JoiningError {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(crate::config::ConfigError::new(message))
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }
}

/// Every function here fails that way.
pub(crate) type Result<T> = std::result::Result<T, JoiningError>;
