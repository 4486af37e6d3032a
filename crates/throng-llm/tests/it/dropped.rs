//! Streams that are dropped leave nothing behind.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use throng_llm::{
    Cache, CacheStore, CallContext, LlmClient, Metered, PriceTable, RateState, RateWatch, Recorder, Request,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

use crate::support::{cases, delta, sse};

/// A server that begins to answer and then waits until the client has gone. Tells of each connection's end.
async fn server() -> (std::net::SocketAddr, mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (tell, closed) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                let mut answered = false;
                while let Ok(1..) = socket.read(&mut buffer).await {
                    if !answered {
                        answered = true;
                        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
                        let _ = socket
                            .write_all(format!("{head}{}", sse(&[&delta("x")])).as_bytes())
                            .await;
                    }
                }
                let _ = tell.send(());
            });
        }
    });
    (addr, closed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_dropped_streams_leak_nothing() {
    let calls = cases(10_000) as usize;
    let dir = tempfile::tempdir().unwrap();
    let (addr, mut closed) = server().await;
    let recorder = Recorder::create(dir.path()).unwrap();
    let http = throng_llm::HttpClient::builder(throng_llm::Wire::OpenAiChat)
        .base_url(format!("http://{addr}/v1"))
        .record(recorder.clone())
        .build()
        .unwrap();
    let store = CacheStore::in_memory(NonZeroUsize::new(10).unwrap(), 1 << 20);
    let metered = Metered::new(RateWatch::new(http, RateState::new()), PriceTable::builtin());
    let spending = metered.spending();
    let client = Cache::new(metered, store.clone());
    let metrics = tokio::runtime::Handle::current().metrics();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let before = metrics.num_alive_tasks();

    let at_once = Arc::new(Semaphore::new(64));
    let mut tasks = tokio::task::JoinSet::new();
    for idx in 0..calls {
        let permit = Arc::clone(&at_once).acquire_owned().await.unwrap();
        let client = client.clone();
        tasks.spawn(async move {
            let request = Arc::new(Request::new("m1").user(idx.to_string()));
            let mut events = client.call(request, CallContext::new()).await.unwrap();
            if idx % 2 == 0 {
                events.next().await.unwrap().unwrap();
            }
            drop(events);
            drop(permit);
        });
        while let Some(done) = tasks.try_join_next() {
            done.unwrap();
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    for idx in 0..calls {
        let end = tokio::time::timeout(Duration::from_secs(20), closed.recv()).await;
        assert!(end.is_ok(), "connection {idx} stays open");
    }
    let back = async {
        while metrics.num_alive_tasks() > before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let back = tokio::time::timeout(Duration::from_secs(20), back).await;
    assert!(
        back.is_ok(),
        "{} tasks stay, {before} were there",
        metrics.num_alive_tasks()
    );
    recorder.flush().await.unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        files += 1;
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(text.contains(r#""how": "dropped""#), "{text}");
    }
    assert_eq!(files, calls, "each was recorded as dropped");
    assert_eq!(
        (spending.total().calls, spending.total().unreported),
        (calls as u64, calls as u64)
    );
    assert_eq!(store.hits(), 0);
}
