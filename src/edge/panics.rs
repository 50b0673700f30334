//! A panic ends the request that it happened in, and nothing else.

use pingora_core::{Error, ErrorType, Result};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Runs a hook; one that panics is an internal error. What it has touched belongs to its request alone.
pub(super) async fn caught<T>(hook: impl Future<Output = Result<T>>) -> Result<T> {
    let mut hook = pin!(hook);
    poll_fn(|context| {
        let poll = catch_unwind(AssertUnwindSafe(|| hook.as_mut().poll(context)));
        poll.unwrap_or_else(|_| Poll::Ready(Err(Error::explain(ErrorType::InternalError, "a hook panicked").into_in())))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn before_and_after_waiting() {
        async fn hook(waits: bool, panics: bool) -> Result<u8> {
            if waits {
                tokio::task::yield_now().await;
            }
            assert!(!panics, "on demand");
            Ok(7)
        }
        for waits in [false, true] {
            assert_eq!(caught(hook(waits, false)).await.unwrap(), 7);
            assert_eq!(*caught(hook(waits, true)).await.unwrap_err().etype(), ErrorType::InternalError);
        }
    }
}
