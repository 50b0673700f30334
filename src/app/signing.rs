//! The node's signing keys: opened from the store, made anew when it is time or somebody asks, and shown to the tables.
//!
//! A new key is published at once and signs once everybody who keeps the published keys had time to fetch them anew. The
//! one before it goes on proving until the last token it can have signed is dead.

use super::secrets;
use crate::config::{NodeConfig, TokenAlgorithm};
use crate::model::{Act, Actor, Timestamp};
use crate::store::{Store, StoredSigningKey};
use crate::tables::Tables;
use crate::token::{Algorithm, ScheduledKey, SealingKey, SigningKey, SigningKeySet};
use anyhow::{Context, bail};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Seconds between publishing a key and signing with it: twice what the published keys may be kept (300 s).
const PUBLISHED_SECONDS: i64 = 600;
/// The longest life of a token in seconds, whatever is configured now or later, and what clocks may differ by.
const LONGEST_TOKEN_SECONDS: i64 = 86_400 + 300;
/// A key of another algorithm that is younger than this may be another node's, which is about to be the only kind there
/// is: making one beside it would have two nodes end each other's keys in turn.
const SETTLED_SECONDS: i64 = 3600;

/// Looks after the signing keys. One at a time makes a new one.
pub(super) struct SigningKeys {
    store: Arc<dyn Store>,
    sealing: SealingKey,
    file: PathBuf,
    algorithm: Algorithm,
    rotation: Option<Duration>,
    turn: tokio::sync::Mutex<()>,
}

impl SigningKeys {
    /// Reads the secret key file, or makes it where the store holds nothing sealed yet.
    pub(super) async fn open(store: Arc<dyn Store>, node: &NodeConfig) -> anyhow::Result<Self> {
        let sealed = !store.signing_keys().await?.is_empty();
        Ok(Self {
            sealing: secrets::sealing_key(&node.secret_key_file, sealed)?,
            file: node.secret_key_file.clone(),
            algorithm: algorithm(node.token_algorithm),
            rotation: node.key_rotation,
            turn: tokio::sync::Mutex::new(()),
            store,
        })
    }

    /// The keys at start; makes one where none of the configured algorithm is left.
    ///
    /// One that takes over must not: until it has the node's work, the keys are those of the node before, and sign here too. In a
    /// store that has none it is the first.
    pub(super) async fn at_start(&self, now: Timestamp, takes_over: bool) -> anyhow::Result<SigningKeySet> {
        let _turn = self.turn.lock().await;
        let kept = self.store.signing_keys().await?;
        // Opened first: a new key beside ones that cannot be opened would hide that the wrong key file is here.
        let others = self.set(&kept, now)?;
        if (!takes_over || others.is_none()) && !kept.iter().any(|key| self.lasts(key)) {
            self.make(now, &Act::of(Actor::Node, now)).await?;
        }
        let kept = self.store.signing_keys().await?;
        self.set(&kept, now)?.context("no signing key is left")
    }

    /// Makes the next key; it signs from `PUBLISHED_SECONDS` on, or at once.
    pub(super) async fn rotate(&self, tables: &Tables, immediately: bool, act: &Act) -> anyhow::Result<()> {
        let _turn = self.turn.lock().await;
        let wait = if immediately { 0 } else { PUBLISHED_SECONDS };
        self.make(act.at.plus_seconds(wait), act).await?;
        self.put(tables, act.at).await
    }

    /// The first thing that one does that has taken over: a key of the configured algorithm, where there is none.
    pub(super) async fn take_over(&self, tables: &Tables, now: Timestamp) -> anyhow::Result<()> {
        let _turn = self.turn.lock().await;
        if self.store.signing_keys().await?.iter().any(|key| self.lasts(key)) {
            return Ok(());
        }
        self.make(now, &Act::of(Actor::Node, now)).await?;
        self.put(tables, now).await
    }

