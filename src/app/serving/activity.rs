//! Whether something goes on within a connection: what has stood still for long is closed.

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// What goes on within one connection.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Requests whose answers are being worked out.
    running: usize,
    /// The last time that one came, was answered, or gave a piece of its answer away.
    last: Instant,
    /// Whether there was any.
    any: bool,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { running: 0, last: Instant::now(), any: false })))
    }

    /// A request came: something goes on until what is returned is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Running {
        let mut state = self.0.lock();
        (state.running, state.any, state.last) = (state.running + 1, true, Instant::now());
        Running(Arc::clone(self))
    }

    fn touch(&self) {
        self.0.lock().last = Instant::now();
    }

    /// Ends once nothing has gone on for so long: `first` until there is a request, `later` from then on.
    pub(super) async fn stood_still(&self, first: Duration, later: Duration) {
        loop {
            let until = {
                let state = self.0.lock();
                let patience = if state.any { later } else { first };
                if state.running > 0 { Instant::now() + patience } else { state.last + patience }
            };
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// A request whose answer is being worked out.
pub(super) struct Running(Arc<Activity>);

impl Running {
    /// The answer is there; its body is watched from here on.
    pub(super) fn answer(self, body: Body) -> Body {
        Body::new(Answer { body, activity: Arc::clone(&self.0) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        (state.running, state.last) = (state.running.saturating_sub(1), Instant::now());
    }
}

/// The body of an answer. Whoever does not take it holds nothing up but themselves.
struct Answer {
    body: Body,
    activity: Arc<Activity>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_ready() {
            self.activity.touch();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(50);
    const LATER: Duration = Duration::from_millis(400);
    const STEP: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn a_connection_without_a_request_stands_still_soon() {
        let began = Instant::now();
        Activity::new().stood_still(FIRST, Duration::from_secs(60)).await;
        assert!(began.elapsed() >= FIRST);
    }

    #[tokio::test]
    async fn it_stands_still_after_its_last_answer_and_never_during_one() {
        let activity = Activity::new();
        let began = Instant::now();
        let running = activity.begin();
        let working = async {
            tokio::time::sleep(LATER * 2).await;
            drop(running);
        };
        tokio::join!(activity.stood_still(FIRST, LATER), working);
        assert!(began.elapsed() >= LATER * 3);
    }

    #[tokio::test]
    async fn an_answer_that_is_taken_goes_on() {
        let activity = Activity::new();
        let pieces = futures_util::stream::unfold(0, |at| async move {
            tokio::time::sleep(STEP).await;
            (at < 4).then(|| (Ok::<_, std::convert::Infallible>("piece"), at + 1))
        });
        let body = activity.begin().answer(Body::from_stream(pieces));
        let began = Instant::now();
        let taken = async { axum::body::to_bytes(body, 100).await.unwrap() };
        let (taken, ()) = tokio::join!(taken, activity.stood_still(FIRST, LATER));
        assert_eq!(taken, "piecepiecepiecepiece");
        assert!(began.elapsed() >= STEP * 5 + LATER);
    }
}
