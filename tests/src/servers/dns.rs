//! A DNS client that hides nothing: one question to one server, and what came back.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_net::client::{Client, ClientHandle};
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::tcp::TcpClientStream;
use hickory_net::udp::UdpClientStream;
use hickory_net::xfer::DnsMultiplexer;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

const TIMEOUT: Duration = Duration::from_secs(5);

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `NoError`, `NXDomain`, `ServFail`, …
    pub rcode: ResponseCode,
    /// The answer section in the order of the server; of the TCP answer where the UDP one was truncated.
    pub answers: Vec<Record>,
    /// The authority section.
    pub authority: Vec<Record>,
    /// The UDP answer was truncated, so the rest of this value is from TCP.
    pub truncated: bool,
    /// The server is an authority for the name.
    pub authoritative: bool,
}

impl Answer {
    /// A and AAAA addresses of the answer section, sorted as text.
    pub fn addresses(&self) -> Vec<String> {
        self.data(|data| match data {
            RData::A(address) => Some(address.to_string()),
            RData::AAAA(address) => Some(address.to_string()),
            _ => None,
        })
    }

    /// CNAME targets of the answer section with a final dot, sorted.
    pub fn targets(&self) -> Vec<String> {
        self.data(|data| match data {
            RData::CNAME(target) => Some(target.0.to_ascii().to_lowercase()),
            _ => None,
        })
    }

    fn data(&self, pick: impl Fn(&RData) -> Option<String>) -> Vec<String> {
        let mut texts: Vec<_> = self.answers.iter().filter_map(|record| pick(&record.data)).collect();
        texts.sort();
        texts
    }

    fn new(message: &Message, truncated: bool) -> Self {
        Self {
            rcode: message.metadata.response_code,
            answers: message.answers.clone(),
            authority: message.authorities.clone(),
            truncated,
            authoritative: message.metadata.authoritative,
        }
    }
}

/// Asks `server` over UDP, and again over TCP when that answer is truncated. `rr_type` is a mnemonic such as `AAAA`.
///
/// # Panics
/// When the name or type is none, or the server does not answer: the test fails.
pub async fn query(server: SocketAddr, name: &str, rr_type: &str) -> Answer {
    try_query(server, name, rr_type).await.unwrap_or_else(|error| panic!("{error}"))
}

/// As [`query`], for a server that may be away: why there is no answer.
///
/// # Errors
/// When the server does not answer.
///
/// # Panics
/// When the name or type is none.
pub async fn try_query(server: SocketAddr, name: &str, rr_type: &str) -> Result<Answer, String> {
    let question = Name::from_ascii(name).unwrap_or_else(|error| panic!("`{name}` is not a name: {error}"));
    let rr_type: RecordType = rr_type.parse().unwrap_or_else(|error| panic!("`{rr_type}` is not a type: {error}"));

    let runtime = TokioRuntimeProvider::new();
    let udp = UdpClientStream::builder(server, runtime.clone()).with_timeout(Some(TIMEOUT)).build();
    let over_udp = ask(Client::from_sender(udp), &question, rr_type).await?;
    if !over_udp.metadata.truncation {
        return Ok(Answer::new(&over_udp, false));
    }
    let (connect, sender) = TcpClientStream::new(server, None, Some(TIMEOUT), runtime);
    let stream = connect.await.map_err(|error| format!("{server} does not listen on TCP: {error}"))?;
    let tcp = DnsMultiplexer::new(stream, sender).with_timeout(TIMEOUT);
    Ok(Answer::new(&ask(Client::from_sender(tcp), &question, rr_type).await?, true))
}

async fn ask<B: Future<Output = R> + Send + 'static, R: Send + 'static>(
    (mut client, background): (Client<TokioRuntimeProvider>, B),
    name: &Name,
    rr_type: RecordType,
) -> Result<Message, String> {
    let background = tokio::spawn(background);
    let answer = client.query(name.clone(), DNSClass::IN, rr_type).await;
    background.abort();
    let answer = answer.map_err(|error| format!("asking for {name} {rr_type}: {error}"))?;
    Ok(answer.into_message())
}
