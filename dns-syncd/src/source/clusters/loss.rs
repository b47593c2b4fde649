//! Why a cluster cannot be read, in words for people.
//!
//! In: errors of the client · Out: [`Loss`] · Pure: yes

use std::error::Error as StdError;
use std::time::Duration;

use kube::client::AuthError;
use kube::core::Status;

use super::objects::Watched;

/// Why a cluster cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) kind: LossKind,
    /// What is wrong and what to do.
    pub(crate) reason: String,
    /// The server asked not to be asked sooner.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) family: Family,
}

/// What losses have in common that differ in nothing but what was being done when it showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// It answers with this status code.
    Answered(u16),
    /// A connection cannot be had, or breaks.
    Unreachable,
    /// It does not answer.
    Silent,
    /// None but itself.
    Lone,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LossKind {
    /// The credentials are not accepted: others may lie where these were found.
    Credentials,
    /// What was asked for is too old: list anew.
    Expired,
    /// The right is missing.
    Denied,
    /// What was asked for does not exist.
    Absent,
    /// Anything else: try again.
    Other,
}

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Asking which cluster it is.
    Identify,
    List(Watched),
    Watch(Watched),
}

const RIGHTS: &str = "grant list and watch on services, nodes and endpointslices.discovery.k8s.io";

impl Loss {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { kind: LossKind::Other, reason: reason.into(), retry_after: None, family: Family::Lone }
    }

    /// True when nothing new is to be said after the other: which of a cluster's watches is refused first is chance.
    pub(crate) fn continues(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.family == other.family
            && (self.family != Family::Lone || self.reason == other.reason)
    }

    /// What an error of a request means.
    pub(crate) fn of(doing: Doing, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::answered(doing, status),
            kube::Error::Auth(error) => Self { kind: LossKind::Credentials, ..Self::new(auth(error)) },
            kube::Error::SerdeError(error) => {
                Self::new(format!("{doing}: the answer is not what Kubernetes sends: {error}; is it an API server?"))
            }
            kube::Error::Service(error) => {
                let chain = chain(error.as_ref());
                // Credentials are got when a request is sent: a plugin or file that fails shows here.
                let kind = match find::<AuthError>(error.as_ref()) {
                    Some(error) => return Self { kind: LossKind::Credentials, ..Self::new(auth(error)) },
                    None if is_certificate(&chain) => LossKind::Credentials,
                    None => LossKind::Other,
                };
                Self { kind, family: Family::Unreachable, ..Self::new(format!("{doing}: unreachable: {chain}")) }
            }
            error => Self::new(format!("{doing}: {}", chain(error))),
        }
    }

    /// What a status that the server sent means.
    pub(crate) fn answered(doing: Doing, status: &Status) -> Self {
        let said = if status.message.is_empty() { &status.reason } else { &status.message };
        let said = said.lines().next().unwrap_or_default().chars().take(300).collect::<String>();
        let (kind, reason) = match (status.code, doing) {
            (401, _) => {
                let hint = "hint: renew the token or certificate of its kubeconfig";
                (LossKind::Credentials, format!("{doing}: it does not accept our credentials (401: {said}); {hint}"))
            }
            (403, _) => (LossKind::Denied, format!("{doing}: denied (403: {said}); hint: {}", doing.rights())),
            (404, Doing::List(Watched::Exports) | Doing::Watch(Watched::Exports)) => {
                let hint = "hint: install the CRD of the Multi-Cluster Services API, or set [Source] select";
                let what = "it has no ServiceExport (multicluster.x-k8s.io/v1alpha1), which `select = exported` needs";
                (LossKind::Absent, format!("{what}; {hint}"))
            }
            (404, Doing::List(Watched::FederationClusters) | Doing::Watch(Watched::FederationClusters)) => {
                let hint = "hint: `kubeconfig` in [Source], or --kubeconfig, leads to the API server of the federation \
                            itself";
                (LossKind::Absent, format!("it has no kind Cluster of federation/v1beta1 (404: {said}); {hint}"))
            }
            (404, _) => (LossKind::Absent, format!("{doing}: it answers 404: {said}")),
            (410, _) => (LossKind::Expired, format!("{doing}: too old (410: {said})")),
            (code, _) => (LossKind::Other, format!("{doing}: it answers {code}: {said}")),
        };
        let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
        let retry_after = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        Self { kind, reason, retry_after, family: Family::Answered(status.code) }
    }

    /// It did not answer in time.
    pub(crate) fn silent(doing: Doing, limit: Duration) -> Self {
        Self { family: Family::Silent, ..Self::new(format!("{doing}: it did not answer within {limit:?}")) }
    }
}

