//! A door in front of the host's API server, at which a pod's port is forwarded as a kubelet does it.
//!
//! Everything else goes on to the API server, which also says who may forward. One request for each connection.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures::{SinkExt as _, StreamExt as _};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use crate::real::Cluster;

/// Where each pod's admin address is on this machine.
type Pods = Arc<Mutex<BTreeMap<String, SocketAddr>>>;

/// A running door.
pub(super) struct Front {
    address: SocketAddr,
    pods: Pods,
    has_lost_storage: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Front {
    pub(super) async fn of(cluster: &Cluster) -> Self {
        // Callers bring their own credentials.
        let kubeconfig = Kubeconfig::from_yaml(&cluster.api.kubeconfig_with("{}")).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        let client = Client::try_from(config).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let pods = Pods::default();
        let known = pods.clone();
        let has_lost_storage = Arc::new(AtomicBool::new(false));
        let lost = has_lost_storage.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, client.clone(), known.clone(), lost.load(Ordering::Relaxed)));
            }
        });
        Self { address, pods, has_lost_storage, task }
    }

    /// `http://127.0.0.1:PORT`.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on only what needs no storage is answered.
    pub(super) fn lose_storage(&self) {
        self.has_lost_storage.store(true, Ordering::Relaxed);
    }

    /// A pod that runs, or runs no more.
    pub(super) fn set(&self, pod: &str, admin: Option<SocketAddr>) {
        let mut pods = self.pods.lock().unwrap();
        match admin {
            Some(admin) => _ = pods.insert(pod.to_owned(), admin),
            None => _ = pods.remove(pod),
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, client: Client, pods: Pods, has_lost_storage: bool) {
    let Some(head) = peeked(&stream).await else { return };
    let target = head.lines().next().unwrap().split(' ').nth(1).unwrap();
    if has_lost_storage && !target.contains("/selfsubjectaccessreviews") {
        read_head(&mut stream).await;
        let why = serde_json::json!({
            "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 500,
            "message": "etcdserver: request timed out",
        });
        return answer(stream, "500 Internal Server Error", why.to_string().as_bytes()).await;
    }
    match target.split_once("/portforward?") {
        None => pass(stream, client).await,
        Some((path, query)) => {
            if let Some((status, why)) = refusal(&client, target, path, &head).await {
                // What was sent is read before the end, or the end would overtake the answer.
                read_head(&mut stream).await;
                return answer(stream, &status, &why).await;
            }
            let pod = path.rsplit('/').next().unwrap();
            let port = query.rsplit("ports=").next().unwrap().parse().unwrap();
            let admin = pods.lock().unwrap().get(pod).copied();
            Box::pin(forward(stream, port, admin)).await;
        }
    }
}

/// The head of the request, which stays to be read; none from a client that went away.
async fn peeked(stream: &TcpStream) -> Option<String> {
    let mut begin = vec![0; 16 * 1024];
    loop {
        let length = stream.peek(&mut begin).await.unwrap_or_default();
        if length == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&begin[..length]);
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            return Some(head.to_owned());
        }
        tokio::task::yield_now().await;
    }
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// What the API server has against forwarding this pod's port for this caller, as status and body.
///
/// It decides about `get`, the method of a websocket's request, before it looks for the pod's node, of which there is
/// none here. Since Kubernetes 1.35 `create` is needed as well (kubernetes/kubernetes#134577), which this older one is
/// asked about.
async fn refusal(client: &Client, target: &str, path: &str, head: &str) -> Option<(String, Vec<u8>)> {
    let caller = header(head, "authorization").unwrap_or_default();
    let get = http_request().uri(target).header("authorization", caller).body(Body::empty()).unwrap();
    let said = client.send(get).await.unwrap();
    if [401, 403, 404].contains(&said.status().as_u16()) {
        let status = said.status().to_string();
        return Some((status, said.into_body().collect_bytes().await.unwrap().to_vec()));
    }

    let mut words = path.split('/').skip(4);
    let (namespace, name) = (words.next().unwrap().to_owned(), words.nth(1).unwrap().to_owned());
    let attributes = ResourceAttributes {
        resource: Some("pods".to_owned()),
        subresource: Some("portforward".to_owned()),
        verb: Some("create".to_owned()),
        namespace: Some(namespace),
        name: Some(name.clone()),
        ..ResourceAttributes::default()
    };
    let spec =
        SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..SelfSubjectAccessReviewSpec::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let post = http_request().method("POST").uri("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
    let post = post.header("authorization", caller).header("content-type", "application/json");
    let said = client.send(post.body(Body::from(serde_json::to_vec(&review).unwrap())).unwrap()).await.unwrap();
    let said = said.into_body().collect_bytes().await.unwrap();
    let review: SelfSubjectAccessReview = serde_json::from_slice(&said).unwrap();
    if review.status.unwrap().allowed {
        return None;
    }
    let message = format!("pods \"{name}\" is forbidden: User cannot create resource \"pods/portforward\"");
    let why = serde_json::json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403, "message": message,
    });
    Some(("403 Forbidden".to_owned(), why.to_string().into_bytes()))
}

