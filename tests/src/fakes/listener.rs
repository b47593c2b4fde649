//! The HTTP side that all fakes share: a listener on loopback that collects each request, hands it to a [`Host`] and
//! does to the answer what the test has ordered in [`Control`].
//!
//! It lives in the runtime of the test and ends, with all its connections, when [`Server`] is dropped.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use futures::stream;
use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::faults::{Control, Effect};

//----------- Host ---------------------------------------------------

/// A vendor's interface over its state.
pub trait Host: Send + Sync + 'static {
    /// The vendor's name of the operation that the request asks for; `unknown` when it is none.
    fn operation(&self, request: &Request) -> String;

    /// Does the work, at once and whole, and answers.
    fn answer(&self, request: &Request) -> Answer;

    /// The vendor's answer to a call above its rate; `wait` until the next one is allowed.
    fn throttled(&self, request: &Request, wait: Duration) -> Answer;
}

/// A request with all of its body.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: Method,
    /// The path as it was sent, percent-encoded.
    pub path: String,
    /// The query's names and values in their order, decoded.
    pub query: Vec<(String, String)>,
    /// All headers.
    pub headers: HeaderMap,
    /// The body; empty where there is none.
    pub body: Bytes,
}

impl Request {
    /// A request that came on no connection: `target` is its path and query.
    ///
    /// # Panics
    /// When `method` is no method or `target` no target.
    pub fn new(method: &str, target: &str, headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Self {
        let uri: Uri = target.parse().unwrap_or_else(|error| panic!("`{target}`: {error}"));
        let header = |(name, value): &(&'static str, &str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap_or_else(|error| panic!("{name}: {error}")),
            )
        };
        let method = method.parse().unwrap_or_else(|error| panic!("`{method}`: {error}"));
        Self::from_parts(method, &uri, headers.iter().map(header).collect(), body.into())
    }

    fn from_parts(method: Method, uri: &Uri, headers: HeaderMap, body: Bytes) -> Self {
        let query = Query::<Vec<(String, String)>>::try_from_uri(uri).map(|Query(query)| query).unwrap_or_default();
        Self { method, path: uri.path().to_owned(), query, headers, body }
    }

    /// The first value of a query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A header's value where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The path's segments between slashes, percent-decoded; those that are no text are empty.
    pub fn segments(&self) -> Vec<String> {
        self.path.trim_start_matches('/').split('/').map(percent_decode).collect()
    }

    /// The body as text, replacement characters for what is none.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..2).filter(|_| first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// An answer before it is sent.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers beside those of HTTP itself.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// An answer without headers.
    ///
    /// # Panics
    /// When `status` is not an HTTP status.
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        let status = StatusCode::from_u16(status).expect("a status of HTTP");
        Self { status, headers: HeaderMap::new(), body: body.into() }
    }

    /// Adds a header.
    ///
    /// # Panics
    /// When it cannot be a header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).unwrap_or_else(|_| panic!("`{value}` cannot be a header's value"));
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }
}

//----------- Server -------------------------------------------------

/// A listener that serves one host; ends when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    control: Arc<Control>,
    connections: Connections,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on a free port of loopback and serves `host` from now on.
    ///
    /// # Panics
    /// When loopback cannot be listened on: the test fails.
    pub async fn start(host: Arc<dyn Host>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let control = Arc::new(Control::default());
        let connections = Connections::default();
        let listener = Cuttable { listener, connections: Arc::clone(&connections) };
        let router = axum::Router::new()
            .fallback(serve)
            .with_state((host, Arc::clone(&control)))
            .into_make_service_with_connect_info();
        let router: axum::extract::connect_info::IntoMakeServiceWithConnectInfo<_, Connection> = router;
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { address, control, connections, task }
    }

    /// `http://127.0.0.1:PORT`, without a final slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Faults, rates and the log of calls.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Cuts every open connection; new ones are served.
    pub fn cut_connections(&self) {
        for connection in self.connections.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if let Some(wire) = connection.upgrade() {
                wire.cut();
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        self.cut_connections();
    }
}

/// Serves one request: its faults, its work, its answer.
async fn serve(
    State((host, control)): State<(Arc<dyn Host>, Arc<Control>)>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: axum::extract::Request,
) -> Result<Response, Infallible> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        connection.0.cut(); // the client went away in the middle
        return Ok(Response::default());
    };
    let request = Request::from_parts(parts.method, &parts.uri, parts.headers, body);

    let operation = host.operation(&request);
    let fate = control.begin(&operation, &request);
    for gate in &fate.gates_before {
        gate.pass().await;
    }
    if matches!(fate.effect, Some(Effect::LoseRequest)) {
        connection.0.cut();
        return Ok(Response::default());
    }
    let answer = match (&fate.effect, control.take(&operation)) {
        (Some(Effect::Answer(answer)), _) => (**answer).clone(),
        (_, Err(wait)) => host.throttled(&request, wait),
        (_, Ok(())) => {
            let answer = host.answer(&request);
            control.note(fate.number, |call| call.done = true);
            answer
        }
    };
    for gate in &fate.gates_after {
        gate.pass().await;
    }
    if matches!(fate.effect, Some(Effect::LoseAnswer)) {
        connection.0.cut();
        return Ok(Response::default());
    }
    control.note(fate.number, |call| call.status = Some(answer.status.as_u16()));
    Ok(response(answer, matches!(fate.effect, Some(Effect::HalfAnswer))))
}

fn response(answer: Answer, half: bool) -> Response {
    let Answer { status, mut headers, body } = answer;
    let body = if half {
        headers.insert(header::CONTENT_LENGTH, body.len().into());
        let first = body.slice(..body.len() / 2);
        Body::from_stream(stream::unfold(Some(first), async |first| {
            if let Some(first) = first {
                return Some((Ok(first), None));
            }
            tokio::task::yield_now().await; // what was given so far is sent meanwhile
            Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), None))
        }))
    } else {
        Body::from(body)
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

//----------- Connection ---------------------------------------------

type Connections = Arc<Mutex<Vec<Weak<Wire>>>>;

/// Whether a connection has been cut, known to its socket and to the requests on it.
#[derive(Debug, Default)]
struct Wire {
    cut: AtomicBool,
    waker: AtomicWaker,
}

impl Wire {
    fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.waker.wake();
    }

    fn check(&self, cx: &Context<'_>) -> io::Result<()> {
        self.waker.register(cx.waker());
        if self.cut.load(Ordering::Acquire) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

/// The connection that a request came on.
#[derive(Clone, Debug)]
struct Connection(Arc<Wire>);

impl Connected<IncomingStream<'_, Cuttable>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Cuttable>) -> Self {
        stream.remote_addr().clone()
    }
}

/// A listener whose connections can be cut.
struct Cuttable {
    listener: TcpListener,
    connections: Connections,
}

impl Listener for Cuttable {
    type Io = CuttableStream;
    type Addr = Connection;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, _) = Listener::accept(&mut self.listener).await;
        let _ = stream.set_nodelay(true); // small answers are not to wait for a timer
        let wire = Arc::new(Wire::default());
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|other| other.strong_count() > 0);
        connections.push(Arc::downgrade(&wire));
        (CuttableStream { stream, wire: Arc::clone(&wire) }, Connection(wire))
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(Connection(Arc::default()))
    }
}

struct CuttableStream {
    stream: TcpStream,
    wire: Arc<Wire>,
}

impl AsyncRead for CuttableStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.wire.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.wire.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.check(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
