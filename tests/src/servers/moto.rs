//! moto on loopback: an emulator of AWS in Python, used for its Route 53.
//!
//! It knows less than the real service: the strict fake ([`crate::fakes::route53`]) refuses what moto lets through.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;

use super::Program;
use super::process::{Process, start_on_free_ports};

/// moto's server. Not looked for on `PATH`: any version may be there.
pub const MOTO: Program = Program { variable: "MOTO_BIN", file: "moto-5.2.5", on_path: None };

/// What it prints when it listens.
const READY: [&str; 1] = ["Running on http"];

/// A running moto with one empty account; killed when dropped.
#[derive(Debug)]
pub struct Moto {
    port: u16,
    process: Process,
    _folder: TempDir,
}

impl Moto {
    /// Starts a moto, which takes a second or two.
    ///
    /// # Panics
    /// When there is no program ([`Program::find`]) or it does not start: the test fails.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let start = |[port]: [u16; 1]| {
            let mut command = Command::new(MOTO.find());
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).env("PYTHONUNBUFFERED", "1");
            Process::start(&mut command, &folder.path().join("log"))
        };
        let (process, [port]) = start_on_free_ports(start, &READY).await;
        Self { port, process, _folder: folder }
    }

    /// The moto of this test binary, which runs as long as some test holds it. Tests share its account: each makes
    /// zones of its own ([`Moto::create_zone`]), of names of its own where it looks for them by name.
    ///
    /// # Panics
    /// As [`Moto::start`].
    pub async fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Moto>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(moto) = shared.upgrade() {
            return moto;
        }
        let moto = Arc::new(Self::start().await);
        *shared = Arc::downgrade(&moto);
        moto
    }

    /// The endpoint of every service, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Empties the account.
    ///
    /// # Panics
    /// When moto does not answer 200.
    pub async fn reset(&self) {
        let answer = self.post("/moto-api/reset", "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "moto answered {answer}");
    }

    /// Creates a public hosted zone; gives its bare id.
    ///
    /// # Panics
    /// When moto does not create it.
    pub async fn create_zone(&self, apex: &str) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0); // a caller reference serves once
        let reference = NUMBER.fetch_add(1, Ordering::Relaxed);
        let body = format!(
            "<CreateHostedZoneRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><CallerReference>{reference}\
             </CallerReference><Name>{apex}</Name></CreateHostedZoneRequest>"
        );
        let answer = self.post("/2013-04-01/hostedzone", &body).await;
        let id = answer.split("<Id>/hostedzone/").nth(1).and_then(|rest| rest.split("</Id>").next());
        id.unwrap_or_else(|| panic!("moto did not create `{apex}`: {answer}")).to_owned()
    }

    /// What the process has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    async fn post(&self, path: &str, body: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.expect("moto listens");
        // moto finds the service by the scope of the signature and checks nothing else of it.
        let request = format!(
            "POST {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=test/20260101/us-east-1/route53/aws4_request, SignedHeaders=host, Signature=0\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("moto reads a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("moto answers a request");
        answer
    }
}
