//! Desired records as lines of a zone file.

use std::fmt::Write as _;

use dns_sync_core::report::RecordReport;

/// One line for each record, as RFC 1035 §5.1 writes them.
pub(crate) fn text(records: &[RecordReport]) -> String {
    let mut text = String::new();
    for record in records {
        for data in &record.set.rdata {
            let _ = writeln!(text, "{} {} IN {} {data}", record.name, record.set.ttl, record.rr_type);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use dns_sync_core::report::SetReport;

    use super::*;

    #[test]
    fn a_set_is_a_line_for_each_record() {
        let rdata = vec!["192.0.2.1".into(), "192.0.2.2".into()];
        let set = SetReport { ttl: 180, rdata };
        let record = RecordReport { name: "a.example.com.".into(), rr_type: "A".into(), set };
        let lines = "a.example.com. 180 IN A 192.0.2.1\na.example.com. 180 IN A 192.0.2.2\n";
        assert_eq!(text(&[record]), lines);
    }
}
