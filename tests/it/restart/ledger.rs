//! What we were told, change by change, to be compared with what a node shows after it was killed.

use super::others::{Other, Others};
use super::{TARGET, assert_refused, text};
use crate::process::{Control, Dice, KEYS, Key, Node, Wire};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Keys whose secrets are tried after each start; at the end all are.
const SAMPLE: usize = 3;

/// What we were told about one key.
struct Entry {
    key: Key,
    description: String,
    /// The secret before the last rotation.
    former: Option<String>,
    secret_version: u64,
    revoked: bool,
    /// Rotated by a request whose answer never came: nobody knows the secret.
    secret_lost: bool,
    /// Changed since it was last compared.
    touched: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Create(String),
    Edit(usize, String),
    Other(Other),
    Revoke(usize),
    Rotate(usize),
}

/// Every acknowledged state, and the one request that was under way when the process was killed.
#[derive(Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
    pub(super) others: Others,
    pending: Option<Change>,
    /// Keys of creates whose answer never came.
    strays: usize,
    made: u64,
    /// Edits that were acknowledged.
    pub(super) edited: u64,
    /// The highest revision that an answer named.
    revision: u64,
    pub(super) acknowledged: u64,
    /// Changes that a kill cut off, and those of them that had happened.
    pub(super) cut_off: u64,
    happened: u64,
}

impl Ledger {
    /// Which changes this node knows.
    pub(super) fn look_around(&mut self, control: &mut Control) {
        let mut dice = Dice::seeded(1);
        self.make(Change::Create("first".to_owned()), control, &mut dice).unwrap();
        self.others.look_around(control);
    }

    /// Changes things in a row, `quota` of them at least, then kills at a moment that nobody chose.
    pub(super) fn change_until_killed(&mut self, node: &mut Node, quota: u64, dice: &mut Dice) {
        let mut control = node.control();
        let moment = Duration::from_micros(u64::try_from(dice.below(3_000)).unwrap());
        let mut choices = dice.split();
        let done = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let client = scope.spawn(|| {
                while self.change(&mut control, &mut choices).is_ok() {
                    done.fetch_add(1, Ordering::Relaxed);
                }
                // Nobody waits for more, whatever ended it.
                done.store(u64::MAX, Ordering::Relaxed);
            });
            while done.load(Ordering::Relaxed) < quota && !client.is_finished() {
                std::thread::sleep(Duration::from_micros(200));
            }
            std::thread::sleep(moment);
            node.process.kill();
            client.join().unwrap();
        });
    }

    /// One change; an error is the kill. Anything the node itself answered but a success fails the test.
    pub(super) fn change(&mut self, control: &mut Control, dice: &mut Dice) -> std::io::Result<()> {
        let change = self.choose(dice);
        self.make(change, control, dice)
    }

    fn make(&mut self, change: Change, control: &mut Control, dice: &mut Dice) -> std::io::Result<()> {
        self.pending = Some(change.clone());
        match &change {
            Change::Create(name) => {
                let body = json!({"name": name, "permissions": ["cards:read"]});
                let made = control.post(KEYS, &body)?.expect(201).json();
                self.saw(&made);
                self.entries.push(Entry::new(Key::of(&made)));
            }
            Change::Edit(at, description) => {
                let target = format!("{KEYS}/{}", self.entries[*at].key.id);
                let edited = control.send("PATCH", &target, &json!({"description": description}))?.expect(200).json();
                self.saw(&edited);
                self.entries[*at].edited(description);
                self.edited += 1;
            }
            Change::Other(other) => self.others.make(other, control, dice)?,
            Change::Revoke(at) => {
                let revoked = control.revoke(&self.entries[*at].key.id)?;
                self.saw(&revoked);
                self.entries[*at].was_revoked();
            }
            Change::Rotate(at) => {
                let renewed = control.rotate(&self.entries[*at].key.id)?;
                self.entries[*at].renewed(renewed);
            }
        }
        self.pending = None;
        self.acknowledged += 1;
        Ok(())
    }

    fn saw(&mut self, key: &Value) {
        self.revision = self.revision.max(key["revision"].as_u64().unwrap());
    }

    fn choose(&mut self, dice: &mut Dice) -> Change {
        self.made += 1;
        let live: Vec<usize> = (0..self.entries.len()).filter(|at| !self.entries[*at].revoked).collect();
        if live.is_empty() {
            return Change::Create(format!("key-{}", self.made));
        }
        let at = live[dice.below(live.len())];
        match dice.below(12) {
            0..=2 => Change::Rotate(at),
            3..=4 => Change::Revoke(at),
            5..=6 => Change::Edit(at, format!("edit {}", self.made)),
            7..=8 => Change::Other(self.others.choose(self.made, dice)),
            _ => Change::Create(format!("key-{}", self.made)),
        }
    }

    /// Compares what was changed in the last run with what the node shows. The pending change may have happened, whole,
    /// or not at all; from here on it counts as what it was.
    pub(super) fn settle(&mut self, node: &mut Node) {
        let mut control = node.control();
        let status = control.get("/v1/status").unwrap().expect(200).json();
        assert!(status["store_revision"].as_u64().unwrap() >= self.revision, "{status}, told {}", self.revision);
        if let Some(pending) = self.pending.take() {
            self.cut_off += 1;
            self.happened += u64::from(self.resolve(&pending, &mut control, &mut node.edge()));
        }
        for entry in self.entries.iter_mut().filter(|entry| entry.touched) {
            entry.compare(&show(&mut control, &entry.key.id));
            entry.touched = false;
        }
        self.others.compare(&mut control);
    }

    /// Whether a change whose answer never came had happened.
    fn resolve(&mut self, pending: &Change, control: &mut Control, edge: &mut Wire) -> bool {
        match pending {
            Change::Create(name) => {
                let found = control.get(&format!("{KEYS}?q={name}&limit=100")).unwrap().expect(200).json();
                let found = found["data"].as_array().unwrap().iter().filter(|key| key["name"] == **name).count();
                assert!(found <= 1, "`{name}` is there {found} times");
                self.strays += found;
                found == 1
            }
            Change::Edit(at, description) => {
                let happened = show(control, &self.entries[*at].key.id)["description"] == **description;
                if happened {
                    self.entries[*at].edited(description);
                }
                happened
            }
            Change::Other(other) => self.others.resolve(other, control),
            Change::Revoke(at) => {
                let entry = &mut self.entries[*at];
                if show(control, &entry.key.id)["status"] == "revoked" {
                    entry.was_revoked();
                }
                entry.try_secret(edge);
                entry.revoked
            }
            Change::Rotate(at) => {
                let entry = &mut self.entries[*at];
                let happened = show(control, &entry.key.id)["secret_version"] == entry.secret_version + 1;
                if happened {
                    assert_refused(edge, &entry.key, None);
                    entry.lost();
                }
                entry.try_secret(edge);
                happened
            }
        }
    }

    /// Compares everything.
    pub(super) fn compare_whole(&mut self, control: &mut Control) {
        let listed = control.every_key();
        let shown: HashMap<String, &Value> = listed.iter().map(|key| (text(key, "client_id"), key)).collect();
        assert_eq!(shown.len(), listed.len(), "a key is listed twice");
        for entry in &self.entries {
            entry.compare(shown.get(&entry.key.id).unwrap_or_else(|| panic!("{} is lost", entry.key.id)));
        }
        assert_eq!(shown.len(), self.entries.len() + self.strays, "keys that nobody asked for");
    }

    pub(super) fn try_sample(&self, edge: &mut Wire, dice: &mut Dice) {
        (0..SAMPLE).for_each(|_| self.entries[dice.below(self.entries.len())].try_secret(edge));
    }

    pub(super) fn try_all(&self, edge: &mut Wire) {
        for entry in &self.entries {
            entry.try_secret(edge);
        }
        // Wrong secrets are counted and slowed down, so only some are tried.
        let rotated = self.entries.iter().filter(|entry| entry.former.is_some() && !entry.revoked);
        for entry in rotated.take(5) {
            let former = Key { id: entry.key.id.clone(), secret: entry.former.clone().unwrap() };
            assert_refused(edge, &former, None);
        }
    }

    /// The chain holds, and has a row for every change at least.
    pub(super) fn verify_audit(&self, control: &mut Control) {
        let answer = control.get("/v1/organizations/acme/audit/verify").unwrap();
        let verdict = answer.expect(200).json();
        assert_eq!((&verdict["ok"], &verdict["problem"]), (&json!(true), &Value::Null), "{verdict}");
        let changes = self.acknowledged + self.happened;
        assert!(verdict["rows"].as_u64().unwrap() >= changes, "{changes} changes: {verdict}");
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, cut_off, happened, edited, entries, others, .. } = self;
        let keys = entries.len();
        write!(
            f,
            "{acknowledged} acknowledged changes, {cut_off} cut off, of which {happened} had happened; {keys} keys"
        )?;
        write!(f, "; {edited} edits of keys, {others}")
    }
}

