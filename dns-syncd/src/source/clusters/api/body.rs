//! Answers as they come in, none longer than memory has room for.
//!
//! Not `Client::request_events`, which keeps a line without an end until there is no memory left.
//! In: the body of an answer · Out: its octets, or the events of a watch

use std::pin::Pin;

use axum::body::Bytes;
use futures::{Stream, StreamExt as _, stream};
use http_body_util::{BodyDataStream, BodyExt as _};
use kube::client::Body;
use kube::core::{Status, WatchEvent};

use crate::source::clusters::loss::{Doing, Loss};
use crate::source::clusters::objects::Sent;

/// What a watch tells.
pub(crate) type Events = Pin<Box<dyn Stream<Item = Result<WatchEvent<Sent>, Broken>> + Send>>;

/// Why a watch tells no more.
#[derive(Debug)]
pub(crate) enum Broken {
    /// What was told cannot be used.
    Lost(Loss),
    /// The connection broke; whether the server is gone shows when it is asked again.
    Connection(kube::Error),
}

/// A whole body of at most so many octets.
pub(super) async fn whole(doing: Doing, body: Body, most: usize) -> Result<Vec<u8>, Loss> {
    let (mut chunks, mut octets) = (body.into_data_stream(), Vec::new());
    while let Some(chunk) = chunks.next().await {
        octets.extend_from_slice(&chunk.map_err(|error| Loss::of(doing, &error))?);
        if octets.len() > most {
            return Err(Loss::new(format!("{doing}: the answer is longer than {}; is it an API server?", size(most))));
        }
    }
    Ok(octets)
}

/// The lines of a watch.
pub(super) struct Lines {
    chunks: BodyDataStream<Body>,
    /// What came and is not told yet.
    came: Bytes,
    /// A line that has not come to its end.
    begun: Vec<u8>,
    /// The longest line, octets.
    most: usize,
    ended: bool,
}

impl Lines {
    pub(super) fn new(body: Body, most: usize) -> Self {
        Self { chunks: body.into_data_stream(), came: Bytes::new(), begun: Vec::new(), most, ended: false }
    }

    /// The events in these lines, up to the first that is none.
    pub(super) fn events(self, doing: Doing) -> impl Stream<Item = Result<WatchEvent<Sent>, Broken>> + Send {
        stream::unfold(self, move |mut lines| async move {
            let event = lines.event(doing).await?;
            lines.ended |= event.is_err();
            Some((event, lines))
        })
    }

