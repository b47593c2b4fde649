//! A gate in front of an API server: TLS ends here, so each request is seen and may be answered by the gate itself.
//!
//! One request for each connection; each has a thread of its own.
//! For trouble of the connection itself there is [`dns_conformance::servers::Wire`], which goes before the gate.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use dns_conformance::servers::{KubeApi, certificates};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// What the gate does to requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// The API server answers.
    Pass,
    /// The certificate that the gate shows has expired.
    Expired,
    /// Every request is answered with this code, and where there is a number, with `Retry-After`.
    Answer(u16, Option<u64>),
    /// Requests with another token are answered with 401.
    Only(String),
    /// What was watched so far is forgotten, so everything is listed anew; with `true` all lists are empty.
    Forget(bool),
}

/// A running gate.
#[derive(Debug)]
pub(crate) struct Gate {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    manner: Mutex<Manner>,
    upstream: Mutex<Upstream>,
    /// Both ends of every connection, those included that are closed.
    open: Mutex<Vec<TcpStream>>,
    /// When requests came since the manner was set last.
    asked: Mutex<Vec<Instant>>,
    /// Paths of the watches that have been forgotten.
    forgotten: Mutex<BTreeSet<String>>,
    is_over: AtomicBool,
}

/// The API server behind the gate.
#[derive(Clone, Debug)]
struct Upstream {
    address: SocketAddr,
    trust: Arc<ClientConfig>,
}

impl Upstream {
    fn of(api: &KubeApi) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(api.certificate_authority()).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let trust = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        Self { address: api.url().strip_prefix("https://").unwrap().parse().unwrap(), trust }
    }
}

impl Gate {
    /// A gate that passes.
    pub(crate) fn to(api: &KubeApi) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            manner: Mutex::new(Manner::Pass),
            upstream: Mutex::new(Upstream::of(api)),
            open: Mutex::default(),
            asked: Mutex::default(),
            forgotten: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let serving = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), shared) = (stream, serving.clone()) else { continue };
                // A connection that breaks concerns nobody but its client.
                std::thread::spawn(move || _ = shared.serve(stream));
            }
        });
        Self { address, shared }
    }

    /// Where it is, as [`KubeApi::url`].
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The kubeconfig `direct` of an API server with `url` instead, which leads to its gate. The file `authority` is
    /// written.
    pub(crate) fn kubeconfig(direct: &str, api: &KubeApi, url: &str, authority: &Path) -> String {
        std::fs::write(authority, certificates::AUTHORITY).unwrap();
        let (was, is) = (api.certificate_authority(), authority);
        direct.replace(&api.url(), url).replace(&was.display().to_string(), &is.display().to_string())
    }

    /// From now on it does this; what is being watched ends, so that the daemon asks again.
    pub(crate) fn set(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
        self.shared.asked.lock().unwrap().clear();
        self.shared.forgotten.lock().unwrap().clear();
        self.cut();
    }

    /// From now on another API server is behind it.
    pub(crate) fn lead_to(&self, api: &KubeApi) {
        *self.shared.upstream.lock().unwrap() = Upstream::of(api);
        self.cut();
    }

    /// When requests came since the manner was set.
    pub(crate) fn asked(&self) -> Vec<Instant> {
        self.shared.asked.lock().unwrap().clone()
    }

    fn cut(&self) {
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both); // fails where it is closed already
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.cut();
        let _ = TcpStream::connect(self.address); // wakes whoever waits for the next connection
    }
}

//----------- Request -------------------------------------------------

type Client = StreamOwned<ServerConnection, TcpStream>;

