//! Settings of the user's own file that lead to something that only the user's machine has.

use std::collections::BTreeMap;

use dns_providers::gcfg;

use super::report::{JoiningError, Result};
use crate::config::{Config, ConfigError};

/// Refuses settings that lead to something that the pods do not have; `own` is name and text of the user's own file.
pub(crate) fn refuse_of_this_machine(config: &Config, own: Option<(&str, &str)>, namespace: &str) -> Result<()> {
    if let Some((name, text)) = own {
        refuse_ways_to_clusters(name, text)?;
    }
    if let Some(path) = &config.leader.kubeconfig {
        return Err(JoiningError::usage(format!(
            "`kubeconfig = {}` of [Leader]: the pods have no such file; hint: leave it out, the Lease is in the host \
             cluster then",
            path.display()
        )));
    }
    match config.leader.namespace.as_deref().filter(|other| *other != namespace) {
        None => Ok(()),
        Some(other) => Err(JoiningError::usage(format!(
            "`namespace = {other}` of [Leader]: the pods have their rights in the namespace `{namespace}`; hint: leave it \
             out, or --federation-system-namespace={other}"
        ))),
    }
}

/// Refuses what leads from this machine to clusters, whether it is meant for the daemon or not: flags and variables lead
/// these commands alone, so only the file counts.
fn refuse_ways_to_clusters(name: &str, text: &str) -> Result<()> {
    let document = gcfg::parse(text, name).map_err(ConfigError::from)?;
    // The last of a key wins, and an empty one is none.
    let mut last = BTreeMap::new();
    for block in document.blocks {
        for entry in block.entries {
            let key = (block.section.to_lowercase(), block.subsection.clone(), entry.key.to_lowercase());
            last.insert(key, entry);
        }
    }
    for ((section, cluster, key), entry) in last.into_iter().filter(|(_, entry)| !entry.value.is_empty()) {
        let value = &entry.value;
        let why = match (&*section, cluster, &*key) {
            ("source", None, "kubeconfig") => format!(
                "`kubeconfig = {value}` of [Source]: the pods have no such file; hint: leave it out, and bring each \
                 cluster to them by `dns-syncd join CLUSTER --cluster-context=CONTEXT …`"
            ),
            ("cluster", Some(cluster), "context") => format!(
                "`context = {value}` of [Cluster \"{cluster}\"]: the pods have no such context; hint: leave it out, and \
                 bring the cluster to them by `dns-syncd join {cluster} --cluster-context={value} …`"
            ),
            _ => continue,
        };
        return Err(JoiningError::usage(format!("{name}:{}: {why}", entry.place.line)));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::config::Flags;

    #[test]
    fn what_only_this_machine_has_is_refused() {
        let refused = |text: &str| {
            let text = format!("[Federation]\nname = fed\nzone-name = a\n[Provider]\nname = coredns\n{text}");
            // What leads the command to clusters is no setting of the daemon.
            let env = |name: &str| match name {
                "HOME" => Some("/home/me".to_owned()),
                "DNS_SYNCD_KUBECONFIG" => Some("/of/the/command".to_owned()),
                _ => None,
            };
            let config = Config::read(&Flags::default(), &env, Some(("x", text.as_bytes()))).unwrap();
            refuse_of_this_machine(&config, Some(("x", &text)), "ns").map_err(|error| error.to_string())
        };
        assert_eq!(refused(""), Ok(()));
        assert!(refused("[Leader]\nkubeconfig = /x\n").unwrap_err().contains("the pods have no such file"));
        assert!(refused("[Leader]\nnamespace = other\n").unwrap_err().contains("--federation-system-namespace=other"));
        assert_eq!(refused("[Leader]\nnamespace = ns\n"), Ok(()));

        let source = "[Source]\nkind = clusters\n";
        assert_eq!(
            refused(&format!("{source}KubeConfig = ~/.kube/config\n")).unwrap_err(),
            "x:8: `kubeconfig = ~/.kube/config` of [Source]: the pods have no such file; hint: leave it out, and bring each \
             cluster to them by `dns-syncd join CLUSTER --cluster-context=CONTEXT …`"
        );
        assert_eq!(
            refused("[cluster \"us\"]\nregion = west\ncontext = admin@us\n").unwrap_err(),
            "x:8: `context = admin@us` of [Cluster \"us\"]: the pods have no such context; hint: leave it out, and bring the \
             cluster to them by `dns-syncd join us --cluster-context=admin@us …`"
        );
        let unset = "[Source]\nkubeconfig =\n[Cluster \"us\"]\nregion = west\n";
        assert_eq!(refused(&format!("{source}kubeconfig = /x\n{unset}")), Ok(()), "the last of a key wins");
    }
}