    /// What is due: the next key, and the end of those whose last token is dead.
    pub(super) async fn tend(&self, tables: &Tables, now: Timestamp) -> anyhow::Result<()> {
        let _turn = self.turn.lock().await;
        let act = Act::of(Actor::Node, now);
        let kept = self.store.signing_keys().await?;
        let newest = kept.iter().filter(|key| self.lasts(key)).map(|key| key.created_at).max();
        let mut changed = false;
        if newest.is_none() && !kept.iter().any(|key| is_news(key, now)) {
            self.make(now, &act).await?;
            tracing::info!("a new signing key was made: none of the configured algorithm was left");
            changed = true;
        }
        if let (Some(newest), Some(rotation)) = (newest, self.rotation)
            && newest.plus_seconds(i64::try_from(rotation.as_secs()).unwrap_or(i64::MAX)) <= now
        {
            self.make(now.plus_seconds(PUBLISHED_SECONDS), &act).await?;
            tracing::info!("a new signing key was made and published; it signs in {PUBLISHED_SECONDS} s");
            changed = true;
        }
        if kept.iter().any(|key| is_over(key, now)) {
            changed |= !self.store.remove_ended_signing_keys(&act).await?.is_empty();
        }
        if changed { self.put(tables, now).await } else { Ok(()) }
    }

    /// Shows the tables what the store holds now.
    pub(super) async fn show(&self, tables: &Tables, now: Timestamp) -> anyhow::Result<()> {
        let _turn = self.turn.lock().await;
        self.put(tables, now).await
    }

    /// INVARIANT: whoever calls this has the turn; a set that was read before a change never replaces one of after it.
    async fn put(&self, tables: &Tables, now: Timestamp) -> anyhow::Result<()> {
        let kept = self.store.signing_keys().await?;
        let set = self.set(&kept, now)?.context("no signing key is left")?;
        tables.set_signing(Arc::new(set));
        Ok(())
    }

    async fn make(&self, signs_from: Timestamp, act: &Act) -> anyhow::Result<()> {
        let key = SigningKey::generate(self.algorithm)?;
        let stored = StoredSigningKey {
            id: key.id().to_owned(),
            algorithm: self.algorithm.as_str().to_owned(),
            sealed: self.sealing.seal(&key)?,
            created_at: act.at,
            signs_from,
            ends_at: None,
        };
        let others_end_at = signs_from.plus_seconds(LONGEST_TOKEN_SECONDS);
        Ok(self.store.add_signing_key(&stored, Some(others_end_at), act).await?)
    }

    /// `None` where none of them signs.
    fn set(&self, kept: &[StoredSigningKey], now: Timestamp) -> anyhow::Result<Option<SigningKeySet>> {
        let living = kept.iter().filter(|key| !is_over(key, now));
        // Where no lasting key is of the configured algorithm, the newest of all signs: a replaced one's tokens would outlive it.
        let own = kept.iter().any(|key| self.lasts(key));
        let keys = living.map(|stored| {
            let signs_from = (self.signs(stored) || !own).then_some(stored.signs_from);
            Ok(ScheduledKey { key: self.unseal(stored)?, signs_from })
        });
        let keys = keys.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(SigningKeySet::scheduled(keys).ok())
    }

    fn signs(&self, key: &StoredSigningKey) -> bool {
        key.algorithm == self.algorithm.as_str()
    }

    /// One that has an end was replaced: what it signed now would outlive it.
    fn lasts(&self, key: &StoredSigningKey) -> bool {
        self.signs(key) && key.ends_at.is_none()
    }

    fn unseal(&self, stored: &StoredSigningKey) -> anyhow::Result<SigningKey> {
        let Some(algorithm) = Algorithm::parse(&stored.algorithm) else {
            bail!("signing key `{}` has the unknown algorithm `{}`", stored.id, stored.algorithm);
        };
        self.sealing.open(&stored.id, algorithm, &stored.sealed).with_context(|| {
            format!(
                "the secret key file `{}` is not the one that belongs to this store: signing key `{}` cannot be opened; \
                 put back the file that does",
                self.file.display(),
                stored.id
            )
        })
    }
}

