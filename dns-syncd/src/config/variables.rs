//! The environment's `DNS_SYNCD_<FLAG>`. Pure: yes

use super::cli::Flags;

const PREFIX: &str = "DNS_SYNCD_";

/// Names after the prefix that tests and their runner read, and `LOG…`, which people use for the log.
const OTHERS: [&str; 3] = ["BIN", "SIM_", "LOG"];

/// Names after the prefix that Kubernetes sets in every pod beside a service `dns-syncd`.
/// Source: <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>
const KUBERNETES: [&str; 3] = ["SERVICE_HOST", "SERVICE_PORT", "PORT"];

/// The variable of a flag: `--zone-name` is `DNS_SYNCD_ZONE_NAME`.
pub(super) fn variable(flag: &str) -> String {
    format!("{PREFIX}{}", flag.to_ascii_uppercase().replace('-', "_"))
}

/// A warning for each variable that looks like one of ours and is not read, with the nearest that is.
pub fn unknown_variables(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let settings = Flags::default();
    let flags = settings.settings().into_iter().map(|setting| setting.flag);
    let known: Vec<String> = flags.chain(["config", "dns-zone-name"]).map(variable).collect();
    let is_unknown = |name: &String| {
        name.strip_prefix(PREFIX).is_some_and(|rest| {
            !known.contains(name) && !OTHERS.iter().chain(&KUBERNETES).any(|other| rest.starts_with(other))
        })
    };
    let mut unknown: Vec<String> = names.into_iter().filter(is_unknown).collect();
    unknown.sort();
    let warning = |name: String| {
        let nearest = known.iter().min_by_key(|known| strsim::damerau_levenshtein(&name, known));
        let hint = nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default();
        format!("the variable `{name}` is not read{hint}")
    };
    unknown.into_iter().map(warning).collect()
}
