//! Health checks: each address is asked now and then, on the node's own runtime, beside the requests.

use super::Upstreams;
use super::pool::{Address, Pool};
use crate::model::{HealthCheck, UpstreamProtocol};
use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use http::{Uri, Version};
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::{ErrorType, OrErr, Result};
use pingora_http::RequestHeader;
use std::sync::Arc;
use std::time::Duration;

/// So many addresses are asked at once.
pub(super) const AT_ONCE: usize = 64;
/// So many of one definition.
pub(super) const AT_ONCE_OF_ONE: usize = 8;

impl Upstreams {
    /// Starts the checks that are due. What they come to is known when they have ended.
    pub fn check_due(self: &Arc<Self>) {
        let pools = self.pools.pin();
        for pool in pools.values() {
            let Some(check) = &pool.upstream.health else { continue };
            let round = self.next_turn();
            // Addresses that were learned at once are not asked at once for ever.
            let spread = |socket| 90 + u32::try_from(self.hashing.hash_one((round, socket)) % 21).unwrap_or(10);
            for address in pool.due(check.interval, spread) {
                let (upstreams, pool) = (Arc::clone(self), Arc::clone(pool));
                tokio::spawn(async move { upstreams.check(&pool, address.address()).await });
            }
        }
    }

    async fn check(&self, pool: &Pool, address: &Address) {
        let Some(check) = &pool.upstream.health else { return };
        // First a turn among its own: addresses that hang keep nobody else's from being asked.
        let Ok(_turn_of_pool) = pool.checking.acquire().await else { return };
        let Ok(_turn) = self.checking.acquire().await else { return };
        let connector = self.connector.get_or_init(|| async { Connector::new(None) }).await;
        let asked = tokio::time::timeout(check.timeout, ask(connector, pool, address, check)).await;
        let is_well = match asked {
            Ok(Ok(status)) => check.status.contains(&status),
            Ok(Err(error)) => {
                tracing::debug!(upstream = %address.url(), error = error.etype().as_str(), "a health check failed");
                false
            }
            Err(_) => false,
        };
        pool.checked(address, is_well);
    }
}

/// The status of the answer.
async fn ask(connector: &Connector, pool: &Pool, address: &Address, check: &HealthCheck) -> Result<u16> {
    let peer = address.peer();
    let (mut session, _) = connector.get_http_session(peer).await?;
    let is_h2 = matches!(session, HttpSession::H2(_)) && pool.upstream.protocol != UpstreamProtocol::Http1;
    session.set_read_timeout(Some(check.timeout));
    session.write_request_header(Box::new(question(address, check, is_h2)?)).await?;
    session.finish_request_body().await?;
    session.read_response_header().await?;
    let status = session.response_header().map_or(0, |answer| answer.status.as_u16());
    if is_h2 {
        // Its connection counts its streams, and forgets those alone that are given back.
        connector.release_http_session(session, peer, Some(Duration::from_millis(1))).await;
    } else {
        session.shutdown().await;
    }
    Ok(status)
}

fn question(address: &Address, check: &HealthCheck, is_h2: bool) -> Result<RequestHeader> {
    let authority = address.url().authority();
    let mut head = RequestHeader::build("GET", check.path.as_bytes(), Some(4))?;
    if is_h2 {
        let scheme = if address.url().tls() { "https" } else { "http" };
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(check.path.as_str()).build();
        head.set_version(Version::HTTP_2);
        head.set_uri(uri.or_err(ErrorType::InternalError, "the check's URL")?);
    } else {
        head.insert_header(HOST, authority)?;
        head.insert_header(CONNECTION, "close")?;
    }
    head.insert_header(USER_AGENT, "portcullis-health-check")?;
    head.insert_header(ACCEPT, "*/*")?;
    Ok(head)
}
