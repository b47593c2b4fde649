//! One API server for as long as it is asked: connect, follow its kinds, tell, and begin again when it is lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dns_sync_core::SourceEvent;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::api::Api;
use super::connect::Member;
use super::follow::{Follower, Position, Told};
use super::identity::Identity;
use super::loss::{Loss, LossKind};
use super::objects::{Item, Watched};
use super::progress::Progress;
use super::store::Store;
use super::{Pace, jittered};
use crate::source::Select;

/// What followers have told and nobody has taken yet. Each may stand for a thousand changes.
const WAITING: usize = 64;
/// Things told that are taken together.
const TOGETHER: usize = 1024;

/// How a member is reached, or why nobody knows.
pub(crate) type Way = Result<Arc<Member>, String>;

/// What is known of an API server's objects, and what has been told of them.
pub(crate) trait Picture: Send + Sync {
    /// How far its lists and watches are.
    fn progress(&mut self) -> &mut Progress;

    /// True when it was told as known, and nothing else since.
    fn is_told_known(&self) -> bool;

    /// Takes in what a follower tells.
    fn take(&mut self, kind: Watched, told: Told, now: Instant);

    /// What there is to tell.
    fn news(&mut self) -> Vec<SourceEvent>;

    /// The server cannot be read. Told once for each reason; how long something is unknown does not begin anew.
    fn lost(&mut self, reason: &str) -> Vec<SourceEvent>;
}

/// Tells of one API server until it is dropped or nobody listens.
pub(crate) struct Teller<P> {
    pub(crate) picture: P,
    pub(crate) identity: Identity,
    pub(crate) select: Select,
    pub(crate) pace: Pace,
    pub(crate) way: watch::Receiver<Way>,
    pub(crate) events: mpsc::Sender<Vec<SourceEvent>>,
}

/// Why a connection ended.
enum End {
    Lost(Loss),
    /// Another way leads there, or these credentials hold no longer, or a list is wanted anew.
    Again,
    /// Nobody listens.
    Unheard,
}

/// Where each watch goes on; outlives a connection.
type Positions = BTreeMap<Watched, Position>;

