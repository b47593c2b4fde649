//! A door in front of the host's API server, at which a pod's port is forwarded as a kubelet does it.
//!
//! Everything else goes on to the API server, as its administrator. One request for each connection.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use futures::{SinkExt as _, StreamExt as _};
use kube::Client;
use kube::client::Body;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

/// Where each pod's admin address is on this machine.
type Pods = Arc<Mutex<BTreeMap<String, SocketAddr>>>;

/// A running door.
pub(super) struct Front {
    address: SocketAddr,
    pods: Pods,
    task: tokio::task::JoinHandle<()>,
}

impl Front {
    pub(super) async fn of(client: Client) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let pods = Pods::default();
        let known = pods.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, client.clone(), known.clone()));
            }
        });
        Self { address, pods, task }
    }

    /// `http://127.0.0.1:PORT`.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
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

async fn serve(stream: TcpStream, client: Client, pods: Pods) {
    let mut begin = [0; 1024];
    let target = loop {
        let length = stream.peek(&mut begin).await.unwrap_or_default();
        if length == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&begin[..length]);
        if let Some((line, _)) = text.split_once("\r\n") {
            break line.split(' ').nth(1).unwrap().to_owned();
        }
    };
    match target.split_once("/portforward?") {
        None => pass(stream, client).await,
        Some((path, query)) => {
            let pod = path.rsplit('/').next().unwrap();
            let port = query.rsplit("ports=").next().unwrap().parse().unwrap();
            let admin = pods.lock().unwrap().get(pod).copied();
            Box::pin(forward(stream, port, admin)).await;
        }
    }
}

/// The request to the API server, and its answer back.
async fn pass(mut stream: TcpStream, client: Client) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(octet) = stream.read_u8().await else { return };
        head.push(octet);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let mut request = http_request().method(first.next().unwrap()).uri(first.next().unwrap());
    let mut length = 0;
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "transfer-encoding" => panic!("a length is expected"),
            "content-type" | "accept" => request = request.header(name, value),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let answer = client.send(request.body(Body::from(body)).unwrap()).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect_bytes().await.unwrap();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // A client that went away concerns nobody.
    _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
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
