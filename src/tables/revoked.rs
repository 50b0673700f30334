//! Tokens that were revoked by themselves (RFC 7009), for as long as they would have lived.

use crate::model::{ClientId, Timestamp};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many tokens at most are revoked and not yet expired, about 64 MiB of them.
const MOST: usize = 500_000;

/// So many of them at most are of one client: no key holder fills the store, or takes the room of others.
const MOST_OF_CLIENT: usize = 1000;

/// Entries are kept this many seconds beyond their token's end, so that a clock set back opens nothing, and that streams
/// of a token that was revoked after its end are looked at (every half minute) before it is forgotten.
const MARGIN_SECONDS: i64 = 300;

/// The ids (`jti`) of revoked tokens. Reading takes no lock; while nothing is revoked it is one load of an atomic.
#[derive(Debug, Default)]
pub struct RevokedTokens {
    tokens: papaya::HashMap<Arc<str>, RevokedToken, ahash::RandomState>,
    /// INVARIANT: never smaller than the map once a writer is done; readers trust its zero.
    count: AtomicUsize,
    /// How many tokens of each client are in the map. Its lock is the writers' turn.
    of_clients: Mutex<HashMap<ClientId, usize>>,
}

#[derive(Debug)]
struct RevokedToken {
    /// Whose it is.
    client_id: ClientId,
    /// When it would have ended.
    end: Timestamp,
}

/// Why no further token can be revoked for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokedTokensFull {
    /// The client has as many as one may have.
    Client,
    /// All clients together have.
    Node,
}

impl RevokedTokens {
    /// Whether the token of that id was revoked.
    pub fn contains(&self, token_id: &str) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.tokens.pin().contains_key(token_id)
    }

    /// Revokes the token of that id, which was issued to that client and would have lived until `expires_at`. It is
    /// always taken: whoever commits revocations asks for [`room`](Self::room) first.
    pub fn insert(&self, token_id: Arc<str>, client_id: &ClientId, expires_at: Timestamp) {
        let mut of_clients = self.of_clients.lock();
        let tokens = self.tokens.pin();
        // One allocation a client, however many of its tokens are kept.
        let client_id = of_clients.get_key_value(client_id).map_or(client_id, |(known, _)| known).clone();
        let token = RevokedToken { client_id: client_id.clone(), end: expires_at };
        if tokens.insert(token_id, token).is_none() {
            *of_clients.entry(client_id).or_default() += 1;
            self.count.fetch_add(1, Ordering::Release);
        }
    }

    /// Whether there is room for one more token of that client: beyond the bounds a revocation is refused before it is
    /// committed, never forgotten after.
    pub fn room(&self, client_id: &ClientId) -> Result<(), RevokedTokensFull> {
        let of_client = self.of_clients.lock().get(client_id).copied().unwrap_or_default();
        if of_client >= MOST_OF_CLIENT {
            return Err(RevokedTokensFull::Client);
        }
        if self.len() < MOST { Ok(()) } else { Err(RevokedTokensFull::Node) }
    }

    /// Forgets tokens that have expired by themselves.
    pub fn purge(&self, now: Timestamp) {
        let mut of_clients = self.of_clients.lock();
        let tokens = self.tokens.pin();
        let over = |token: &RevokedToken| token.end.plus_seconds(MARGIN_SECONDS) <= now;
        let dead: Vec<Arc<str>> =
            tokens.iter().filter(|(_, token)| over(token)).map(|(id, _)| Arc::clone(id)).collect();
        for id in dead {
            if let Some(token) = tokens.remove(&id) {
                self.count.fetch_sub(1, Ordering::Release);
                if let Some(count) = of_clients.get_mut(&token.client_id) {
                    *count = count.saturating_sub(1);
                }
            }
        }
        of_clients.retain(|_, count| *count > 0);
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

    fn client(id: &str) -> ClientId {
        ClientId::parse(id).unwrap()
    }

    #[test]
    fn what_is_revoked_is_found_until_it_would_have_ended() {
        let revoked = RevokedTokens::default();
        assert!(!revoked.contains("a") && revoked.is_empty());
        revoked.insert("a".into(), &client("one"), NOW.plus_seconds(10));
        revoked.insert("a".into(), &client("one"), NOW.plus_seconds(10));
        revoked.insert("b".into(), &client("one"), NOW.plus_seconds(5000));
        assert!(revoked.contains("a") && revoked.contains("b") && !revoked.contains("c"));
        assert_eq!(revoked.len(), 2);
        revoked.purge(NOW.plus_seconds(10 + MARGIN_SECONDS - 1));
        assert!(revoked.contains("a"));
        revoked.purge(NOW.plus_seconds(10 + MARGIN_SECONDS));
        assert!(!revoked.contains("a") && revoked.contains("b"));
        revoked.purge(NOW.plus_seconds(100_000));
        assert!(revoked.is_empty() && !revoked.contains("b"));
    }

    #[test]
    fn one_client_cannot_take_the_room_of_another() {
        let revoked = RevokedTokens::default();
        for at in 0..MOST_OF_CLIENT {
            assert_eq!(revoked.room(&client("one")), Ok(()), "{at}");
            revoked.insert(at.to_string().into(), &client("one"), NOW.plus_seconds(i64::from(at > 0)));
            // Seen again in the feed: counted once.
            revoked.insert(at.to_string().into(), &client("one"), NOW.plus_seconds(i64::from(at > 0)));
        }
        assert_eq!(revoked.room(&client("one")), Err(RevokedTokensFull::Client));
        assert_eq!(revoked.room(&client("two")), Ok(()));
        revoked.purge(NOW.plus_seconds(MARGIN_SECONDS));
        assert_eq!((revoked.len(), revoked.room(&client("one"))), (MOST_OF_CLIENT - 1, Ok(())));
        revoked.insert("more".into(), &client("one"), NOW.plus_seconds(1));
        assert_eq!(revoked.room(&client("one")), Err(RevokedTokensFull::Client));
        revoked.purge(NOW.plus_seconds(MARGIN_SECONDS + 1));
        assert!(revoked.is_empty() && revoked.of_clients.lock().is_empty());
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
                        revoked.insert(id.as_str().into(), &client("one"), NOW);
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