/// The request to the API server, and its answer back.
async fn pass(mut stream: TcpStream, client: Client) {
    let Some(head) = read_head(&mut stream).await else { return };
    let mut first = head.lines().next().unwrap().split(' ');
    let mut request = http_request().method(first.next().unwrap()).uri(first.next().unwrap());
    for name in ["authorization", "content-type", "accept"] {
        if let Some(value) = header(&head, name) {
            request = request.header(name, value);
        }
    }
    assert_eq!(header(&head, "transfer-encoding"), None, "a length is expected");
    let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let said = client.send(request.body(Body::from(body)).unwrap()).await.unwrap();
    let status = said.status().to_string();
    let body = said.into_body().collect_bytes().await.unwrap();
    answer(stream, &status, &body).await;
}

async fn answer(mut stream: TcpStream, status: &str, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // A client that went away concerns nobody.
    _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
    _ = stream.shutdown().await;
}

fn http_request() -> axum::http::request::Builder {
    axum::http::Request::builder()
}

/// The port of a pod by `v4.channel.k8s.io`: each message begins with its channel, 0 for the data and 1 for an error, and
/// the first on each channel is the port.
#[expect(clippy::result_large_err, reason = "the library's form of a refusal")]
async fn forward(stream: TcpStream, port: u16, admin: Option<SocketAddr>) {
    let agree = |_: &Request, mut answer: Response| -> Result<Response, ErrorResponse> {
        answer.headers_mut().insert("sec-websocket-protocol", "v4.channel.k8s.io".parse().unwrap());
        Ok(answer)
    };
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, agree).await.unwrap();
    for channel in [0, 1] {
        let [low, high] = port.to_le_bytes();
        socket.send(Message::binary(vec![channel, low, high])).await.unwrap();
    }
    let pod = match admin {
        Some(admin) => TcpStream::connect(admin).await.map_err(|error| error.to_string()),
        None => Err("there is no such pod here".to_owned()),
    };
    let mut pod = match pod {
        Ok(pod) => pod,
        Err(why) => {
            _ = socket.send(Message::binary([&[1], why.as_bytes()].concat())).await;
            _ = socket.close(None).await;
            return;
        }
    };
    let mut octets = [0; 16 * 1024];
    loop {
        tokio::select! {
            read = pod.read(&mut octets) => match read {
                Ok(length) if length > 0 => {
                    if socket.send(Message::binary([&[0], &octets[..length]].concat())).await.is_err() {
                        return;
                    }
                }
                _ => {
                    _ = socket.close(None).await;
                    return;
                }
            },
            message = socket.next() => match message {
                Some(Ok(Message::Binary(message))) if message.first() == Some(&0) => {
                    if pod.write_all(&message[1..]).await.is_err() {
                        return;
                    }
                }
                Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Text(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
        }
    }
}
