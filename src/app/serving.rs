//! Serving HTTP beside the edge: the control API, probes, the sample API.
//!
//! axum's own server waits for a request's head for as long as the caller likes; these callers have a deadline.

use super::handover::{Doors, Stage};
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// A request's head has this long to arrive, and a connection without requests as long until it is closed.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long to wait where no connection can be taken, for want of file descriptors most likely.
const PAUSE: Duration = Duration::from_secs(1);
/// What is on its way on a connection that is kept is still answered, once another process has the new ones.
const IDLE_GRACE: Duration = Duration::from_secs(1);

/// Serves a router on a bound socket, on the current runtime, until the stage's doors close.
pub(super) fn serve_http(listener: TcpListener, router: axum::Router, stage: &Arc<Stage>) -> anyhow::Result<()> {
    serve_within(HEAD_TIME, listener, router, Arc::clone(stage))
}

fn serve_within(
    head_time: Duration,
    listener: TcpListener,
    router: axum::Router,
    stage: Arc<Stage>,
) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::spawn(async move {
        let mut doors = stage.doors();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = doors.wait_for(|doors| *doors != Doors::Open) => return,
            };
            match accepted {
                Ok((stream, address)) => {
                    tokio::spawn(converse(head_time, stream, address, router.clone(), Arc::clone(&stage)));
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be taken; it is tried again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    });
    Ok(())
}

/// Whether the connection was gone before it was taken.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Answers the requests of one connection, one after the other.
async fn converse(
    head_time: Duration,
    stream: TcpStream,
    address: SocketAddr,
    router: axum::Router,
    stage: Arc<Stage>,
) {
    let _counted = stage.connection();
    let mut doors = stage.doors();
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(address));
        let (answer, stage) = (router.call(request), Arc::clone(&stage));
        async move {
            let mut answer = answer.await?;
            if stage.is_released() {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(head_time);
    let mut serving = std::pin::pin!(server.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = closing(&mut doors) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

/// When a connection without a request is closed.
async fn closing(doors: &mut watch::Receiver<Doors>) {
    // Nobody closes them any more where nobody is left.
    let _ = doors.wait_for(|doors| *doors != Doors::Open).await;
    tokio::select! {
        () = tokio::time::sleep(IDLE_GRACE) => {}
        _ = doors.wait_for(|doors| *doors == Doors::Ending) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn serving(head_time: Duration) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shown = |ConnectInfo(address): ConnectInfo<SocketAddr>| async move { address.ip().to_string() };
        serve_within(head_time, listener, axum::Router::new().route("/", get(shown)), Arc::default()).unwrap();
        TcpStream::connect(address).await.unwrap()
    }

    #[tokio::test]
    async fn a_head_has_a_deadline() {
        for (sent, answers) in
            [("", false), ("GET / HTTP/1.1\r\nhost: x\r\n", false), ("GET / HTTP/1.1\r\nhost: x\r\n\r\n", true)]
        {
            let mut caller = serving(Duration::from_millis(200)).await;
            caller.write_all(sent.as_bytes()).await.unwrap();
            let mut answer = String::new();
            // It ends because the other side closes it.
            let _ = caller.read_to_string(&mut answer).await;
            assert_eq!(answer.starts_with("HTTP/1.1 200 "), answers, "{sent:?}: {answer}");
            assert_eq!(answer.ends_with("\r\n\r\n127.0.0.1"), answers, "{sent:?}: {answer}");
        }
    }

    #[tokio::test]
    async fn within_the_deadline_a_head_may_come_in_pieces() {
        let mut caller = serving(Duration::from_secs(60)).await;
        for piece in ["GET / HT", "TP/1.1\r\nho", "st: x\r\nconnection: close\r\n", "\r\n"] {
            caller.write_all(piece.as_bytes()).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut answer = String::new();
        caller.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}
