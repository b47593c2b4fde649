//! Is it still the same cluster that answers?

use std::sync::{Arc, Mutex, PoisonError};

use super::api::Api;
use super::loss::{Loss, LossKind};

/// The UID of the namespace `kube-system` that answered first in this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    seen: Arc<Mutex<Seen>>,
    may_lack: bool,
}

#[derive(Debug, Default)]
struct Seen {
    uid: Option<String>,
    /// It was said once that the right to look is missing.
    said: bool,
}

impl Identity {
    /// Of a federation v1 API server: `kube-system` is there only where somebody made it.
    pub(crate) fn of_federation() -> Self {
        Self { may_lack: true, ..Self::default() }
    }

    /// Asks who answers.
    ///
    /// # Errors
    /// When nobody does, or another cluster than before.
    pub(crate) async fn check(&self, api: &Api) -> Result<(), Loss> {
        let is = match api.identify().await {
            Err(loss) if loss.kind == LossKind::Absent && self.may_lack => return Ok(()),
            is => is?,
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(is) = is else {
            if !std::mem::replace(&mut seen.said, true) {
                tracing::warn!(
                    "no right to get the namespace kube-system of a cluster: if another cluster took its place, nobody \
                     would notice; hint: grant get on namespaces"
                );
            }
            return Ok(());
        };
        match &seen.uid {
            None => {
                seen.uid = Some(is);
                Ok(())
            }
            Some(was) if *was == is => Ok(()),
            Some(was) => Err(Loss::new(format!(
                "another cluster answers in its place: the UID of its namespace kube-system was `{was}` and is `{is}`; \
                 hint: give the new one a name of its own, or restart dns-syncd to take it for this one"
            ))),
        }
    }
}
