//! The arguments of `init`, `join` and `unjoin`, with kubefed's names, and the flags of kubefed that have no use here.

use std::ffi::OsStr;

use clap::{Args, ValueEnum};

use crate::config::ConfigError;

/// Where the daemon runs.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Context of the cluster in which the daemon runs
    #[arg(long, alias = "host", value_name = "CONTEXT")]
    pub host_cluster_context: String,
    /// Namespace of the daemon, there and in members
    #[arg(long, value_name = "NAMESPACE", default_value = "federation-system")]
    pub federation_system_namespace: String,
}

/// The member's side.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Name of the cluster in the federation
    pub cluster: String,
    /// Its context [default: its name]
    #[arg(long, alias = "context", value_name = "CONTEXT")]
    pub cluster_context: Option<String>,
    /// The Secret in the host cluster that holds its kubeconfig [default: the one that the daemon mounts]
    #[arg(long, value_name = "SECRET")]
    pub secret_name: Option<String>,
    /// What becomes of the cluster's own DNS, where pods find the federation by short names
    #[arg(long, value_name = "WHICH", default_value = "auto")]
    pub cluster_dns: ClusterDns,
}

impl Member {
    pub(crate) fn context(&self) -> &str {
        self.cluster_context.as_deref().unwrap_or(&self.cluster)
    }
}

/// Which DNS a cluster has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClusterDns {
    /// What is found there
    Auto,
    /// The Corefile in the ConfigMap `coredns`
    Coredns,
    /// The ConfigMap `kube-dns`
    KubeDns,
    /// Nothing is changed; print what to add
    Print,
    /// Nothing
    None,
}

impl ClusterDns {
    /// Whether anything of it is read or written.
    pub(crate) fn is_told(self) -> bool {
        self != Self::None
    }
}

/// `init`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct InitArgs {
    /// Name of the federation, a label of every name
    pub name: String,
    /// Where.
    #[command(flatten)]
    pub host: Host,
    /// The image of the daemon
    #[arg(long, value_name = "IMAGE", default_value = concat!("dns-syncd:", env!("CARGO_PKG_VERSION")))]
    pub image: String,
    /// Further flags of the daemon, which override those of this command
    #[arg(long, value_name = "--A=B,--C=D", allow_hyphen_values = true)]
    pub controllermanager_arg_overrides: Option<String>,
    /// Print the objects and change nothing
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub dry_run: bool,
}

/// `join`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct JoinArgs {
    /// What.
    #[command(flatten)]
    pub member: Member,
    /// Where to.
    #[command(flatten)]
    pub host: Host,
    /// Address at which the daemon reaches the cluster's API server [default: that of the context]
    #[arg(long, value_name = "URL")]
    pub cluster_server: Option<String>,
    /// Print what would be changed and change nothing
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub dry_run: bool,
    /// How long to wait until the daemon follows the cluster, in seconds; 0 does not wait
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    pub timeout: u64,
}

/// `unjoin`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct UnjoinArgs {
    /// What.
    #[command(flatten)]
    pub member: Member,
    /// Where from.
    #[command(flatten)]
    pub host: Host,
    /// Go on when the cluster is gone, or another has its place: what is there stays
    #[arg(long)]
    pub force: bool,
    /// How long to wait until no pod of the daemon has the kubeconfig any more, in seconds; 0 does not wait
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    pub timeout: u64,
}

//----------- Flags of kubefed without use ------------------------------------

/// Why they have none.
const NO_SERVER: &str = "there is no API server of the federation any more: the daemon watches the clusters themselves";
const NO_ETCD: &str =
    "there is no etcd of the federation any more: the DNS zone is the daemon's memory, and it needs no volume";
const NO_LOGIN: &str = "nobody logs in to the federation any more: each command uses the contexts of your kubeconfig";

