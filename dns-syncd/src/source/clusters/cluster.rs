//! One cluster for as long as it is a member: connect, follow its kinds, tell, and begin again when it is lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dns_sync_core::{ClusterName, SourceEvent};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::api::Api;
use super::connect::Member;
use super::follow::{Follower, Position, Told};
use super::identity::Identity;
use super::loss::{Loss, LossKind};
use super::objects::Watched;
use super::store::Store;
use super::view::View;
use super::{Pace, jittered};
use crate::source::Select;

/// What followers have told and nobody has taken yet. Each may stand for a thousand changes.
const WAITING: usize = 64;
/// Things told that are taken together.
const TOGETHER: usize = 1024;

/// How a member is reached, or why nobody knows.
pub(crate) type Way = Result<Arc<Member>, String>;

/// Tells of one cluster until it is dropped or nobody listens.
pub(crate) struct Teller {
    pub(crate) name: ClusterName,
    pub(crate) select: Select,
    pub(crate) leave_delay: Duration,
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

/// What outlives a connection.
struct Memory {
    view: View,
    positions: BTreeMap<Watched, Position>,
    identity: Identity,
}

impl Teller {
    pub(crate) async fn run(mut self) {
        let mut memory = Memory {
            view: View::new(self.name.clone(), self.select, self.leave_delay),
            positions: BTreeMap::new(),
            identity: Identity::default(),
        };
        let mut pause = self.pace.first_pause;
        let mut renewed = false;
        loop {
            let way = self.way.borrow_and_update().clone();
            let (loss, is_known) = match way {
                Ok(member) => match self.connected(&member, &mut memory).await {
                    End::Lost(loss) => (loss, memory.view.is_told_known()),
                    End::Again => continue,
                    End::Unheard => return,
                },
                // Wrong files are not asked again but looked at again.
                Err(reason) => {
                    if self.tell(memory.view.lost(&reason)).await.is_err() || self.way.changed().await.is_err() {
                        return;
                    }
                    continue;
                }
            };
            if is_known {
                pause = self.pace.first_pause;
                // New ones may lie there already.
                if loss.kind == LossKind::Credentials && !std::mem::replace(&mut renewed, true) {
                    continue;
                }
            }
            renewed = false;
            if self.tell(memory.view.lost(&loss.reason)).await.is_err() {
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

    /// One connection, from its credentials to its end.
    async fn connected(&mut self, member: &Member, memory: &mut Memory) -> End {
        memory.view.begin();
        let connection = match member.connect(self.pace.limit).await {
            Ok(connection) => connection,
            Err(loss) => return End::Lost(loss),
        };
        let api = Api { client: connection.client, limit: self.pace.limit };
        let expires = connection.valid_for.map(|left| Instant::now() + left.max(self.pace.first_pause));
        let (told, mut telling) = mpsc::channel(WAITING);
        let mut followers = JoinSet::new();
        for kind in memory.view.needed() {
            let follower = Follower {
                api: api.clone(),
                kind: *kind,
                select: self.select,
                pace: self.pace,
                identity: memory.identity.clone(),
                position: memory.positions.entry(*kind).or_default().clone(),
                told: told.clone(),
            };
            followers.spawn(follower.run());
        }
        let end = self.listen(&api, expires, memory, &mut telling, &mut followers).await;
        // What they told is taken in, since their positions say so.
        followers.shutdown().await;
        while let Ok((kind, told)) = telling.try_recv() {
            memory.view.take(kind, told, Instant::now());
        }
        memory.view.begin();
        end
    }

    async fn listen(
        &mut self,
        api: &Api,
        expires: Option<Instant>,
        memory: &mut Memory,
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
                        memory.view.take(kind, told, heard);
                    }
                    let news = memory.view.news();
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
                    if let Err(loss) = memory.identity.check(api).await {
                        return End::Lost(loss);
                    }
                    heard = Instant::now();
                }
                () = at(memory.view.relist_at()) => {
                    memory.view.relist();
                    for (kind, position) in &memory.positions {
                        if kind.selects() {
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
/// When it cannot be read within the pace's limit for a whole reading.
pub(crate) async fn read_once(way: Way, select: Select, pace: Pace) -> Result<dns_sync_core::ClusterAnswer, String> {
    let reading = async {
        let member = way.map_err(Loss::new)?;
        let connection = member.connect(pace.limit).await?;
        let api = Api { client: connection.client, limit: pace.limit };
        let kinds = Watched::needed(select);
        let reading = kinds.iter().map(|kind| async {
            let listed = api.list(*kind, select).await?;
            // A daemon could not go on from here: what it calls unknown is unknown to a command as well.
            drop(api.watch(*kind, &listed.version, Duration::from_secs(1)).await?);
            Ok(listed)
        });
        let lists = futures::future::try_join_all(reading).await?;
        let mut store = Store::new(select);
        for (kind, listed) in kinds.iter().zip(lists) {
            store.replace(*kind, listed.items);
        }
        Ok(store.answer())
    };
    let limit = pace.reading;
    match timeout(limit, reading).await {
        Ok(answer) => answer.map_err(|loss: Loss| loss.reason),
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
