//! Tokens that were revoked by themselves (RFC 7009), for as long as they would have lived.

use crate::model::Timestamp;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many tokens at most are revoked and not yet expired, about 64 MiB of them.
const MOST: usize = 500_000;

/// Entries are kept this many seconds beyond their token's end, so that a clock set back opens nothing.
const MARGIN_SECONDS: i64 = 300;

/// The ids (`jti`) of revoked tokens. Reading takes no lock; while nothing is revoked it is one load of an atomic.
#[derive(Debug, Default)]
pub struct RevokedTokens {
    ends: papaya::HashMap<Arc<str>, Timestamp, ahash::RandomState>,
    /// INVARIANT: never smaller than the map once a writer is done; readers trust its zero.
    count: AtomicUsize,
    writers: Mutex<()>,
}

impl RevokedTokens {
    /// Whether the token of that id was revoked.
    pub fn contains(&self, token_id: &str) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.ends.pin().contains_key(token_id)
    }

    /// Revokes the token of that id, which would have lived until `expires_at`. It is always taken: whoever commits
    /// revocations asks [`has_room`](Self::has_room) first.
    pub fn insert(&self, token_id: Arc<str>, expires_at: Timestamp) {
        let _turn = self.writers.lock();
        if self.ends.pin().insert(token_id, expires_at).is_none() {
            self.count.fetch_add(1, Ordering::Release);
        }
    }

    /// Whether there is room for one more: beyond the bound a revocation is refused before it is committed, never
    /// forgotten after.
    pub fn has_room(&self) -> bool {
        self.len() < MOST
    }

    /// Forgets tokens that have expired by themselves.
    pub fn purge(&self, now: Timestamp) {
        let _turn = self.writers.lock();
        let ends = self.ends.pin();
        let over = |end: &Timestamp| end.plus_seconds(MARGIN_SECONDS) <= now;
        let dead: Vec<Arc<str>> = ends.iter().filter(|(_, end)| over(end)).map(|(id, _)| Arc::clone(id)).collect();
        for id in dead {
            if ends.remove(&id).is_some() {
                self.count.fetch_sub(1, Ordering::Release);
            }
        }
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

    #[test]
    fn what_is_revoked_is_found_until_it_would_have_ended() {
        let revoked = RevokedTokens::default();
        assert!(!revoked.contains("a") && revoked.is_empty());
        revoked.insert("a".into(), NOW.plus_seconds(10));
        revoked.insert("a".into(), NOW.plus_seconds(10));
        revoked.insert("b".into(), NOW.plus_seconds(5000));
        assert!(revoked.contains("a") && revoked.contains("b") && !revoked.contains("c"));
        assert_eq!(revoked.len(), 2);
        revoked.purge(NOW.plus_seconds(10 + MARGIN_SECONDS - 1));
        assert!(revoked.contains("a"));
        revoked.purge(NOW.plus_seconds(10 + MARGIN_SECONDS));
        assert!(!revoked.contains("a") && revoked.contains("b") && revoked.has_room());
        revoked.purge(NOW.plus_seconds(100_000));
        assert!(revoked.is_empty() && !revoked.contains("b"));
    }

    /// Whoever revoked a token finds it revoked, whatever others revoke and purge meanwhile.
    #[test]
    fn a_revocation_is_seen_at_once_beside_other_writers() {
        let revoked = RevokedTokens::default();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let revoked = &revoked;
                scope.spawn(move || {
                    for at in 0..2000 {
                        let id = format!("{thread}-{at}");
                        revoked.insert(id.as_str().into(), NOW);
                        assert!(revoked.contains(&id), "{id}");
                        if at % 100 == 0 {
                            revoked.purge(NOW);
                        }
                    }
                });
            }
        });
        assert_eq!(revoked.len(), 8000);
        revoked.purge(NOW.plus_seconds(MARGIN_SECONDS));
        assert!(revoked.is_empty());
    }
}
