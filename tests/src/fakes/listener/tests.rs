//! The listener with a host that echoes.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::faults::{Fault, Gate, Rate};
use super::*;

/// Answers with what came; counts its work.
#[derive(Default)]
struct Echo(Mutex<u32>);

impl Host for Echo {
    fn operation(&self, request: &Request) -> String {
        request.segments().swap_remove(0)
    }

    fn answer(&self, request: &Request) -> Answer {
        *self.0.lock().expect("no test panics here") += 1;
        Answer::new(200, format!("{:?} {:?} {}", request.segments(), request.query, request.text()))
    }

    fn throttled(&self, _: &Request, wait: Duration) -> Answer {
        Answer::new(429, "slowly").with_header("retry-after", &wait.as_secs().to_string())
    }
}

async fn start() -> (Server, Arc<Echo>) {
    let host = Arc::new(Echo::default());
    (Server::start(Arc::clone(&host) as Arc<dyn Host>).await, host)
}

fn work(host: &Echo) -> u32 {
    *host.0.lock().expect("no test panics here")
}

/// All that comes back on a connection of its own.
async fn ask(server: &Server, path: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.expect("the fake listens");
    let request = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 4\r\n\r\nbody");
    stream.write_all(request.as_bytes()).await.expect("the fake reads");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await; // a reset is an end too
    String::from_utf8(answer).expect("text")
}

#[tokio::test]
async fn a_request_comes_whole_and_is_logged() {
    let (server, _) = start().await;
    let answer = ask(&server, "/a%20b/c?d=%2F&d=2").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.ends_with(r#"["a b", "c"] [("d", "/"), ("d", "2")] body"#), "{answer}");
    let calls = server.control().calls();
    assert_eq!((calls.len(), &*calls[0].operation, calls[0].status), (1, "a b", Some(200)));
    assert_eq!(server.control().counts(), BTreeMap::from([("a b".to_owned(), 1)]));
}

#[tokio::test]
async fn a_lost_request_does_no_work_and_a_lost_answer_does() {
    let (server, host) = start().await;
    server.control().add(Fault::lose_request().on("x").after(1));
    server.control().add(Fault::lose_answer().on("y").times(2));
    assert!(ask(&server, "/x").await.contains("200 OK"));
    assert_eq!((ask(&server, "/x").await, work(&host)), (String::new(), 1));
    assert_eq!((ask(&server, "/y").await, work(&host)), (String::new(), 2));
    assert_eq!((ask(&server, "/y").await, work(&host)), (String::new(), 3));
    assert!(ask(&server, "/y").await.contains("200 OK"));
    let done: Vec<_> = server.control().calls().into_iter().map(|call| (call.done, call.status)).collect();
    assert_eq!(done, [(true, Some(200)), (false, None), (true, None), (true, None), (true, Some(200))]);
}

#[tokio::test]
async fn half_an_answer_promises_the_whole() {
    let (server, host) = start().await;
    server.control().add(Fault::half_answer());
    let answer = ask(&server, "/half").await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let promised = format!("content-length: {}", 2 * body.len());
    assert!(head.to_lowercase().contains(&promised) && !body.is_empty(), "{answer}");
    assert_eq!(work(&host), 1);
}

#[tokio::test]
async fn gates_hold_before_and_after_the_work() {
    let (server, host) = start().await;
    let (before, after) = (Gate::new(), Gate::new());
    server.control().add(Fault::hold(&before));
    server.control().add(Fault::hold_answer(&after));
    let test = async {
        before.arrived(1).await;
        assert_eq!(work(&host), 0);
        before.release();
        after.arrived(1).await;
        assert_eq!(work(&host), 1);
        assert_eq!(server.control().calls()[0].status, None);
        after.release();
    };
    let (answer, ()) = futures::join!(ask(&server, "/x"), test);
    assert!(answer.contains("200 OK"));
}

#[tokio::test]
async fn what_exceeds_the_rate_is_refused() {
    let (server, host) = start().await;
    server.control().limit(Some("x"), Rate::new(0.000_001, 2));
    for _ in 0..2 {
        assert!(ask(&server, "/x").await.contains("200 OK"));
    }
    let refused = ask(&server, "/x").await;
    assert!(refused.contains("429") && refused.contains("retry-after: "), "{refused}");
    assert!(ask(&server, "/y").await.contains("200 OK"));
    assert_eq!(work(&host), 3);
}

#[tokio::test]
async fn a_dropped_server_ends_its_connections() {
    let (server, _) = start().await;
    let mut idle = TcpStream::connect(server.address).await.expect("the fake listens");
    idle.write_all(b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.expect("the fake reads");
    let mut byte = [0];
    idle.read_exact(&mut byte).await.expect("an answer"); // so the connection is served
    drop(server);
    let _ = idle.read_to_end(&mut Vec::new()).await; // ends, or this test does not
}
