//! What was decided lately, in memory: for whoever asks about a key's last requests, or why one was refused.
//!
//! Bounded: [`MOST_LISTS`] lists, [`OF_A_KEY`] entries of each key and [`OF_NOBODY`] of each environment that belong to no
//! proven key. Where lists are full, the environment with the most of them makes room, by the list that it used least
//! recently: no environment pushes out what another remembers within its share. A list is written by whoever proved its key
//! and by nobody else. One short lock on one of many shards is all that recording waits for.

use super::Outcome;
use crate::access::Denial;
use crate::model::{ClientId, EnvironmentIndex, Method, Timestamp};
use ahash::RandomState;
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

/// So many lists are kept.
const MOST_LISTS: usize = 4096;
/// So many entries are kept of each key.
const OF_A_KEY: usize = 32;
/// So many entries are kept of each environment that belong to no key.
const OF_NOBODY: usize = 64;
/// A path is kept up to so many bytes.
const PATH_BYTES: usize = 256;
const SHARDS: usize = 32;

/// What became of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The request's id, as `X-Request-Id` told it.
    pub request_id: String,
    /// When it was decided.
    pub at: Timestamp,
    /// Whose request it was, where that was proven and the key works in the environment.
    pub client_id: Option<ClientId>,
    /// Its method.
    pub method: String,
    /// Its path as it was sent, base path included, without query, at most 256 bytes; what is no text is replaced.
    pub path: String,
    /// Where it came from.
    pub address: Option<IpAddr>,
    /// What it did, as the catalogue names it, where it was permitted.
    pub operation: Option<Arc<str>>,
    /// The status that the caller saw; 0 where the caller was gone.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// The code of the refusal or failure; `None` where there was none.
    pub code: Option<&'static str>,
    /// What the caller was told; `None` where nothing was refused.
    pub detail: Option<Cow<'static, str>>,
}

/// Why a request was refused, as the caller was told.
#[derive(Clone, Debug)]
pub enum Told {
    /// By the checks, or by a failure.
    Denial(Denial),
    /// By one of the endpoints that answer here: code and words.
    Words(&'static str, Cow<'static, str>),
    /// The caller went away; its code.
    Nothing(&'static str),
}

/// What became of a request, as it is recorded: nothing of it is text that has to be made first.
#[derive(Clone, Debug)]
pub struct Decided<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// When it was decided.
    pub at: Timestamp,
    /// Its method.
    pub method: &'a Method,
    /// The raw path, without query.
    pub path: &'a [u8],
    /// Where it came from.
    pub address: Option<IpAddr>,
    /// What it did.
    pub operation: Option<&'a Arc<str>>,
    /// The status that the caller saw.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was refused, or failed.
    pub told: Option<Told>,
}

/// Remembers what was decided lately.
#[derive(Debug)]
pub struct DecisionLog {
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
}

/// Whose entries: of a key in an environment, or of nobody there.
type Whose = (EnvironmentIndex, Option<ClientId>);

#[derive(Debug, Default)]
struct Shard {
    lists: HashMap<Whose, List, RandomState>,
    /// How many lists each environment has here.
    shares: HashMap<EnvironmentIndex, usize, RandomState>,
    /// Grows with each use of a list.
    uses: u64,
}

#[derive(Debug, Default)]
struct List {
    last_use: u64,
    /// Oldest first. Shared: whoever reads takes them along and looks at them after the lock.
    entries: VecDeque<Arc<Entry>>,
}

#[derive(Debug)]
struct Entry {
    request_id: u128,
    at: Timestamp,
    method: Method,
    path: Box<str>,
    address: Option<IpAddr>,
    operation: Option<Arc<str>>,
    status: u16,
    outcome: Outcome,
    told: Option<Told>,
}

impl Default for DecisionLog {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl DecisionLog {
    /// Records what became of a request. `client_id` is the key that was proven, if it works in the environment.
    pub fn record(&self, environment: EnvironmentIndex, client_id: Option<&ClientId>, decided: Decided<'_>) {
        let Some(entry) = Entry::new(decided) else { return };
        let whose = (environment, client_id.cloned());
        // What is pushed out is dropped after the lock.
        let _dropped = self.shard(&whose).map(|shard| shard.lock().record(whose, Arc::new(entry)));
    }

    /// What was decided lately about a key, newest first.
    pub fn recent(&self, environment: EnvironmentIndex, client_id: &ClientId) -> Vec<Decision> {
        let whose = (environment, Some(client_id.clone()));
        let entries = self.shard(&whose).map(|shard| shard.lock().recent(&whose)).unwrap_or_default();
        entries.into_iter().map(|entry| entry.shown(Some(client_id))).collect()
    }

    /// What was decided about one request of an environment.
    pub fn find(&self, environment: EnvironmentIndex, request_id: &str) -> Option<Decision> {
        let request_id = parse(request_id)?;
        let found = self.shards.iter().find_map(|shard| {
            let shard = shard.lock();
            let (whose, entry) = shard.of(environment).find(|(_, entry)| entry.request_id == request_id)?;
            Some((whose.clone(), Arc::clone(entry)))
        });
        found.map(|(whose, entry)| entry.shown(whose.as_ref()))
    }