/// As it came.
struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    fn read(client: &mut Client) -> io::Result<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            client.read_exact(&mut octet)?;
            head.push(octet[0]);
        }
        let mut request = Self { head: String::from_utf8(head).map_err(io::Error::other)?, body: Vec::new() };
        let length = request.header("content-length").map_or(Ok(0), str::parse).map_err(io::Error::other)?;
        request.body.resize(length, 0);
        client.read_exact(&mut request.body)?;
        Ok(request)
    }

    fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    fn is_watch(&self) -> bool {
        self.target().contains("watch=")
    }

    /// Of many objects, not of one.
    fn is_list(&self) -> bool {
        !self.is_watch() && self.target().contains('?')
    }

    fn has_token(&self, token: &str) -> bool {
        self.header("authorization") == Some(&*format!("Bearer {token}"))
    }

    fn header(&self, wanted: &str) -> Option<&str> {
        let mut headers = self.headers().filter_map(|line| line.split_once(": "));
        headers.find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then_some(value))
    }

    fn headers(&self) -> impl Iterator<Item = &str> {
        self.head.lines().skip(1).filter(|line| !line.is_empty())
    }

    /// The same in this version of HTTP, for a connection of its own, and without compression.
    fn forward(&self, version: &str) -> Vec<u8> {
        let mut head = format!("{} {} {version}\r\nConnection: close\r\n", self.method(), self.target());
        for line in self.headers() {
            let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
            if name != "connection" && name != "accept-encoding" {
                head += line;
                head += "\r\n";
            }
        }
        [(head + "\r\n").as_bytes(), &self.body].concat()
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        self.open.lock().unwrap().push(stream.try_clone()?);
        let has_expired = *self.manner.lock().unwrap() == Manner::Expired;
        let certificate = if has_expired { certificates::SERVER_EXPIRED } else { certificates::SERVER };
        let connection = ServerConnection::new(identity(certificate)).map_err(io::Error::other)?;
        let mut client = StreamOwned::new(connection, stream);
        let request = Request::read(&mut client)?;
        self.asked.lock().unwrap().push(Instant::now());
        let manner = self.manner.lock().unwrap().clone();
        match manner {
            Manner::Answer(code, wait) => answer(&mut client, code, wait),
            Manner::Only(token) if !request.has_token(&token) => answer(&mut client, 401, None),
            Manner::Forget(_) if request.is_watch() && self.forgotten.lock().unwrap().insert(request.path().into()) => {
                answer(&mut client, 410, None)
            }
            Manner::Forget(true) if request.is_list() => self.empty(&mut client, &request),
            _ => self.pass(&mut client, &request),
        }
    }

    fn pass(&self, client: &mut Client, request: &Request) -> io::Result<()> {
        let mut upstream = self.ask(request, "HTTP/1.1")?;
        let mut octets = [0; 16 * 1024];
        loop {
            match upstream.read(&mut octets) {
                Ok(0) => break,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
                length => client.write_all(&octets[..length?])?,
            }
            client.flush()?;
        }
        end(client)
    }

    /// The list as the API server has it, without its objects.
    fn empty(&self, client: &mut Client, request: &Request) -> io::Result<()> {
        // In this version an answer has its length or ends with the connection: it comes in one piece.
        let mut upstream = self.ask(request, "HTTP/1.0")?;
        let mut text = Vec::new();
        match upstream.read_to_end(&mut text) {
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => return Err(error),
            _ => {}
        }
        let text = String::from_utf8(text).map_err(io::Error::other)?;
        let (_, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        let mut list: Value = serde_json::from_str(body)?;
        list["items"] = json!([]);
        if let Some(metadata) = list["metadata"].as_object_mut() {
            metadata.retain(|key, _| key == "resourceVersion");
        }
        send(client, "200 OK", "", &list.to_string())
    }

    fn ask(&self, request: &Request, version: &str) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let Upstream { address, trust } = self.upstream.lock().unwrap().clone();
        let stream = TcpStream::connect(address)?;
        self.open.lock().unwrap().push(stream.try_clone()?);
        let name = ServerName::from(address.ip());
        let connection = ClientConnection::new(trust, name).map_err(io::Error::other)?;
        let mut upstream = StreamOwned::new(connection, stream);
        upstream.write_all(&request.forward(version))?;
        upstream.flush()?;
        Ok(upstream)
    }
}

//----------- Answer --------------------------------------------------

/// Who the gate says that it is.
fn identity(certificate: &str) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(certificates::SERVER_KEY.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    Arc::new(config.with_single_cert(vec![certificate], key).unwrap())
}

/// As API servers refuse: 429 comes as plain text with its time in a header, anything else as a `Status`.
fn answer(client: &mut Client, code: u16, wait: Option<u64>) -> io::Result<()> {
    let wait = wait.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
    let (reason, message) = match code {
        401 => ("Unauthorized", "Unauthorized"),
        403 => ("Forbidden", "it is forbidden"),
        410 => ("Expired", "too old resource version"),
        429 => return send(client, "429 Too Many Requests", &wait, "Too many requests, please try again later.\n"),
        _ => ("InternalError", "an internal error"),
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code,
    });
    send(client, &format!("{code} {reason}"), &wait, &status.to_string())
}

fn send(client: &mut Client, status: &str, more: &str, body: &str) -> io::Result<()> {
    let kind = if body.starts_with('{') { "application/json" } else { "text/plain; charset=utf-8" };
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
    client.write_all(format!("{head}{more}Connection: close\r\n\r\n{body}").as_bytes())?;
    end(client)
}

fn end(client: &mut Client) -> io::Result<()> {
    client.conn.send_close_notify();
    client.flush()?;
    client.sock.shutdown(Shutdown::Write)
}
