//! From a socket to a connection whose requests may be read: it is counted, and whoever is behind it is known.
//!
//! A connection that is turned away here gets no byte: nothing was said on it yet that an answer could be to.

use super::arrival::{Arrival, NOWHERE, Secured};
use super::connections::{Connections, Open, Refused};
use super::proxy_header::{self, Verdict};
use crate::tls::ServerTls;
use bytes::BytesMut;
use http::HeaderValue;
use pingora_core::listeners::tls::Acceptor;
use pingora_core::protocols::l4::stream::Stream as Socket;
use pingora_core::protocols::{ALPN, GetSocketDigest, SocketDigest, Ssl, Stream};
use pingora_timeout::fast_timeout::fast_timeout;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// What everybody passes before the first request.
pub(super) struct Door {
    pub(super) connections: Arc<Connections>,
    /// Streams of HTTP/2 that are being served, or told why not.
    pub(super) streams: Arc<Connections>,
    /// Whether every connection begins with a PROXY header.
    pub(super) proxy_protocol: bool,
    pub(super) tls: Option<Handshake>,
    /// For the PROXY header and the TLS handshake together.
    pub(super) handshake_timeout: Duration,
}

/// How the listener shakes hands.
pub(super) struct Handshake {
    acceptor: Acceptor,
    hsts: Option<HeaderValue>,
}

impl From<ServerTls> for Handshake {
    fn from(tls: ServerTls) -> Self {
        let hsts = tls.hsts.and_then(|value| HeaderValue::from_str(&value).ok());
        Self { acceptor: Acceptor::from_server_config(tls.config), hsts }
    }
}

/// A connection that came in.
pub(super) struct Entered {
    pub(super) stream: Stream,
    pub(super) arrival: Arc<Arrival>,
    /// Counts until it is dropped.
    pub(super) open: Open,
}

impl Door {
    /// Lets a connection in, or turns it away.
    pub(super) async fn enter(&self, stream: Stream) -> Option<Entered> {
        let entered = self.shown_in(stream).await;
        entered.inspect_err(|why| self.connections.count_refused(*why)).ok()
    }

    async fn shown_in(&self, stream: Stream) -> Result<Entered, Refused> {
        let mut open = self.connections.enter()?;
        if self.proxy_protocol || self.tls.is_some() {
            let shaken = fast_timeout(self.handshake_timeout, self.shake_hands(stream, &mut open)).await;
            let (stream, arrival) = shaken.unwrap_or(Err(Refused::HandshakeTimeout))?;
            return Ok(Entered { stream, arrival: Arc::new(arrival), open });
        }
        let peer = stream.get_socket_digest().map_or(NOWHERE, |digest| socket_peer(&digest));
        open.count(peer)?;
        Ok(Entered { stream, arrival: Arc::new(Arrival::new(peer, true, None)), open })
    }

    async fn shake_hands(&self, stream: Stream, open: &mut Open) -> Result<(Stream, Arrival), Refused> {
        // INVARIANT: pingora's listener hands over plain sockets: it is told of no TLS.
        let mut socket = stream.into_any().downcast::<Socket>().map_err(|_| Refused::TlsHandshake)?;
        let mut peer = socket.get_socket_digest().map_or(NOWHERE, |digest| socket_peer(&digest));
        let mut may_forward = true;
        if self.proxy_protocol {
            let named = self.behind(&mut socket, peer).await?;
            (peer, may_forward) = (named.unwrap_or(peer), named.is_some());
        }
        open.count(peer)?;
        let Some(tls) = &self.tls else { return Ok((socket, Arrival::new(peer, may_forward, None))) };
        let stream = tls.acceptor.tls_handshake(*socket).await.map_err(|_| Refused::TlsHandshake)?;
        let told = stream.get_ssl();
        let secured = Secured {
            sni: told.and_then(|told| told.server_name()).map(|name| name.to_ascii_lowercase().into()),
            client_certificate: told.and_then(|told| told.peer_certificate_der()).map(Into::into),
            http2: matches!(stream.selected_alpn_proto(), Some(ALPN::H2)),
            hsts: tls.hsts.clone(),
        };
        Ok((Box::new(stream), Arrival::new(peer, may_forward, Some(secured))))
    }

    /// Whom a load balancer speaks for; nobody where it speaks for itself, or cannot say. What it sent after its header is left to be read.
    async fn behind(&self, socket: &mut Socket, peer: IpAddr) -> Result<Option<IpAddr>, Refused> {
        if !self.connections.trusts(peer) {
            return Err(Refused::ProxyUntrusted);
        }
        let mut bytes = BytesMut::with_capacity(1024);
        loop {
            let Ok(1..) = socket.read_buf(&mut bytes).await else { return Err(Refused::ProxyHeader) };
            match proxy_header::read(&bytes) {
                Verdict::Header(length, named) => {
                    socket.rewind(bytes.get(length..).unwrap_or_default());
                    return Ok(named);
                }
                Verdict::Partial => {}
                Verdict::Refused => return Err(Refused::ProxyHeader),
            }
        }
    }
}

/// The socket's peer, canonical.
fn socket_peer(digest: &SocketDigest) -> IpAddr {
    digest.peer_addr().and_then(|address| address.as_inet()).map_or(NOWHERE, |address| address.ip().to_canonical())
}
