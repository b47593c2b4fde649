//! The table: who needs which right, on what, and when.

/// Who needs a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Init,
    Join,
    Unjoin,
}

/// In which cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Host,
    Member,
}

/// When a right is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Case {
    Always,
    /// Replicas elect their leader by a Lease in the host.
    Lease,
    /// The daemon is the DNS server.
    Embedded,
    /// `[Admin] token-file`.
    Token,
    /// `select = exported`.
    Exported,
    /// `events = true`.
    Events,
    /// The command waits for the daemon.
    Waits,
    /// The member's own DNS is told.
    Dns,
    /// And asks for names of regions or zones.
    Places,
    /// Where what was read says so; the text is for people.
    Found(&'static str),
    /// The command does without; the text says how.
    Without(&'static str),
}

/// Where the object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// In no namespace, or all of them.
    Cluster,
    Own,
    KubeSystem,
}

/// A row of the table. In names, words in capitals stand for what [`Known`] has.
pub(super) struct Row {
    pub(super) commands: &'static [Command],
    pub(super) side: Side,
    pub(super) verbs: &'static [&'static str],
    /// `RESOURCE.GROUP`, or `RESOURCE/SUBRESOURCE`.
    pub(super) resources: &'static [&'static str],
    /// None: all of them.
    pub(super) names: &'static [&'static str],
    pub(super) scope: Scope,
    pub(super) case: Case,
    /// The right is passed on by a role of this resource and name, so those do as well that allow to pass on any.
    pub(super) passed_on: Option<(&'static str, &'static str)>,
    /// The first version of Kubernetes that asks for it. Which one answers is not looked at, so its lack is said and no
    /// obstacle.
    pub(super) since: Option<&'static str>,
}

const fn row(
    commands: &'static [Command],
    side: Side,
    verbs: &'static [&'static str],
    resources: &'static [&'static str],
    names: &'static [&'static str],
    scope: Scope,
    case: Case,
) -> Row {
    Row { commands, side, verbs, resources, names, scope, case, passed_on: None, since: None }
}

impl Row {
    const fn passed_on(mut self, resource: &'static str, name: &'static str) -> Self {
        self.passed_on = Some((resource, name));
        self
    }

    const fn since(mut self, version: &'static str) -> Self {
        self.since = Some(version);
        self
    }
}

pub(crate) const ROLES: &str = "roles.rbac.authorization.k8s.io";
pub(crate) const ROLE_BINDINGS: &str = "rolebindings.rbac.authorization.k8s.io";
const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
const CLUSTER_ROLE_BINDINGS: &str = "clusterrolebindings.rbac.authorization.k8s.io";
const MEMBER_ROLE: &str = "NAMESPACE-dns-syncd-FED-member";
const DNS_MAPS: &[&str] = &["coredns", "coredns-custom", "kube-dns"];
const WRITE: &[&str] = &["create", "patch"];

const INIT: &[Command] = &[Command::Init];
const JOIN: &[Command] = &[Command::Join];
const UNJOIN: &[Command] = &[Command::Unjoin];
const JOIN_AND_UNJOIN: &[Command] = &[Command::Join, Command::Unjoin];
const ALL: &[Command] = &[Command::Init, Command::Join, Command::Unjoin];