impl<P: Picture> Teller<P> {
    pub(crate) async fn run(mut self) {
        let mut positions = Positions::new();
        let mut pause = self.pace.first_pause;
        let mut renewed = false;
        let mut trouble: Option<Loss> = None;
        loop {
            let way = self.way.borrow_and_update().clone();
            let (loss, is_known) = match way {
                Ok(member) => {
                    let (end, was_whole) = self.connected(&member, &mut positions).await;
                    // The credentials of this connection were accepted: the next ones count anew.
                    renewed &= !was_whole && matches!(end, End::Lost(_));
                    match end {
                        End::Lost(loss) => (loss, self.picture.is_told_known()),
                        End::Again => continue,
                        End::Unheard => return,
                    }
                }
                // Wrong files are not asked again but looked at again.
                Err(reason) => {
                    let news = self.picture.lost(&reason);
                    if self.tell(news).await.is_err() || self.way.changed().await.is_err() {
                        return;
                    }
                    continue;
                }
            };
            if is_known {
                trouble = None;
                pause = self.pace.first_pause;
                // New ones may lie there already.
                if loss.kind == LossKind::Credentials && !std::mem::replace(&mut renewed, true) {
                    continue;
                }
            }
            renewed = false;
            // One trouble is told in one way, that of its beginning, however it shows later.
            let told = match trouble.take() {
                Some(before) if loss.continues(&before) => before,
                _ => loss.clone(),
            };
            let news = self.picture.lost(&told.reason);
            trouble = Some(told);
            if self.tell(news).await.is_err() {
                return;
            }
            let wait = jittered(pause).max(loss.retry_after.unwrap_or_default().min(self.pace.last_pause));
            pause = (pause * 2).min(self.pace.last_pause);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                changed = self.way.changed() => if changed.is_err() { return },
                () = self.events.closed() => return,
            }
        }
    }

    /// One connection, from its credentials to its end; and whether everything was listed and watched, for a while.
    async fn connected(&mut self, member: &Member, positions: &mut Positions) -> (End, bool) {
        self.picture.progress().begin();
        let connection = match member.connect(self.pace.limit).await {
            Ok(connection) => connection,
            Err(loss) => return (End::Lost(loss), false),
        };
        let begun = Instant::now();
        let api = Api { client: connection.client, limit: self.pace.limit };
        let expires = connection.valid_for.map(|left| Instant::now() + left);
        let (told, mut telling) = mpsc::channel(WAITING);
        let mut followers = JoinSet::new();
        for kind in self.picture.progress().needed() {
            let follower = Follower {
                api: api.clone(),
                kind: *kind,
                select: self.select,
                pace: self.pace,
                identity: self.identity.clone(),
                position: positions.entry(*kind).or_default().clone(),
                told: told.clone(),
            };
            followers.spawn(follower.run());
        }
        let end = self.listen(&api, expires, positions, &mut telling, &mut followers).await;
        // What they told is taken in, since their positions say so.
        followers.shutdown().await;
        while let Ok((kind, told)) = telling.try_recv() {
            self.picture.take(kind, told, Instant::now());
        }
        let was_whole = begun.elapsed() >= self.pace.short && self.picture.progress().is_complete();
        self.picture.progress().begin();
        (end, was_whole)
    }

    async fn listen(
        &mut self,
        api: &Api,
        expires: Option<Instant>,
        positions: &mut Positions,
        telling: &mut mpsc::Receiver<(Watched, Told)>,
        followers: &mut JoinSet<Loss>,
    ) -> End {
        let mut heard = Instant::now();
        let mut together = Vec::new();
        loop {
            tokio::select! {
                _ = telling.recv_many(&mut together, TOGETHER) => {
                    heard = Instant::now();
                    for (kind, told) in together.drain(..) {
                        self.picture.take(kind, told, heard);
                    }
                    let news = self.picture.news();
                    if self.tell(news).await.is_err() {
                        return End::Unheard;
                    }
                }
                Some(ended) = followers.join_next() => return End::Lost(match ended {
                    Ok(loss) => loss,
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(error) => Loss::new(format!("a watch was canceled: {error}")),
                    },
                }),
                // Watches that hang look like watches of a quiet cluster.
                () = sleep_until(heard + self.pace.heartbeat) => {
                    if let Err(loss) = self.identity.check(api).await {
                        return End::Lost(loss);
                    }
                    heard = Instant::now();
                }
                () = at(self.picture.progress().relist_at()) => {
                    for kind in self.picture.progress().relist(Instant::now()) {
                        if let Some(position) = positions.get(&kind) {
                            position.set(None);
                        }
                    }
                    return End::Again;
                }
                () = at(expires) => return End::Again,
                changed = self.way.changed() => return if changed.is_ok() { End::Again } else { End::Unheard },
                () = self.events.closed() => return End::Unheard,
            }
        }
    }

    /// Fails when nobody listens.
    async fn tell(&self, news: Vec<SourceEvent>) -> Result<(), ()> {
        if news.is_empty() { Ok(()) } else { self.events.send(news).await.map_err(drop) }
    }
}

/// What a cluster says right now.
///
/// # Errors
/// As [`read_lists`].
pub(crate) async fn read_once(way: Way, select: Select, pace: Pace) -> Result<dns_sync_core::ClusterAnswer, String> {
    let mut store = Store::new(select);
    for (kind, items) in read_lists(way, Watched::needed(select), select, pace).await? {
        store.replace(kind, items);
    }
    Ok(store.answer())
}

/// Full lists of these kinds.
///
/// # Errors
/// When they cannot be read within the pace's limit for a whole reading.
pub(crate) async fn read_lists(
    way: Way,
    kinds: &[Watched],
    select: Select,
    pace: Pace,
) -> Result<Vec<(Watched, Vec<Item>)>, String> {
    let reading = async {
        let member = way.map_err(Loss::new)?;
        let connection = member.connect(pace.limit).await?;
        let api = Api { client: connection.client, limit: pace.limit };
        let reading = kinds.iter().map(|kind| async {
            let listed = api.list(*kind, select).await?;
            // A daemon could not go on from here: what it calls unknown is unknown to a command as well.
            drop(api.watch(*kind, &listed.version, Duration::from_secs(1)).await?);
            Ok((*kind, listed.items))
        });
        futures::future::try_join_all(reading).await
    };
    let limit = pace.reading;
    match timeout(limit, reading).await {
        Ok(lists) => lists.map_err(|loss: Loss| loss.reason),
        Err(_) => Err(format!("its lists were not complete within {limit:?}")),
    }
}

/// Waits until then; for ever where there is no such time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
