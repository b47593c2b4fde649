//! One function for each thing that is asked of an API server, each with a time limit and a longest answer.

mod body;

use std::time::Duration;

use axum::http::response::Parts;
use axum::http::{HeaderValue, header};
use kube::Client;
use kube::api::{GetParams, ListParams, WatchParams};
use kube::client::Body;
use kube::core::{Request, Status};
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub(crate) use self::body::{Broken, Events};
use self::body::{Lines, whole};
use super::loss::{Doing, Loss, LossKind};
use super::objects::{Item, Page, Watched};
use crate::source::Select;

/// Objects in a page of a list. The default of Kubernetes' own clients.
const PAGE: u32 = 500;
/// Lists begun anew because their next page is too old (410), before the whole is asked for at once.
const PAGED_TRIES: u32 = 2;

/// The longest line of a watch, octets: one object. Kubernetes itself takes objects of 3 MiB at most.
/// Source: `MaxRequestBodyBytes` in `staging/src/k8s.io/apiserver/pkg/server/config.go` of Kubernetes.
const LINE: usize = 16 << 20;
/// The longest answer to anything else, octets.
const ANSWER: usize = 256 << 20;

/// A request as `Request` makes it.
type HttpRequest = axum::http::Request<Vec<u8>>;

/// An API server, and how long it may take.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) client: Client,
    /// For one answer: a page, or the beginning of a watch.
    pub(crate) limit: Duration,
}

/// The namespace `kube-system`, as far as it is looked at.
#[derive(Deserialize)]
struct Namespace {
    metadata: NamespaceMetadata,
}

#[derive(Deserialize)]
struct NamespaceMetadata {
    uid: String,
}

/// A full list.
pub(crate) struct Listed {
    pub(crate) items: Vec<Item>,
    /// Where a watch goes on from.
    pub(crate) version: String,
}

impl Api {
    /// The UID of the namespace `kube-system`, which no two clusters share; `None` without the right to see it.
    pub(crate) async fn identify(&self) -> Result<Option<String>, Loss> {
        let doing = Doing::Identify;
        let request = Request::new("/api/v1/namespaces").get_metadata("kube-system", &GetParams::default());
        let request = request.map_err(|error| Loss::new(format!("{doing}: {error}")))?;
        match self.get::<Namespace>(doing, request).await {
            Ok(namespace) => Ok(Some(namespace.metadata.uid)),
            Err(loss) if loss.kind == LossKind::Denied => Ok(None),
            Err(loss) => Err(loss),
        }
    }

    /// All objects of a kind, page by page. Each page is cut down before the next is asked for.
    pub(crate) async fn list(&self, kind: Watched, select: Select) -> Result<Listed, Loss> {
        let doing = Doing::List(kind);
        let mut tries = 0;
        'anew: loop {
            tries += 1;
            let limit = (tries <= PAGED_TRIES).then_some(PAGE);
            let mut listed = Listed { items: Vec::new(), version: String::new() };
            let mut next = None;
            loop {
                let parameters = ListParams { limit, continue_token: next.take(), ..ListParams::default() };
                let request = Request::new(kind.path());
                let request =
                    if kind.metadata_only() { request.list_metadata(&parameters) } else { request.list(&parameters) };
                let request = request.map_err(|error| Loss::new(format!("{doing}: {error}")))?;
                let page = match self.get::<Page>(doing, request).await {
                    // The pages before belong to a state that the server has forgotten.
                    Err(loss) if loss.kind == LossKind::Expired && tries <= PAGED_TRIES => continue 'anew,
                    page => page?,
                };
                let items = page.items.unwrap_or_default().into_iter().map(|sent| sent.item(kind, select));
                listed.items.extend(items.filter(|item| item.value.is_some()));
                listed.version = page.metadata.resource_version.unwrap_or_default();
                next = page.metadata.next.filter(|token| !token.is_empty());
                if next.is_none() {
                    break;
                }
            }
            if listed.version.is_empty() {
                return Err(Loss::new(format!("{doing}: the list has no resourceVersion; is it an API server?")));
            }
            return Ok(listed);
        }
    }

    /// What happens to objects of a kind after `version`. The server ends the watch after `length`.
    pub(crate) async fn watch(&self, kind: Watched, version: &str, length: Duration) -> Result<Events, Loss> {
        let doing = Doing::Watch(kind);
        let seconds = u32::try_from(length.as_secs()).unwrap_or(u32::MAX).max(1);
        let parameters = WatchParams { timeout: Some(seconds), bookmarks: true, ..WatchParams::default() };
        let request = Request::new(kind.path());
        let request = if kind.metadata_only() {
            request.watch_metadata(&parameters, version)
        } else {
            request.watch(&parameters, version)
        };
        let request = request.map_err(|error| Loss::new(format!("{doing}: {error}")))?;
        let mut request = request.map(Body::from);
        // A server may compress each event by itself, and the client would decompress no more than the first.
        request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let (head, body) = self.within(doing, self.send(doing, request)).await?;
        if !head.status.is_success() {
            let body = self.within(doing, whole(doing, body, ANSWER)).await?;
            return Err(refusal(doing, &head, &body));
        }
        Ok(Box::pin(Lines::new(body, LINE).events(doing)))
    }

    /// What a request is answered with.
    ///
    /// Not `Client::request`, which keeps to itself the header `Retry-After`, the only place where an overloaded API
    /// server says when it wants to be asked again, and which takes an answer of any length.
    async fn get<T: DeserializeOwned>(&self, doing: Doing, request: HttpRequest) -> Result<T, Loss> {
        let asking = async {
            let (head, body) = self.send(doing, request.map(Body::from)).await?;
            Ok((head, whole(doing, body, ANSWER).await?))
        };
        let (head, body) = self.within(doing, asking).await?;
        if head.status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| Loss::of(doing, &kube::Error::SerdeError(error)));
        }
        Err(refusal(doing, &head, &body))
    }

    async fn send(&self, doing: Doing, request: axum::http::Request<Body>) -> Result<(Parts, Body), Loss> {
        let answer = self.client.send(request).await.map_err(|error| Loss::of(doing, &error))?;
        Ok(answer.into_parts())
    }

    async fn within<T>(&self, doing: Doing, asking: impl Future<Output = Result<T, Loss>>) -> Result<T, Loss> {
        match tokio::time::timeout(self.limit, asking).await {
            Ok(answer) => answer,
            Err(_) => Err(Loss::silent(doing, self.limit)),
        }
    }
}

/// What an answer without success means.
fn refusal(doing: Doing, head: &Parts, body: &[u8]) -> Loss {
    let status = serde_json::from_slice::<Status>(body).ok().filter(|status| status.code != 0);
    let status = status
        .unwrap_or_else(|| Status::failure(String::from_utf8_lossy(body).trim(), "").with_code(head.status.as_u16()));
    let loss = Loss::answered(doing, &status);
    let seconds = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Loss { retry_after: seconds.map(Duration::from_secs).max(loss.retry_after), ..loss }
}