fn show(control: &mut Control, id: &str) -> Value {
    control.get(&format!("{KEYS}/{id}")).unwrap().expect(200).json()
}

impl Entry {
    fn new(key: Key) -> Self {
        Self {
            key,
            description: String::new(),
            former: None,
            secret_version: 1,
            revoked: false,
            secret_lost: false,
            touched: true,
        }
    }

    fn edited(&mut self, description: &str) {
        description.clone_into(&mut self.description);
        self.touched = true;
    }

    fn was_revoked(&mut self) {
        self.revoked = true;
        self.touched = true;
    }

    fn renewed(&mut self, renewed: Key) {
        self.former = Some(std::mem::replace(&mut self.key, renewed).secret);
        self.secret_version += 1;
        self.secret_lost = false;
        self.touched = true;
    }

    /// Rotated, and nobody was told the secret.
    fn lost(&mut self) {
        self.secret_version += 1;
        self.secret_lost = true;
        self.touched = true;
    }

    #[track_caller]
    fn compare(&self, shown: &Value) {
        assert_eq!(shown["status"], if self.revoked { "revoked" } else { "active" }, "{shown}");
        assert_eq!(shown["secret_version"], self.secret_version, "{shown}");
        assert_eq!(shown["description"], *self.description, "{shown}");
        assert_eq!(shown["permissions"], json!(["cards:read"]), "{shown}");
    }

    fn try_secret(&self, edge: &mut Wire) {
        if self.secret_lost {
            return;
        }
        if self.revoked {
            return assert_refused(edge, &self.key, Some("key_revoked"));
        }
        let token = edge.token(&self.key);
        edge.get(TARGET, &token).expect(200);
    }
}
