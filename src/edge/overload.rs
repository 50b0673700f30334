//! How many requests are served at the same time. One more is told so at once: whoever waits in line behind a queue that
//! never gets shorter is better served by trying again. What lasts (see `lease.rs`) gives its place back.
//!
//! One key gets a share of the room, so that whoever has one cannot keep all others out. That costs each request with a key
//! two short locks, of which requests of other keys seldom wait for the same.

use crate::model::ClientId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many locks stand between keys.
const SHARDS: usize = 64;

/// How many requests of each key are being served; those of no key are not there.
type Counts = HashMap<ClientId, usize, ahash::RandomState>;

/// Room for so many requests.
#[derive(Debug)]
pub(super) struct Room {
    most: usize,
    /// How many may be of one key.
    share: usize,
    taken: AtomicUsize,
    of_keys: [Mutex<Counts>; SHARDS],
    hashing: ahash::RandomState,
}

/// A place in a room; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    /// The key whose share it is of.
    of: Option<ClientId>,
}

impl Room {
    pub(super) fn new(most: usize, share: usize) -> Arc<Self> {
        let of_keys = std::array::from_fn(|_| Mutex::default());
        Arc::new(Self { most, share, taken: AtomicUsize::new(0), of_keys, hashing: ahash::RandomState::new() })
    }

    /// A place, if there is one left.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Place> {
        let one_more = |taken| (taken < self.most).then_some(taken + 1);
        let entered = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        entered.is_ok().then(|| Place { room: Arc::clone(self), of: None })
    }

    fn shard(&self, key: &ClientId) -> Option<&Mutex<Counts>> {
        let [first, ..] = self.hashing.hash_one(key).to_ne_bytes();
        self.of_keys.get(usize::from(first) % SHARDS)
    }
}

impl Place {
    /// Counts it as one of this key's, if its share has room for one more.
    pub(super) fn count(&mut self, key: &ClientId) -> bool {
        if self.room.share >= self.room.most || self.of.is_some() {
            return true;
        }
        let Some(shard) = self.room.shard(key) else { return true };
        let mut counts = shard.lock();
        let count = counts.entry(key.clone()).or_insert(0);
        if *count >= self.room.share {
            return false;
        }
        *count += 1;
        drop(counts);
        self.of = Some(key.clone());
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(1, Ordering::Relaxed);
        let Some((key, shard)) = self.of.as_ref().and_then(|key| Some((key, self.room.shard(key)?))) else { return };
        let mut counts = shard.lock();
        if let Some(count) = counts.get_mut(key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> ClientId {
        ClientId::parse(id).unwrap()
    }

    fn kept(room: &Room) -> usize {
        room.of_keys.iter().map(|shard| shard.lock().len()).sum()
    }

    #[test]
    fn as_many_as_there_is_room_for() {
        let room = Room::new(2, 2);
        let (first, second) = (room.enter(), room.enter());
        assert!(first.is_some() && second.is_some() && room.enter().is_none());
        drop(first);
        let third = room.enter();
        assert!(third.is_some() && room.enter().is_none());
    }

    #[test]
    fn one_key_has_its_share_and_one_more_has_not() {
        let room = Room::new(10, 2);
        let place = |id| {
            let mut place = room.enter().unwrap();
            place.count(&key(id)).then_some(place)
        };
        let (first, second) = (place("one"), place("one"));
        assert!(first.is_some() && second.is_some() && place("one").is_none());
        // What was refused left its place, and others have theirs.
        assert_eq!(room.taken.load(Ordering::Relaxed), 2);
        let other = place("two");
        assert!(other.is_some());
        drop(first);
        let third = place("one");
        assert!(third.is_some() && place("one").is_none());
        drop((second, other, third));
        assert_eq!((kept(&room), room.taken.load(Ordering::Relaxed)), (0, 0));
        // Where the share is the room, nothing is counted.
        let room = Room::new(2, 2);
        let mut place = room.enter().unwrap();
        assert!(place.count(&key("one")) && kept(&room) == 0);
    }

    #[test]
    fn never_more_between_threads() {
        let room = Room::new(3, 2);
        std::thread::scope(|scope| {
            for at in 0..8 {
                let (room, key) = (&room, key(if at < 4 { "one" } else { "two" }));
                scope.spawn(move || {
                    for _ in 0..10_000 {
                        let mut place = room.enter();
                        let _ = place.as_mut().map(|place| place.count(&key));
                        assert!(room.taken.load(Ordering::Relaxed) <= 3);
                        drop(place);
                    }
                });
            }
        });
        assert_eq!((kept(&room), room.taken.load(Ordering::Relaxed)), (0, 0));
    }
}