/// All rights. A server-side apply is a patch, and a creation where there is nothing yet.
#[rustfmt::skip]
pub(super) const TABLE: &[Row] = {
    use Case::{Always, Dns, Embedded, Events, Exported, Found, Lease, Places, Token, Waits, Without};
    use Scope::{Cluster, KubeSystem, Own};
    use Side::{Host, Member};
    const NEW: Case = Found("it does not exist yet");
    const NO_USE: Case = Found("an `init` before made it and it has no use any more");
    const CHANGED: Case = Found("it is changed");
    &[
        row(ALL, Host, &["get"], &["namespaces"], &["kube-system"], Cluster, Always),
        row(INIT, Host, &["get"], &["namespaces"], &["NAMESPACE"], Cluster, Always),
        row(INIT, Host, WRITE, &["namespaces"], &["NAMESPACE"], Cluster, NEW),
        row(INIT, Host, &["get", "create", "patch"], &["serviceaccounts", "configmaps", "deployments.apps", "poddisruptionbudgets.policy"], &["dns-syncd"], Own, Always),
        row(INIT, Host, &["get", "create", "patch"], &["secrets"], &["federation-dns-provider.conf", "dns-syncd-clusters"], Own, Always),
        row(INIT, Host, &["get"], &[ROLES, ROLE_BINDINGS, "services"], &["dns-syncd"], Own, Always),
        row(INIT, Host, &["get"], &["secrets"], &["dns-syncd-admin"], Own, Always),
        row(INIT, Host, WRITE, &[ROLES, ROLE_BINDINGS], &["dns-syncd"], Own, Lease),
        row(INIT, Host, &["create"], &["leases.coordination.k8s.io"], &[], Own, Lease).passed_on(ROLES, "dns-syncd"),
        row(INIT, Host, &["get", "update"], &["leases.coordination.k8s.io"], &["LEASE"], Own, Lease).passed_on(ROLES, "dns-syncd"),
        row(INIT, Host, WRITE, &["services"], &["dns-syncd"], Own, Embedded),
        row(INIT, Host, WRITE, &["secrets"], &["dns-syncd-admin"], Own, Token),
        row(INIT, Host, &["delete"], &[ROLES, ROLE_BINDINGS, "services"], &["dns-syncd"], Own, NO_USE),
        row(INIT, Host, &["delete"], &["secrets"], &["dns-syncd-admin"], Own, NO_USE),

        row(JOIN_AND_UNJOIN, Host, &["get"], &["deployments.apps", "configmaps"], &["dns-syncd"], Own, Always),
        row(JOIN_AND_UNJOIN, Host, &["get"], &["secrets"], &["SECRETS"], Own, Always),
        row(JOIN_AND_UNJOIN, Host, &["patch"], &["secrets"], &["SECRET"], Own, Always),
        row(JOIN, Host, &["get"], &["services"], &["dns-syncd"], Own, Embedded),
        row(JOIN, Host, &["list"], &["pods"], &[], Own, Waits),
        row(JOIN, Host, &["get"], &["pods/portforward"], &[], Own, Waits),
        row(JOIN, Host, &["create"], &["pods/portforward"], &[], Own, Waits).since("1.35"),
        row(UNJOIN, Host, &["list"], &["pods"], &[], Own, Always),
        row(UNJOIN, Host, &["get"], &["pods/portforward"], &[], Own, Always),
        row(UNJOIN, Host, &["create"], &["pods/portforward"], &[], Own, Always).since("1.35"),
        row(UNJOIN, Host, &["get"], &["secrets"], &["TOKEN"], Own, Token),

        row(JOIN_AND_UNJOIN, Member, &["get"], &["namespaces"], &["kube-system", "NAMESPACE"], Cluster, Always),
        row(JOIN, Member, WRITE, &["namespaces"], &["NAMESPACE"], Cluster, NEW),
        row(JOIN, Member, &["get", "create", "patch"], &["serviceaccounts"], &["dns-syncd-FED"], Own, Always),
        row(JOIN, Member, &["get", "create", "patch"], &["secrets"], &["dns-syncd-FED-token"], Own, Always),
        row(JOIN, Member, &["get", "create", "patch"], &[CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS], &[MEMBER_ROLE], Cluster, Always),
        row(JOIN, Member, &["list", "watch"], &["services", "nodes", "endpointslices.discovery.k8s.io"], &[], Cluster, Always).passed_on(CLUSTER_ROLES, MEMBER_ROLE),
        row(JOIN, Member, &["list", "watch"], &["serviceexports.multicluster.x-k8s.io"], &[], Cluster, Exported).passed_on(CLUSTER_ROLES, MEMBER_ROLE),
        row(JOIN, Member, &["create"], &["events.events.k8s.io"], &[], Cluster, Events).passed_on(CLUSTER_ROLES, MEMBER_ROLE),
        row(JOIN, Member, &["get"], &["namespaces"], &["FED"], Cluster, Without("else it is not looked for")),
        row(JOIN, Member, &["list"], &["nodes"], &[], Cluster, Places),
        row(JOIN_AND_UNJOIN, Member, &["get"], &["configmaps"], DNS_MAPS, KubeSystem, Dns),
        row(JOIN_AND_UNJOIN, Member, &["patch"], &["configmaps"], DNS_MAPS, KubeSystem, CHANGED),
        row(JOIN, Member, &["create"], &["configmaps"], &["coredns-custom"], KubeSystem, Found("the Corefile imports `custom/*.server`")),
        row(UNJOIN, Member, &["get", "delete"], &["serviceaccounts"], &["dns-syncd-FED"], Own, Always),
        row(UNJOIN, Member, &["get", "delete"], &["secrets"], &["dns-syncd-FED-token"], Own, Always),
        row(UNJOIN, Member, &["get", "delete"], &[CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS], &[MEMBER_ROLE], Cluster, Always),
        row(UNJOIN, Member, &["delete"], &["configmaps"], &["coredns-custom"], KubeSystem, Found("`join` made it and nothing else is in it")),
        row(UNJOIN, Member, &["delete"], &["namespaces"], &["NAMESPACE"], Cluster, Found("`join` made it")),
        row(UNJOIN, Member, &["list"], &["*"], &[], Own, Without("else the namespace stays")),
    ]
};
