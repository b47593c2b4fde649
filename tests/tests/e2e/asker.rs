//! Clients that ask all the time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dns_conformance::servers::{Answer, try_query};
use hickory_proto::op::ResponseCode;
use tokio::task::JoinSet;

use crate::truth::{Existence, Question, Truth, Want};

/// Between two looks for something to ask.
const IDLE: Duration = Duration::from_millis(20);

/// Between two questions of the first client, which is there in every test: without it, asking takes a core, and what is
/// asked about has to wait. A crowd asks without a pause.
const PACE: Duration = Duration::from_millis(1);

/// Asks one question after the other until it is dropped (a set of tasks ends with its value), and notes every answer
/// that is not allowed.
#[derive(Debug)]
pub(crate) struct Asker {
    server: SocketAddr,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Shared {
    allowed: Mutex<Arc<Allowed>>,
    faults: Mutex<Vec<String>>,
    asked: AtomicU64,
}

/// Which answers are right now.
#[derive(Debug, Default)]
struct Allowed {
    wants: BTreeMap<Question, Between>,
    leave: Leave,
}

/// What else is right for a while.
#[derive(Clone, Debug, Default)]
pub(crate) enum Leave {
    /// Nothing.
    #[default]
    None,
    /// The server may say that it cannot answer, or say nothing.
    Silence,
    /// The host changes a type in two calls: these names may be empty in between.
    Gaps(BTreeSet<String>),
    /// Somebody changes records by hand: names may have fewer addresses, none, or these too.
    Meddling(BTreeSet<String>),
}

/// The truth before and after a change; both the same where nothing changes.
#[derive(Debug)]
struct Between {
    from: Want,
    to: Want,
}

impl Between {
    fn allows(&self, answer: &Answer, leave: &Leave) -> bool {
        let Self { from, to } = self;
        let by_hand = if let Leave::Meddling(by_hand) = leave { Some(by_hand) } else { None };
        if from == to && by_hand.is_none() {
            return to.is_met(answer);
        }
        let code = match answer.rcode {
            ResponseCode::NoError => true,
            ResponseCode::NXDomain => {
                by_hand.is_some() || (from.name, to.name) != (Existence::Exists, Existence::Exists)
            }
            _ => false,
        };
        let addresses = answer.addresses();
        let is_right = |address: &String| {
            from.addresses.contains(address)
                || to.addresses.contains(address)
                || by_hand.is_some_and(|by_hand| by_hand.contains(address))
        };
        let may_be_empty = by_hand.is_some() || from.addresses.is_empty() || to.addresses.is_empty();
        code && addresses.iter().all(is_right) && (may_be_empty || !addresses.is_empty())
    }
}

impl Asker {
    pub(crate) fn start(server: SocketAddr) -> Self {
        let mut asker = Self { server, shared: Arc::default(), tasks: JoinSet::new() };
        asker.tasks.spawn(ask(server, asker.shared.clone(), Some(PACE)));
        asker
    }

    /// More clients that ask at the same time, without a pause.
    pub(crate) fn grow(&mut self, clients: usize) {
        for _ in 0..clients {
            self.tasks.spawn(ask(self.server, self.shared.clone(), None));
        }
    }

    /// From now on, what was true and what will be are both right.
    pub(crate) fn allow(&self, from: &Truth, to: &Truth, leave: Leave) {
        let between = |question: &Question| {
            let of = |truth: &Truth| truth.get(question).cloned().unwrap_or_else(Want::absent);
            (question.clone(), Between { from: of(from), to: of(to) })
        };
        let wants = from.keys().chain(to.keys()).map(between).collect();
        *self.shared.allowed.lock().unwrap() = Arc::new(Allowed { wants, leave });
    }

    /// Answers so far.
    pub(crate) fn asked(&self) -> u64 {
        self.shared.asked.load(Ordering::Relaxed)
    }

    /// The test fails when an answer was not allowed.
    pub(crate) fn assert_content(&self) {
        let faults = self.shared.faults.lock().unwrap();
        assert!(faults.is_empty(), "a client was answered wrongly:\n{}", faults.join("\n"));
    }
}

async fn ask(server: SocketAddr, shared: Arc<Shared>, pace: Option<Duration>) {
    let current = || shared.allowed.lock().unwrap().clone();
    loop {
        let questions = current();
        for (name, rr_type) in questions.wants.keys() {
            // What was right when it was asked, or is when the answer is there, is right.
            let before = current();
            let answer = try_query(server, name, rr_type).await;
            let after = current();
            shared.asked.fetch_add(1, Ordering::Relaxed);
            if ![&before, &after].into_iter().any(|allowed| allowed.allows(name, rr_type, &answer)) {
                let want = after.wants.get(&(name.clone(), *rr_type));
                let text = match answer {
                    Ok(answer) => format!("{} {:?}", answer.rcode, answer.addresses()),
                    Err(error) => error,
                };
                shared.faults.lock().unwrap().push(format!("{name} {rr_type}: {text}, but allowed is {want:?}"));
            }
            if let Some(pace) = pace {
                tokio::time::sleep(pace).await;
            }
        }
        if questions.wants.is_empty() {
            tokio::time::sleep(IDLE).await;
        }
    }
}

impl Allowed {
    fn allows(&self, name: &str, rr_type: &'static str, answer: &Result<Answer, String>) -> bool {
        let Some(want) = self.wants.get(&(name.to_owned(), rr_type)) else { return true };
        let empty = Leave::Meddling(BTreeSet::new());
        let leave = match &self.leave {
            Leave::Gaps(names) if names.contains(name) => &empty,
            Leave::Gaps(_) => &Leave::None,
            leave => leave,
        };
        match answer {
            Ok(answer) if answer.rcode != ResponseCode::ServFail => want.allows(answer, leave),
            _ => matches!(self.leave, Leave::Silence),
        }
    }
}
