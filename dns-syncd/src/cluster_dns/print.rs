//! What to add by hand where no edit is wanted or possible.

use super::block::{self, Cluster};
use super::{ShortNames, coredns, kube_dns};

/// Text for a person: the server blocks for CoreDNS as a common Corefile needs them, and the two keys for kube-dns.
#[must_use]
pub fn print(names: &ShortNames) -> String {
    let cluster = Cluster::usual();
    let zone = block::zone(names, &cluster);
    let block = block::text(names, &cluster, coredns::FIRST_PORT, &zone);
    let mut text = format!(
        "CoreDNS: add this to the end of the Corefile (ConfigMap `coredns` of `kube-system`), or as a key \
         `dns-syncd-{}.server` of the ConfigMap `coredns-custom` where the Corefile imports that:\n\n{block}\n",
        names.federation
    );
    text += "kube-dns: set these keys of the ConfigMap `kube-dns` of `kube-system`; add to what is there:\n\n";
    let lines = kube_dns::alone(names).into_iter().map(|(key, value)| format!("{key}: '{value}'\n"));
    text.extend(lines);
    text
}
