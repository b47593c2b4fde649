//! What is wanted and not done.

use dns_sync_core::report::RefusalReport;

/// One line, without its end: what it is about, then why.
pub(crate) fn line(refusal: &RefusalReport) -> String {
    let mut about = Vec::new();
    match (&refusal.name, &refusal.rr_type) {
        (Some(name), Some(rr_type)) => about.push(format!("{name} {rr_type}")),
        (Some(name), None) => about.push(name.clone()),
        _ => {}
    }
    about.extend(refusal.service.clone());
    about.extend(refusal.cluster.as_ref().map(|cluster| format!("cluster {cluster}")));
    if about.is_empty() { refusal.reason.clone() } else { format!("{}: {}", about.join(", "), refusal.reason) }
}