impl Doing {
    fn rights(self) -> String {
        match self {
            Self::List(Watched::Exports) | Self::Watch(Watched::Exports) => {
                "grant list and watch on serviceexports.multicluster.x-k8s.io".to_owned()
            }
            Self::List(Watched::FederationClusters | Watched::FederatedServices)
            | Self::Watch(Watched::FederationClusters | Watched::FederatedServices) => {
                "grant list and watch on services and clusters.federation".to_owned()
            }
            _ => RIGHTS.to_owned(),
        }
    }
}

impl std::fmt::Display for Doing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Identify => f.write_str("asking for the namespace kube-system"),
            Self::List(kind) => write!(f, "listing {}", kind.resource()),
            Self::Watch(kind) => write!(f, "watching {}", kind.resource()),
        }
    }
}

/// An error of the client with its causes, but without what a plugin printed.
pub(crate) fn plain(error: &kube::Error) -> String {
    let of_credentials = match error {
        kube::Error::Auth(error) => Some(error),
        kube::Error::Service(error) => find::<AuthError>(error.as_ref()),
        _ => None,
    };
    of_credentials.map_or_else(|| chain(error), auth)
}

/// Without what a plugin printed: that may be a token.
fn auth(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { cmd, out } => {
            format!("the credential plugin `{}` ended with {}", program(cmd), out.status)
        }
        AuthError::AuthExecStart(error) => format!("the credential plugin cannot be started: {error}"),
        AuthError::AuthExecParse(_) => "the credential plugin printed no ExecCredential".to_owned(),
        AuthError::ReadTokenFile(error, path) => {
            format!("{}: the token file cannot be read: {error}", path.display())
        }
        AuthError::MissingCommand => "`exec` in its kubeconfig has no `command`".to_owned(),
        _ => "its credentials cannot be used: their form is wrong or not supported".to_owned(),
    }
}

/// The program of a command as Rust prints it: `NAME="value" "program" "argument"`. Values may be secrets.
fn program(command: &str) -> &str {
    let (mut begin, mut is_quoted, mut is_escaped) = (0, false, false);
    let words = command.char_indices().filter_map(|(at, c)| {
        let ends = c == ' ' && !is_quoted;
        is_quoted ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends.then(|| &command[std::mem::replace(&mut begin, at + 1)..at])
    });
    let words: Vec<&str> = words.collect();
    let last = &command[begin..];
    let quoted = words.into_iter().chain([last]).find(|word| word.starts_with('"'));
    quoted.unwrap_or_default().trim_matches('"')
}

/// Ours or theirs is no good, such as after its time.
fn is_certificate(chain: &str) -> bool {
    ["certificate", "CertificateExpired", "Expired"].iter().any(|word| chain.contains(word))
}

/// An error with its causes, each said once.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_plugin_is_named_without_its_environment_and_arguments() {
        for name in ["/bin/get-token", "/with space/plug\\in"] {
            let mut command = Command::new(name);
            command.env("A", "s3cret with \"quotes\" and \\").env("Z", "s3cret").env_remove("HOME").arg("s3cret");
            assert_eq!(program(&format!("{command:?}")).replace("\\\\", "\\"), name, "{command:?}");
        }
        assert_eq!(program(&format!("{:?}", Command::new("aws"))), "aws");
        assert_eq!(program("A=\"s3cret"), "");
    }

    /// Which of several watches is refused first is chance, and must not look like news.
    #[test]
    fn one_trouble_shows_in_many_ways() {
        let of = |doing, code| Loss::answered(doing, &Status::failure("no", "").with_code(code));
        let denied = of(Doing::Watch(Watched::Nodes), 403);
        assert!(of(Doing::List(Watched::Services), 403).continues(&denied));
        assert!(!of(Doing::Watch(Watched::Nodes), 401).continues(&denied));
        let limit = Duration::from_secs(1);
        assert!(!Loss::silent(Doing::Identify, limit).continues(&denied));
        assert!(Loss::silent(Doing::Identify, limit).continues(&Loss::silent(Doing::List(Watched::Nodes), limit)));
        assert!(!Loss::new("one").continues(&Loss::new("another")));
    }
}
