//! Labels and the values that they can have.

use dns_sync_core::SetState;
use dns_sync_core::guard::Limit;
use dnsprovider::{Action, ErrorKind, Outcome, RrType};
use prometheus_client::encoding::EncodeLabelSet;

/// The calls that a daemon makes.
pub(super) const CALLS: [&str; 6] = ["zones", "create_zone", "read_page", "read_names", "apply", "watch"];
/// How a call can fail.
pub(super) const FAILURES: [ErrorKind; 12] = [
    ErrorKind::InvalidInput,
    ErrorKind::ConfigInvalid,
    ErrorKind::Unauthenticated,
    ErrorKind::PermissionDenied,
    ErrorKind::ZoneNotFound,
    ErrorKind::Conflict,
    ErrorKind::Unsupported,
    ErrorKind::LimitExceeded,
    ErrorKind::RateLimited,
    ErrorKind::Unavailable,
    ErrorKind::Timeout,
    ErrorKind::Protocol,
];
pub(super) const ACTIONS: [&str; 3] = ["create", "update", "delete"];
pub(super) const OUTCOMES: [&str; 5] = ["done", "conflict", "refused", "unknown", "not_tried"];
pub(super) const TYPES: [&str; 4] = ["A", "AAAA", "CNAME", "other"];
pub(super) const STATES: [SetState; 5] =
    [SetState::Published, SetState::Pending, SetState::Held, SetState::Failing, SetState::Refused];
pub(super) const LIMITS: [Limit; 4] = [Limit::MaxDelete, Limit::MaxUpdate, Limit::MaxEmptied, Limit::Freeze];

/// How far the change of a service has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Stage {
    /// The engine has taken the event in.
    Seen,
    /// It is planned what changes in the zone.
    Planned,
    /// The host has answered the first write.
    Written,
    /// The DNS servers answer what was written.
    Answered,
}

impl Stage {
    pub(super) const ALL: [Self; 4] = [Self::Seen, Self::Planned, Self::Written, Self::Answered];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Planned => "planned",
            Self::Written => "written",
            Self::Answered => "answered",
        }
    }
}

/// How a question to the DNS servers ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Checked {
    /// All of them answered what was written.
    Answered,
    /// The name was written again meanwhile.
    Overtaken,
    /// Not all of them did, in all the time they had.
    Unanswered,
}

impl Checked {
    pub(super) const ALL: [Self; 3] = [Self::Answered, Self::Overtaken, Self::Unanswered];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Overtaken => "overtaken",
            Self::Unanswered => "unanswered",
        }
    }
}

/// What became of a Kubernetes event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventFate {
    /// The cluster has it.
    Written,
    /// There were too many.
    Limited,
    /// The cluster did not take it.
    Failed,
}

impl EventFate {
    pub(super) const ALL: [Self; 3] = [Self::Written, Self::Limited, Self::Failed];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Limited => "limited",
            Self::Failed => "failed",
        }
    }
}

macro_rules! labels {
    ($($name:ident { $($label:ident: $value:ty),+ })+) => {
        $(#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
        pub(super) struct $name { $(pub(super) $label: $value),+ })+
    };
}

labels! {
    OfStage { stage: &'static str }
    OfOutcome { outcome: &'static str }
    OfChange { action: &'static str, outcome: &'static str }
    OfCall { provider: &'static str, call: &'static str }
    OfCallOutcome { provider: &'static str, call: &'static str, outcome: String }
    OfSet { r#type: &'static str, state: &'static str }
    OfUrgency { urgency: &'static str }
    OfLimit { limit: &'static str }
    OfKind { kind: &'static str }
    OfState { state: &'static str }
    OfCluster { cluster: String }
}

pub(super) fn outcome_of(error: Option<ErrorKind>) -> String {
    error.map_or("ok", ErrorKind::as_str).replace(' ', "_")
}

pub(super) fn type_of(rr_type: &RrType) -> &'static str {
    match rr_type {
        RrType::A => "A",
        RrType::Aaaa => "AAAA",
        RrType::Cname => "CNAME",
        RrType::Txt | RrType::Other(_) => "other",
    }
}

pub(super) fn state_of(state: SetState) -> &'static str {
    match state {
        SetState::Published => "published",
        SetState::Pending => "pending",
        SetState::Held => "held",
        SetState::Failing => "failing",
        SetState::Refused => "refused",
    }
}

pub(super) fn action_of(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Delete => "delete",
    }
}

pub(super) fn fate_of(outcome: Option<&Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Done(_)) => "done",
        Some(Outcome::Conflict) => "conflict",
        Some(Outcome::Refused(_)) => "refused",
        Some(Outcome::Unknown(_)) => "unknown",
        Some(Outcome::NotTried) | None => "not_tried",
    }
}