/// Flags of kubefed, why they are refused, and what to do instead.
const REFUSED: [(&str, &str, &str); 21] = [
    ("api-server-advertise-address", NO_SERVER, "leave it out"),
    ("api-server-port", NO_SERVER, "leave it out"),
    ("api-server-service-type", NO_SERVER, "leave it out"),
    ("apiserver-advertise-address", NO_SERVER, "leave it out"),
    ("apiserver-arg-overrides", NO_SERVER, "leave it out; `--controllermanager-arg-overrides` is for the daemon"),
    ("apiserver-enable-basic-auth", NO_LOGIN, "leave it out"),
    ("apiserver-enable-token-auth", NO_LOGIN, "leave it out"),
    ("apiserver-port", NO_SERVER, "leave it out"),
    ("apiserver-service-type", NO_SERVER, "leave it out"),
    ("etcd-image", NO_ETCD, "leave it out"),
    ("etcd-persistent-storage", NO_ETCD, "leave it out"),
    ("etcd-pv-capacity", NO_ETCD, "leave it out"),
    ("etcd-pv-storage-class", NO_ETCD, "leave it out"),
    ("etcd-servers", NO_ETCD, "leave it out; an etcd of CoreDNS is named in the file of `--dns-provider-config`"),
    ("credentials-kubeconfig", NO_LOGIN, "`--kubeconfig` names the file with the contexts"),
    ("generator", "there are no Cluster objects any more", "leave it out"),
    ("hyperkube-image", "the daemon has an image of its own", "`--image`"),
    ("image-pull-policy", "it is the chart's", "`image.pullPolicy` of dns-syncd/deploy/chart"),
    ("image-pull-secrets", "they are the chart's", "`imagePullSecrets` of dns-syncd/deploy/chart"),
    ("node-selector", "it is the chart's", "`nodeSelector` of dns-syncd/deploy/chart"),
    ("cascading-delete", "nothing is deleted with a cluster but its addresses in DNS", "leave it out"),
];

/// Says of arguments of `init`, `join` or `unjoin` which of them were kubefed's and have no use any more.
///
/// # Errors
/// For the first such flag, with the reason and what to do instead.
pub fn without_use<T: AsRef<OsStr>>(arguments: impl IntoIterator<Item = T>) -> Result<(), ConfigError> {
    let arguments: Vec<String> =
        arguments.into_iter().filter_map(|argument| argument.as_ref().to_str().map(str::to_owned)).collect();
    if !arguments.iter().any(|argument| ["init", "join", "unjoin"].contains(&argument.as_str())) {
        return Ok(());
    }
    for argument in arguments.iter().take_while(|argument| *argument != "--") {
        let Some(flag) = argument.strip_prefix("--") else { continue };
        let flag = flag.split('=').next().unwrap_or_default();
        if let Some((flag, why, instead)) = REFUSED.iter().find(|(name, ..)| *name == flag) {
            return Err(ConfigError::new(format!("`--{flag}` has no use: {why}; hint: {instead}")));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::config::{Cli, Command};

    fn parse(words: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(words.split(' ')).map(|cli| cli.command)
    }

    #[test]
    fn kubefeds_command_lines_are_understood() {
        let line = "dns-syncd init fed --host-cluster-context=host --dns-provider=coredns --dns-zone-name=example.com. \
                    --dns-provider-config=/tmp/coredns.conf --controllermanager-arg-overrides=--v=2,--zone-id=7 --dry-run";
        let Ok(Command::Init(init)) = parse(line) else { panic!("{line}") };
        assert_eq!((&*init.name, &*init.host.host_cluster_context), ("fed", "host"));
        assert_eq!(init.host.federation_system_namespace, "federation-system");
        assert_eq!(init.controllermanager_arg_overrides.as_deref(), Some("--v=2,--zone-id=7"));
        assert!(init.dry_run);
        let line =
            "dns-syncd join us --host=host --context=admin@us --secret-name=x --cluster-dns=kube-dns --dry-run=false";
        let Ok(Command::Join(join)) = parse(line) else { panic!("{line}") };
        assert_eq!((join.member.context(), join.member.cluster_dns), ("admin@us", ClusterDns::KubeDns));
        assert!(!join.dry_run);
        let line = "dns-syncd unjoin us --host-cluster-context host --force";
        let Ok(Command::Unjoin(unjoin)) = parse(line) else { panic!("{line}") };
        assert_eq!((unjoin.member.context(), unjoin.force), ("us", true));
        let error = parse("dns-syncd join us").unwrap_err().to_string();
        assert!(error.contains("--host-cluster-context"), "{error}");
    }

    #[test]
    fn each_flag_of_the_old_api_server_is_refused_with_its_reason() {
        let ask = |words: &str| without_use(words.split(' ')).map_err(|error| error.to_string());
        assert_eq!(
            ask("dns-syncd init fed --etcd-persistent-storage=false").unwrap_err(),
            "`--etcd-persistent-storage` has no use: there is no etcd of the federation any more: the DNS zone is the \
             daemon's memory, and it needs no volume; hint: leave it out"
        );
        for (flag, why, instead) in REFUSED {
            let error = ask(&format!("dns-syncd init fed --{flag} x")).unwrap_err();
            assert!(error.contains(flag) && error.contains(why) && error.contains(instead), "{error}");
            // And no flag of ours is among them.
            assert!(parse(&format!("dns-syncd init fed --host h --{flag}")).is_err(), "{flag}");
        }
        assert_eq!(ask("dns-syncd run --etcd-image x"), Ok(()), "clap says that");
        assert_eq!(ask("dns-syncd init fed --host h -- --etcd-image"), Ok(()));
    }
}
