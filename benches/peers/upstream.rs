//! The upstream behind every gateway of `make bench`: a fixed small 200 for each request head, over keep-alive.
//!
//! It reads heads only (the load has no bodies) and costs a few microseconds a request, so that the gateway, not the
//! upstream, is what a run waits for. One thread, raw sockets. It is no HTTP server: never put it anywhere else.
//!
//! Usage: `upstream LISTEN`, an `address:port`.

use anyhow::Context;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 30\r\n\
    \r\n\
    {\"id\":\"42\",\"from\":\"upstream\"}\n";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const MAX_HEAD: usize = 64 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let listen: SocketAddr = std::env::args().nth(1).context("usage: upstream LISTEN")?.parse()?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("binding `{listen}`"))?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A caller that goes away ends its own connection and nothing else.
            let _ = serve(stream).await;
        });
    }
}

/// Answers each request head on one connection until the caller closes it.
async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut unread = Vec::with_capacity(8 * 1024);
    while stream.read_buf(&mut unread).await? > 0 {
        while let Some(end) = memchr::memmem::find(&unread, END_OF_HEAD) {
            unread.drain(..end + END_OF_HEAD.len());
            stream.write_all(ANSWER).await?;
        }
        if unread.len() > MAX_HEAD {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
    }
    Ok(())
}
