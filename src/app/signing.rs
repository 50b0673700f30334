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
    pub(super) async fn at_start(&self, now: Timestamp) -> anyhow::Result<SigningKeySet> {
        let _turn = self.turn.lock().await;
        let kept = self.store.signing_keys().await?;
        // Opened first: a new key beside ones that cannot be opened would hide that the wrong key file is here.
        self.set(&kept, now)?;
        // One that has an end was replaced: what it signed now would outlive it.
        if !kept.iter().any(|key| self.signs(key) && key.ends_at.is_none()) {
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

    /// What is due: the next key, and the end of those whose last token is dead.
    pub(super) async fn tend(&self, tables: &Tables, now: Timestamp) -> anyhow::Result<()> {
        let _turn = self.turn.lock().await;
        let act = Act::of(Actor::Node, now);
        let kept = self.store.signing_keys().await?;
        let lasting = kept.iter().filter(|key| self.signs(key) && key.ends_at.is_none());
        let newest = lasting.map(|key| key.created_at).max();
        let mut changed = false;
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
        let keys = living.map(|stored| {
            let signs_from = self.signs(stored).then_some(stored.signs_from);
            Ok(ScheduledKey { key: self.unseal(stored)?, signs_from })
        });
        let keys = keys.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(SigningKeySet::scheduled(keys).ok())
    }

    fn signs(&self, key: &StoredSigningKey) -> bool {
        key.algorithm == self.algorithm.as_str()
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
            let set = keys.at_start(now).await.unwrap();
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
}
