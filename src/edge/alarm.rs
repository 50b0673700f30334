//! A timer that stays armed from one wait to the next: waits that follow each other all the time (for the next request of
//! a connection, for the end of each) cost no timer each. It rings early, sees that it is not time yet, and is set anew.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// Longer than anything that is waited for.
const LONG: Duration = Duration::from_secs(365 * 24 * 3600);

/// One timer, for one wait at a time.
#[derive(Debug)]
pub(super) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    /// Inside a runtime.
    pub(super) fn new() -> Self {
        Self(Box::pin(sleep(LONG)))
    }

    /// What the work comes to; `None` where that takes longer than this.
    pub(super) async fn within<F: Future>(&mut self, time: Duration, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        let due = Instant::now() + time.min(LONG);
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => self.poll_due(due, context).map(|()| None),
        })
        .await
    }

    fn poll_due(&mut self, due: Instant, context: &mut Context<'_>) -> Poll<()> {
        if self.0.deadline() > due {
            self.0.as_mut().reset(due);
        }
        while poll_timer(self.0.as_mut(), context).is_ready() {
            if self.0.deadline() >= due {
                return Poll::Ready(());
            }
            self.0.as_mut().reset(due);
        }
        Poll::Pending
    }
}

/// Whether it rings. Work that uses a task's budget up, whenever it is polled, would leave none for its timer.
pub(super) fn poll_timer(timer: Pin<&mut Sleep>, context: &mut Context<'_>) -> Poll<()> {
    pin!(tokio::task::unconstrained(timer)).poll(context)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn each_wait_has_its_own_end() {
        let mut alarm = Alarm::new();
        assert_eq!(alarm.within(LONG, ready(1)).await, Some(1));
        for times in [2, 1, 3] {
            let began = Instant::now();
            // It rings early for whatever comes after this.
            assert_eq!(alarm.within(SHORT / 4, sleep(SHORT / 8)).await, Some(()));
            assert_eq!(alarm.within(SHORT * times, pending::<()>()).await, None);
            assert!(began.elapsed() >= SHORT * times);
        }
        assert_eq!(alarm.within(LONG, sleep(SHORT)).await, Some(()));
        assert_eq!(alarm.within(Duration::ZERO, pending::<()>()).await, None);
        assert_eq!(alarm.within(Duration::MAX, sleep(SHORT)).await, Some(()));
    }

    #[tokio::test]
    async fn work_that_never_rests_has_an_end() {
        let busy = async {
            loop {
                tokio::task::consume_budget().await;
            }
        };
        let done: Option<()> = Alarm::new().within(SHORT, busy).await;
        assert_eq!(done, None);
    }
}