fn is_over(key: &StoredSigningKey, now: Timestamp) -> bool {
    key.ends_at.is_some_and(|end| end <= now)
}

/// Whether a key was made a moment ago, and is to last.
fn is_news(key: &StoredSigningKey, now: Timestamp) -> bool {
    key.ends_at.is_none() && key.created_at.plus_seconds(SETTLED_SECONDS) > now
}

const fn algorithm(configured: TokenAlgorithm) -> Algorithm {
    match configured {
        TokenAlgorithm::EdDsa => Algorithm::EdDsa,
        TokenAlgorithm::Es256 => Algorithm::Es256,
        TokenAlgorithm::Hs256 => Algorithm::Hs256,
        TokenAlgorithm::Rs256 => Algorithm::Rs256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Config};
    use crate::store::SqliteStore;

    const START: Timestamp = Timestamp::from_unix(1_900_000_000);
    const DAY: i64 = 86_400;

    struct Bench {
        _folder: tempfile::TempDir,
        node: NodeConfig,
        store: Arc<dyn Store>,
    }

    impl Bench {
        async fn new(tokens: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("portcullis.toml");
            std::fs::write(&file, format!("[tokens]\n{tokens}\n")).unwrap();
            std::fs::create_dir(folder.path().join("tenants")).unwrap();
            std::fs::create_dir(folder.path().join("data")).unwrap();
            let Config { node, .. } = config::load(&file, START, &config::Documents::default())
                .unwrap_or_else(|problems| panic!("{problems}"));
            let store = SqliteStore::open(&folder.path().join("portcullis.db")).await.unwrap();
            Self { _folder: folder, node, store: Arc::new(store) }
        }

        async fn keys(&self) -> SigningKeys {
            SigningKeys::open(Arc::clone(&self.store), &self.node).await.unwrap()
        }

        async fn tables(&self, keys: &SigningKeys, now: Timestamp) -> Tables {
            let set = keys.at_start(now, false).await.unwrap();
            Tables::new(Arc::new(set))
        }
    }

    fn signer(tables: &Tables, now: Timestamp) -> String {
        tables.load().signing().signer(now).unwrap().id().to_owned()
    }

    fn published(tables: &Tables) -> usize {
        tables.load().signing().jwks()["keys"].as_array().unwrap().len()
    }

    #[tokio::test]
    async fn a_key_is_published_before_it_signs_and_proves_until_its_last_token_is_dead() {
        let bench = Bench::new("key_rotation = \"90d\"").await;
        let keys = bench.keys().await;
        let tables = bench.tables(&keys, START).await;
        let first = signer(&tables, START);
        let due = START.plus_seconds(90 * DAY);
        keys.tend(&tables, due.plus_seconds(-1)).await.unwrap();
        assert_eq!(published(&tables), 1);
        keys.tend(&tables, due).await.unwrap();
        assert_eq!((published(&tables), signer(&tables, due)), (2, first.clone()));
        let signs = due.plus_seconds(PUBLISHED_SECONDS);
        assert_eq!(signer(&tables, signs.plus_seconds(-1)), first);
        let second = signer(&tables, signs);
        assert_ne!(second, first);
        // The next one is due ninety days after this one; a restart changes nothing of it.
        keys.tend(&tables, signs.plus_seconds(DAY)).await.unwrap();
        assert_eq!(published(&tables), 2);
        let tables = bench.tables(&bench.keys().await, signs).await;
        assert_eq!((published(&tables), signer(&tables, signs)), (2, second.clone()));
        let over = signs.plus_seconds(LONGEST_TOKEN_SECONDS);
        keys.tend(&tables, over).await.unwrap();
        assert_eq!((published(&tables), signer(&tables, over)), (1, second));
        assert!(tables.load().signing().key(&first).is_none());
    }

    #[tokio::test]
    async fn rotation_on_request_signs_at_once_where_it_is_asked_to() {
        let bench = Bench::new("key_rotation = \"off\"").await;
        let keys = bench.keys().await;
        let tables = bench.tables(&keys, START).await;
        let first = signer(&tables, START);
        keys.rotate(&tables, true, &Act::of(Actor::Operator, START)).await.unwrap();
        assert_ne!(signer(&tables, START), first);
        assert!(tables.load().signing().key(&first).is_some());
        keys.tend(&tables, START.plus_seconds(3650 * DAY)).await.unwrap();
        assert_eq!(published(&tables), 1);
    }

    #[tokio::test]
    async fn a_key_that_was_replaced_never_signs_again() {
        let mut bench = Bench::new("algorithm = \"EdDSA\"").await;
        let first = signer(&bench.tables(&bench.keys().await, START).await, START);
        bench.node.token_algorithm = TokenAlgorithm::Es256;
        let other = signer(&bench.tables(&bench.keys().await, START.plus_seconds(1)).await, START.plus_seconds(1));
        bench.node.token_algorithm = TokenAlgorithm::EdDsa;
        let tables = bench.tables(&bench.keys().await, START.plus_seconds(2)).await;
        let third = signer(&tables, START.plus_seconds(2));
        assert!(third != first && third != other);
        assert_eq!(published(&tables), 3);
    }

    #[tokio::test]
    async fn one_that_takes_over_makes_and_ends_nothing_before_it_has() {
        let mut bench = Bench::new("algorithm = \"EdDSA\"").await;
        let first = signer(&bench.tables(&bench.keys().await, START).await, START);
        bench.node.token_algorithm = TokenAlgorithm::Es256;
        let keys = bench.keys().await;
        let now = START.plus_seconds(10);
        let tables = Tables::new(Arc::new(keys.at_start(now, true).await.unwrap()));
        assert_eq!((published(&tables), signer(&tables, now)), (1, first.clone()));
        let kept = bench.store.signing_keys().await.unwrap();
        assert!(kept.len() == 1 && kept[0].ends_at.is_none(), "{kept:?}");
        // It has.
        keys.take_over(&tables, now).await.unwrap();
        keys.take_over(&tables, now).await.unwrap();
        let second = signer(&tables, now);
        assert!(published(&tables) == 2 && second != first);
        let kept = bench.store.signing_keys().await.unwrap();
        assert!(kept.iter().all(|key| key.ends_at.is_none() == (key.id == second)), "{kept:?}");
    }

    #[tokio::test]
    async fn where_none_of_the_algorithm_lasts_the_next_is_made_in_time() {
        let mut bench = Bench::new("algorithm = \"EdDSA\"").await;
        let keys = bench.keys().await;
        let tables = bench.tables(&keys, START).await;
        bench.node.token_algorithm = TokenAlgorithm::Es256;
        let others = bench.keys().await;
        let other = signer(&bench.tables(&others, START.plus_seconds(1)).await, START.plus_seconds(1));
        // Another node made one of another kind, and gave this one's an end: that other one signs here meanwhile.
        let now = START.plus_seconds(2);
        keys.show(&tables, now).await.unwrap();
        keys.tend(&tables, now).await.unwrap();
        assert_eq!((published(&tables), signer(&tables, now)), (2, other.clone()));
        // It is still the only one an hour later: this node's own kind is wanted after all.
        let later = START.plus_seconds(1 + SETTLED_SECONDS);
        keys.tend(&tables, later).await.unwrap();
        assert!(published(&tables) == 3 && signer(&tables, later) != other);
        let over = later.plus_seconds(LONGEST_TOKEN_SECONDS);
        keys.tend(&tables, over).await.unwrap();
        assert_eq!(published(&tables), 1);
        let kept = bench.store.signing_keys().await.unwrap();
        assert!(kept.len() == 1 && kept[0].id == signer(&tables, over), "it signs with what only its memory has");
    }
}
