//! The peer that Portcullis is measured against: a plain pingora proxy without any check.
//!
//! One upstream, pingora's own keep-alive pools, one worker thread, and the allocator that `portcullis` itself uses,
//! so that what is left between the two is what our checks cost.
//!
//! Usage: `bare_pingora LISTEN UPSTREAM`, both `address:port`.

use anyhow::Context;
use async_trait::async_trait;
use pingora::prelude::{HttpPeer, ProxyHttp, Result, Server, Session, http_proxy_service};
use pingora::server::configuration::ServerConf;
use std::net::SocketAddr;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

struct Bare {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut Self::CTX) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let listen: SocketAddr = arguments.next().context("usage: bare_pingora LISTEN UPSTREAM")?.parse()?;
    let upstream: SocketAddr = arguments.next().context("usage: bare_pingora LISTEN UPSTREAM")?.parse()?;

    let conf = ServerConf {
        threads: 1,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Bare { upstream });
    service.add_tcp(&listen.to_string());
    server.add_service(service);
    server.run_forever()
}
