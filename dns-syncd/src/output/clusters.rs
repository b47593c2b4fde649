//! The members of the federation as a table.

use dns_sync_core::Timestamp;
use dns_syncd::clusters::{ClusterReport, ClusterStatus};

use super::style::{ASIDE, BAD, CHANGED, GOOD, HEAD};
use super::table::{Cell, Widths};

/// The table with its head, then why members are not ready.
pub(crate) fn text(clusters: &[ClusterReport], now: Timestamp) -> String {
    let head = ["NAME", "STATUS", "REGION", "ZONES", "SERVICES", "AGE"].map(|title| Cell::styled(HEAD, title));
    let rows: Vec<[Cell; 6]> = std::iter::once(head).chain(clusters.iter().map(|cluster| row(cluster, now))).collect();
    let widths = Widths::of(rows.iter().map(<[Cell; 6]>::as_slice));
    let mut text: String = rows.iter().map(|row| widths.line("", row)).collect();
    for cluster in clusters {
        if let Some(reason) = &cluster.reason {
            text.push_str(&widths.line("", &[Cell::styled(ASIDE, format!("{}: {reason}", cluster.name))]));
        }
    }
    text
}

fn row(cluster: &ClusterReport, now: Timestamp) -> [Cell; 6] {
    let list = |labels: &[String]| if labels.is_empty() { "-".to_owned() } else { labels.join(",") };
    let age = cluster.first_seen.map_or("-".into(), |seen| duration(now.since(seen.0).as_secs()));
    [
        Cell::plain(&cluster.name),
        status(cluster, now),
        Cell::plain(list(&cluster.regions)),
        Cell::plain(list(&cluster.zones)),
        Cell::plain(cluster.services.to_string()),
        Cell::plain(age),
    ]
}

/// `Ready`, `Ready, drained`, `Unknown since 12 m`.
pub(crate) fn status(cluster: &ClusterReport, now: Timestamp) -> Cell {
    let (style, mut text) = match cluster.status {
        ClusterStatus::Ready => (GOOD, "Ready".to_owned()),
        ClusterStatus::Unknown => {
            (CHANGED, format!("Unknown since {}", duration(now.since(cluster.since.0).as_secs())))
        }
        ClusterStatus::Left => (BAD, format!("Left {} ago", duration(now.since(cluster.since.0).as_secs()))),
    };
    if cluster.drained {
        text.push_str(", drained");
    }
    Cell::styled(style, text)
}

/// As `kubectl` prints ages: `42s`, `12m`, `5h`, `3d`.
pub(crate) fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_who_is_unknown_since_when_and_why() {
        let eu = ClusterReport {
            name: "eu".into(),
            status: ClusterStatus::Unknown,
            since: Timestamp(0).into(),
            reason: Some("its file is empty".into()),
            regions: vec!["eu".into()],
            zones: vec!["eu-a".into(), "eu-b".into()],
            services: 2,
            drained: true,
            expired: false,
            first_seen: None,
        };
        let text = text(&[eu], Timestamp(12 * 60_000));
        assert_eq!(
            anstream::adapter::strip_str(&text).to_string(),
            "NAME  STATUS                      REGION  ZONES      SERVICES  AGE\n\
             eu    Unknown since 12m, drained  eu      eu-a,eu-b  2         -\n\
             eu: its file is empty\n"
        );
    }

    #[test]
    fn an_age_has_one_unit() {
        assert_eq!([119, 120, 7200, 172_800].map(duration), ["119s", "2m", "2h", "2d"]);
    }
}
