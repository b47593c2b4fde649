//! One function for each thing that is asked of an API server, each with a time limit.

use std::pin::Pin;
use std::time::Duration;

use futures::Stream;
use kube::Client;
use kube::api::{GetParams, ListParams, WatchParams};
use kube::client::Body;
use kube::core::{Request, Status, WatchEvent};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::loss::{Doing, Loss, LossKind};
use super::objects::{Item, Page, Sent, Watched};
use crate::source::Select;

/// Objects in a page of a list. The default of Kubernetes' own clients.
const PAGE: u32 = 500;
/// Lists begun anew because a page took too long to come, before the whole is asked for at once.
const PAGED_TRIES: u32 = 2;

/// A request as `Request` makes it.
type HttpRequest = axum::http::Request<Vec<u8>>;

/// What a watch tells.
pub(crate) type Events = Pin<Box<dyn Stream<Item = Result<WatchEvent<Sent>, kube::Error>> + Send>>;

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
        let events = self.within(doing, self.client.request_events::<Sent>(request)).await?;
        Ok(Box::pin(events))
    }

    /// What a request is answered with.
    ///
    /// Not `Client::request`, which keeps to itself the header `Retry-After`, the only place where an overloaded API
    /// server says when it wants to be asked again.
    async fn get<T: DeserializeOwned>(&self, doing: Doing, request: HttpRequest) -> Result<T, Loss> {
        let asking = async {
            let answer = self.client.send(request.map(Body::from)).await?;
            let (head, body) = answer.into_parts();
            Ok((head, body.collect_bytes().await?))
        };
        let (head, body) = self.within(doing, asking).await?;
        if head.status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| Loss::of(doing, &kube::Error::SerdeError(error)));
        }
        let status = serde_json::from_slice::<Status>(&body).ok().filter(|status| status.code != 0);
        let status = status.unwrap_or_else(|| {
            Status::failure(String::from_utf8_lossy(&body).trim(), "").with_code(head.status.as_u16())
        });
        let loss = Loss::answered(doing, &status);
        let seconds = head.headers.get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Err(Loss { retry_after: seconds.map(Duration::from_secs).max(loss.retry_after), ..loss })
    }

    async fn within<T>(&self, doing: Doing, asking: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Loss> {
        match tokio::time::timeout(self.limit, asking).await {
            Ok(answer) => answer.map_err(|error| Loss::of(doing, &error)),
            Err(_) => Err(Loss::silent(doing, self.limit)),
        }
    }
}
