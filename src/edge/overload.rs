//! How many requests are served at the same time. One more is told so at once: whoever waits in line behind a queue that
//! never gets shorter is better served by trying again. What lasts (see `lease.rs`) gives its place back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Room for so many requests.
#[derive(Debug)]
pub(super) struct Room {
    most: usize,
    taken: AtomicUsize,
}

/// A place in a room; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Room>);

impl Room {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: AtomicUsize::new(0) })
    }

    /// A place, if there is one left.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Place> {
        let one_more = |taken| (taken < self.most).then_some(taken + 1);
        let entered = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        entered.is_ok().then(|| Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_there_is_room_for() {
        let room = Room::new(2);
        let (first, second) = (room.enter(), room.enter());
        assert!(first.is_some() && second.is_some() && room.enter().is_none());
        drop(first);
        let third = room.enter();
        assert!(third.is_some() && room.enter().is_none());
    }

    #[test]
    fn never_more_between_threads() {
        let room = Room::new(3);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let place = room.enter();
                        assert!(room.taken.load(Ordering::Relaxed) <= 3);
                        drop(place);
                    }
                });
            }
        });
        assert_eq!(room.taken.load(Ordering::Relaxed), 0);
    }
}
