//! How much body a request may have, and how slowly it may come.

use crate::access::Denial;
use crate::config::BODY_GRACE;
use crate::config::BodyLimits;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use pingora_core::{Error, ErrorType};
use std::time::{Duration, Instant};

/// What pingora is told where a body grew too large; [`failure`] knows it again.
const TOO_LARGE: &str = "the body is too large";

/// A request's body while it arrives.
#[derive(Debug)]
pub(super) struct Body {
    began: Instant,
    most: Option<u64>,
    idle: Duration,
    /// `None` for streams.
    rate: Option<u64>,
}

impl Body {
    /// A body that is about to arrive. `own` is what its environment takes; the smaller limit counts. One that announces
    /// more is refused at once. `stream_idle` is the patience with calls of gRPC, where there may be any.
    pub(super) fn expect(
        headers: &HeaderMap,
        limits: &BodyLimits,
        own: Option<u64>,
        stream_idle: Option<Duration>,
    ) -> Result<Self, Denial> {
        let most = limits.body_bytes.into_iter().chain(own).min();
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if most.zip(announced).is_some_and(|(most, announced)| announced > most) {
            return Err(Denial::BodyTooLarge);
        }
        // A stream of calls may well be silent for long; it has the patience that upgraded connections have.
        let stream_idle = stream_idle.filter(|_| headers.get(CONTENT_TYPE).is_some_and(is_grpc));
        let (idle, rate) = stream_idle.map_or((limits.body_idle_timeout, limits.body_rate), |idle| (idle, None));
        Ok(Self { began: Instant::now(), most, idle, rate })
    }

    /// It is waited for from now on.
    pub(super) fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// Whether a body of so many bytes may be, however long it took.
    pub(super) fn ended(&self, received: u64) -> Result<(), Box<Error>> {
        if self.most.is_some_and(|most| received > most) {
            return Err(Error::explain(ErrorType::Custom(TOO_LARGE), "").into_down());
        }
        Ok(())
    }

    /// How long the next bytes may take, given what has arrived in all.
    pub(super) fn patience(&self, received: u64, now: Instant) -> Result<Duration, Box<Error>> {
        self.ended(received)?;
        let Some(rate) = self.rate else { return Ok(self.idle) };
        let earned = Duration::from_millis(received.saturating_mul(1000) / rate.max(1));
        let due = BODY_GRACE.saturating_add(earned);
        let left = due.saturating_sub(now.saturating_duration_since(self.began));
        if left.is_zero() {
            return Err(Error::explain(ErrorType::ReadTimedout, "the body is too slow").into_down());
        }
        Ok(left.min(self.idle))
    }
}

/// `application/grpc`, `application/grpc+proto`.
fn is_grpc(kind: &HeaderValue) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let kind = kind.as_bytes().split_at_checked(GRPC.len());
    kind.is_some_and(|(start, rest)| {
        start.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
    })
}

/// The refusal behind an error that [`Body::patience`] made.
pub(super) fn failure(kind: &ErrorType) -> Option<Denial> {
    matches!(kind, ErrorType::Custom(TOO_LARGE)).then_some(Denial::BodyTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    fn body(lines: &[(&'static str, &'static str)], limits: BodyLimits, own: Option<u64>) -> Result<Body, Denial> {
        Body::expect(&headers(lines), &limits, own, Some(Duration::from_secs(3600)))
    }

    #[test]
    fn the_smaller_limit_counts_at_it_and_one_past() {
        for (node, own) in [(Some(10), None), (None, Some(10)), (Some(10), Some(20)), (Some(20), Some(10))] {
            let limits = BodyLimits { body_bytes: node, ..BodyLimits::default() };
            assert!(body(&[("content-length", "10")], limits, own).is_ok());
            assert_eq!(body(&[("content-length", "11")], limits, own).unwrap_err(), Denial::BodyTooLarge);
            let chunked = body(&[("transfer-encoding", "chunked")], limits, own).unwrap();
            assert!(chunked.patience(10, chunked.began).is_ok());
            let error = chunked.patience(11, chunked.began).unwrap_err();
            assert_eq!(failure(error.etype()), Some(Denial::BodyTooLarge));
        }
        let any = body(&[("content-length", "999999999999999999")], BodyLimits::default(), None).unwrap();
        assert!(any.patience(u64::MAX, any.began).is_ok());
    }

    #[test]
    fn silence_and_dripping_have_an_end() {
        let limits = BodyLimits { body_rate: Some(100), ..BodyLimits::default() };
        let slow = body(&[], limits, None).unwrap();
        let at = |received, seconds: u64| {
            let left = slow.patience(received, slow.began + Duration::from_secs(seconds));
            left.map(|left| left.as_secs()).map_err(|error| error.etype().clone())
        };
        assert_eq!(at(0, 0), Ok(10));
        assert_eq!(at(0, 9), Ok(1));
        assert_eq!(at(0, 10), Err(ErrorType::ReadTimedout));
        // 500 bytes are worth five seconds.
        assert_eq!(at(500, 14), Ok(1));
        assert_eq!(at(500, 15), Err(ErrorType::ReadTimedout));
        // What comes quickly may pause as long as any.
        assert_eq!(at(1_000_000, 20), Ok(30));
        let kind = [("content-type", "Application/gRPC+proto")];
        let stream = body(&kind, limits, None).unwrap();
        assert_eq!(stream.patience(1, stream.began + Duration::from_secs(5000)).unwrap().as_secs(), 3600);
        for (kind, patience) in [("application/grpcooo", Some(3600)), ("application/grpc", None)] {
            let kind = headers(&[("content-type", kind)]);
            let slow = Body::expect(&kind, &limits, None, patience.map(Duration::from_secs)).unwrap();
            assert!(slow.patience(1, slow.began + Duration::from_secs(5000)).is_err(), "{kind:?}");
        }
    }
}
