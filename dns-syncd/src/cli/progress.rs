//! A word for people who wait.

use std::time::Duration;

use crate::output;
use crate::output::style::{ASIDE, paint};

/// Work that is done by then needs no word.
const SHORT: Duration = Duration::from_secs(1);

/// Does the work, and says on standard error what it is when it takes longer than a second.
pub(crate) async fn during<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(SHORT, &mut work).await {
        return done;
    }
    output::remark(&format!("{}\n", paint(ASIDE, format!("{what} …"))));
    work.await
}