    /// The latest requests of an environment that were refused, or failed, with this code, newest first.
    pub fn refused(&self, environment: EnvironmentIndex, code: &str, most: usize) -> Vec<Decision> {
        let mut found = Vec::new();
        for shard in &self.shards {
            found.extend(shard.lock().refused(environment, code, most));
        }
        found.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.at));
        found.into_iter().take(most).map(|(whose, entry)| entry.shown(whose.as_ref())).collect()
    }

    /// `None` never happens: there are shards.
    fn shard(&self, whose: &Whose) -> Option<&Mutex<Shard>> {
        self.shards.get((self.hasher.hash_one(whose) >> 32) as usize % SHARDS)
    }
}

impl Shard {
    /// What had to make room.
    fn record(&mut self, whose: Whose, entry: Arc<Entry>) -> (Option<List>, Option<Arc<Entry>>) {
        self.uses += 1;
        let most = if whose.1.is_some() { OF_A_KEY } else { OF_NOBODY };
        let mut evicted = None;
        if !self.lists.contains_key(&whose) {
            if self.lists.len() >= MOST_LISTS / SHARDS {
                evicted = self.evict(whose.0);
            }
            *self.shares.entry(whose.0).or_default() += 1;
        }
        let list = self.lists.entry(whose).or_default();
        list.last_use = self.uses;
        let oldest = if list.entries.len() >= most { list.entries.pop_front() } else { None };
        list.entries.push_back(entry);
        (evicted, oldest)
    }

    /// A list, newest first.
    fn recent(&mut self, whose: &Whose) -> Vec<Arc<Entry>> {
        self.uses += 1;
        let Some(list) = self.lists.get_mut(whose) else { return vec![] };
        list.last_use = self.uses;
        list.entries.iter().rev().cloned().collect()
    }

    /// The entries of an environment, with whose they are: those of a list newest first.
    fn of(&self, environment: EnvironmentIndex) -> impl Iterator<Item = (&Option<ClientId>, &Arc<Entry>)> {
        let lists = self.lists.iter().filter(move |((of, _), _)| *of == environment);
        lists.flat_map(|((_, whose), list)| list.entries.iter().rev().map(move |entry| (whose, entry)))
    }

    /// The newest of an environment that were refused with this code, in no order. No more is copied than is shown.
    fn refused(&self, environment: EnvironmentIndex, code: &str, most: usize) -> Vec<(Option<ClientId>, Arc<Entry>)> {
        if !self.shares.contains_key(&environment) {
            return vec![];
        }
        let mut found: Vec<_> = self.of(environment).filter(|(_, entry)| entry.code() == Some(code)).collect();
        if found.len() > most && most > 0 {
            found.select_nth_unstable_by_key(most - 1, |(_, entry)| std::cmp::Reverse(entry.at));
        }
        found.into_iter().take(most).map(|(whose, entry)| (whose.clone(), Arc::clone(entry))).collect()
    }

    /// Makes room for a list of an environment: of its own lists where none has more, else of one that has the most.
    fn evict(&mut self, comer: EnvironmentIndex) -> Option<List> {
        let most = self.shares.values().max().copied()?;
        let is_own = self.shares.get(&comer) == Some(&most);
        let gives = |of: &EnvironmentIndex| if is_own { *of == comer } else { self.shares.get(of) == Some(&most) };
        let lists = self.lists.iter().filter(|((of, _), _)| gives(of));
        let (oldest, _) = lists.min_by_key(|(_, list)| list.last_use)?;
        let oldest = oldest.clone();
        if let Some(share) = self.shares.get_mut(&oldest.0) {
            *share -= 1;
            if *share == 0 {
                self.shares.remove(&oldest.0);
            }
        }
        self.lists.remove(&oldest)
    }
}

impl Entry {
    /// `None` where the id is none of ours, which does not happen.
    fn new(decided: Decided<'_>) -> Option<Self> {
        Some(Self {
            request_id: parse(decided.request_id)?,
            at: decided.at,
            method: decided.method.clone(),
            path: shortened(decided.path),
            address: decided.address,
            operation: decided.operation.cloned(),
            status: decided.status,
            outcome: decided.outcome,
            told: decided.told,
        })
    }

    fn code(&self) -> Option<&'static str> {
        match &self.told {
            None => None,
            Some(Told::Denial(denial)) => Some(denial.code()),
            Some(Told::Nothing(code) | Told::Words(code, _)) => Some(code),
        }
    }

    fn shown(&self, client_id: Option<&ClientId>) -> Decision {
        let (code, detail) = match &self.told {
            None => (None, None),
            Some(Told::Denial(denial)) => (Some(denial.code()), Some(denial.detail())),
            Some(Told::Words(code, words)) => (Some(*code), Some(words.clone())),
            Some(Told::Nothing(code)) => (Some(*code), None),
        };
        Decision {
            request_id: format!("{:032x}", self.request_id),
            at: self.at,
            client_id: client_id.cloned(),
            method: self.method.to_string(),
            path: self.path.to_string(),
            address: self.address,
            operation: self.operation.clone(),
            status: self.status,
            outcome: self.outcome,
            code,
            detail,
        }
    }
}

/// A request id: 32 hexadecimal digits.
fn parse(request_id: &str) -> Option<u128> {
    let whole = request_id.len() == 32 && request_id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if whole { u128::from_str_radix(request_id, 16).ok() } else { None }
}

/// As much of a path as is kept.
fn shortened(path: &[u8]) -> Box<str> {
    let text = String::from_utf8_lossy(path.get(..path.len().min(PATH_BYTES)).unwrap_or_default());
    let end = (0..=text.len().min(PATH_BYTES)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    text.get(..end).unwrap_or_default().into()
}

#[cfg(test)]
mod tests;