    async fn event(&mut self, doing: Doing) -> Option<Result<WatchEvent<Sent>, Broken>> {
        loop {
            let line = match self.line(doing).await? {
                Ok(line) => line,
                Err(broken) => return Some(Err(broken)),
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            return match serde_json::from_slice(&line) {
                Ok(event) => Some(Ok(event)),
                // The connection ended in the middle of it.
                Err(error) if self.ended && error.is_eof() => None,
                Err(error) => Some(Err(Broken::Lost(match serde_json::from_slice::<Status>(&line) {
                    Ok(status) if status.code != 0 => Loss::answered(doing, &status),
                    _ => Loss::of(doing, &kube::Error::SerdeError(error)),
                }))),
            };
        }
    }

    /// The next line; the last one may lack its end.
    async fn line(&mut self, doing: Doing) -> Option<Result<Vec<u8>, Broken>> {
        while !self.ended {
            let end = self.came.iter().position(|octet| *octet == b'\n');
            self.begun.extend_from_slice(&self.came.split_to(end.unwrap_or(self.came.len())));
            if self.begun.len() > self.most {
                let most = size(self.most);
                let reason = format!("{doing}: a line of the answer is longer than {most}; is it an API server?");
                return Some(Err(Broken::Lost(Loss::new(reason))));
            }
            if end.is_some() {
                let _ = self.came.split_to(1);
                return Some(Ok(std::mem::take(&mut self.begun)));
            }
            match self.chunks.next().await {
                Some(Ok(chunk)) => self.came = chunk,
                Some(Err(error)) => return Some(Err(Broken::Connection(error))),
                None => {
                    self.ended = true;
                    return Some(Ok(std::mem::take(&mut self.begun)));
                }
            }
        }
        None
    }
}

/// In words.
fn size(octets: usize) -> String {
    if octets >= 1 << 20 { format!("{} MiB", octets >> 20) } else { format!("{octets} octets") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::routing::get;
    use axum::{Router, body};
    use kube::Client;

    use super::super::Api;
    use super::*;
    use crate::source::Select;
    use crate::source::clusters::objects::Watched;

    const DOING: Doing = Doing::Watch(Watched::Services);

    /// An answer in these chunks, as a client gets it.
    async fn answer(chunks: Vec<Vec<u8>>) -> Body {
        let chunks = stream::iter(chunks).map(Ok::<_, std::io::Error>);
        let chunks = Arc::new(Mutex::new(Some(body::Body::from_stream(chunks))));
        let server = get(move || std::future::ready(chunks.lock().unwrap().take().unwrap()));
        let client = Client::new(Router::new().fallback_service(server), "default");
        client.send(axum::http::Request::new(Body::empty())).await.unwrap().into_body()
    }

    fn event(name: &str) -> String {
        format!(r#"{{"type":"ADDED","object":{{"metadata":{{"name":"{name}","namespace":"n"}}}}}}"#)
    }

    /// The names in a watch's events, and why it broke.
    async fn heard(chunks: Vec<Vec<u8>>, most: usize) -> (Vec<String>, Option<Broken>) {
        let events: Vec<_> = Lines::new(answer(chunks).await, most).events(DOING).collect().await;
        let (mut names, mut broken) = (Vec::new(), None);
        for event in events {
            match event {
                Ok(WatchEvent::Added(sent)) => {
                    names.push(sent.item(Watched::Services, Select::All).key.name.to_string());
                }
                Ok(other) => panic!("{other:?}"),
                Err(why) => assert!(broken.replace(why).is_none(), "it ends with what broke it"),
            }
        }
        (names, broken)
    }

    #[tokio::test]
    async fn lines_come_in_any_chunks() {
        let text = format!("{}\n\n{}\r\n{}", event("a"), event("b"), event("c"));
        for size in 1..=text.len() {
            let (names, broken) = heard(text.as_bytes().chunks(size).map(<[u8]>::to_vec).collect(), 1000).await;
            assert_eq!(names, ["a", "b", "c"], "{size}");
            assert!(broken.is_none(), "{size}: {broken:?}");
        }
    }

    #[tokio::test]
    async fn what_the_end_cuts_off_is_dropped_and_what_is_no_event_is_a_loss() {
        let begun = &event("b")[..20];
        let (names, broken) = heard(vec![format!("{}\n{begun}", event("a")).into()], 1000).await;
        assert_eq!((names, broken.is_none()), (vec!["a".to_owned()], true));
        for (line, words) in [("<html>", "is it an API server?"), (r#"{"kind":"Status","code":403}"#, "denied (403")] {
            let (names, broken) = heard(vec![format!("{}\n{line}\n{}\n", event("a"), event("b")).into()], 1000).await;
            assert_eq!(names, ["a"]);
            assert!(matches!(&broken, Some(Broken::Lost(loss)) if loss.reason.contains(words)), "{broken:?}");
        }
    }

    #[tokio::test]
    async fn a_line_and_an_answer_have_a_longest() {
        let line = event("a");
        let (names, broken) = heard(vec![format!("{line}\n{line}").into()], line.len()).await;
        assert_eq!((names.len(), broken.is_none()), (2, true));
        let (names, broken) = heard(vec![format!("{line}\n{line} \n").into()], line.len()).await;
        assert_eq!(names.len(), 1);
        let words = format!("watching services: a line of the answer is longer than {} octets", line.len());
        assert!(matches!(&broken, Some(Broken::Lost(loss)) if loss.reason.contains(&words)), "{broken:?}");
        assert_eq!(whole(DOING, answer(vec![vec![0; 6], vec![0; 4]]).await, 10).await.unwrap().len(), 10);
        let long = whole(DOING, answer(vec![vec![0; 6], vec![0; 5]]).await, 10).await.unwrap_err();
        assert_eq!(long.reason, "watching services: the answer is longer than 10 octets; is it an API server?");
    }

    /// What never ends and never breaks a line is given up while it is small.
    #[tokio::test]
    async fn a_watch_without_lines_is_a_loss() {
        let endless = get(|| async {
            let chunk = Bytes::from(vec![b'x'; 1 << 20]);
            body::Body::from_stream(stream::repeat(chunk).map(Ok::<_, std::io::Error>))
        });
        let client = Client::new(Router::new().fallback_service(endless), "default");
        let api = Api { client, limit: std::time::Duration::from_mins(1) };
        let mut events = api.watch(Watched::Services, "1", std::time::Duration::from_mins(1)).await.unwrap();
        let Some(Err(Broken::Lost(loss))) = events.next().await else { panic!("it is no watch") };
        assert!(loss.reason.contains("longer than 16 MiB"), "{}", loss.reason);
        assert!(events.next().await.is_none());
    }
}
