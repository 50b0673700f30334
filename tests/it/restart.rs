//! `kill -9`: what was acknowledged is there after the next start, and nothing is there by half.

use crate::process::{Api, Control, Dice, Folder, Key, Node, Process, Wire};
use std::collections::HashMap;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const TARGET: &str = "/v1/cards";
const PERMISSIONS: &str = r#""cards:read" = ["GET /cards"]"#;
const KILLS: u64 = 100;
const FIRST_STARTS: u32 = 30;
/// Keys whose secrets are tried after each start; at the end all are.
const SAMPLE: usize = 3;

#[test]
fn kill_dash_nine_keeps_keys_revocations_and_tokens() {
    let api = Api::start();
    let folder = Folder::new(&api.url(), PERMISSIONS);
    let mut node = folder.start();
    let (mut control, mut edge) = (node.control(), node.edge());
    let kept = control.create("kept", &["cards:read"]).unwrap();
    let revoked = control.create("revoked", &["cards:read"]).unwrap();
    let rotated = control.create("rotated", &["cards:read"]).unwrap();
    let tokens = [&kept, &revoked, &rotated].map(|key| edge.token(key));
    for token in &tokens {
        edge.get(TARGET, token).expect(200);
    }
    control.revoke(&revoked.id).unwrap();
    let renewed = control.rotate(&rotated.id).unwrap();
    node.process.kill();

    let node = folder.start();
    let mut edge = node.edge();
    // Genuine tokens of before: the signing key is the same one, and the keys are in the state they were left in.
    edge.get(TARGET, &tokens[0]).expect(200);
    edge.get(TARGET, &tokens[1]).refused(401, "key_revoked");
    edge.get(TARGET, &tokens[2]).refused(401, "secret_rotated");
    for key in [&kept, &renewed] {
        let token = edge.token(key);
        edge.get(TARGET, &token).expect(200);
    }
    assert_refused(&mut edge, &revoked, Some("key_revoked"));
    assert_refused(&mut edge, &rotated, None);
    let names = |keys: Vec<serde_json::Value>| -> HashMap<String, String> {
        keys.iter().map(|key| (text(key, "name"), text(key, "status"))).collect()
    };
    let expected = [("kept", "active"), ("revoked", "revoked"), ("rotated", "active")];
    let expected = expected.into_iter().map(|(name, status)| (name.to_owned(), status.to_owned())).collect();
    assert_eq!(names(node.control().every_key()), expected);
}

#[test]
fn kill_dash_nine_a_hundred_times_loses_nothing_acknowledged() {
    let api = Api::start();
    let folder = Folder::new(&api.url(), PERMISSIONS);
    let mut dice = Dice::roll();
    let mut ledger = Ledger::default();
    let (mut slowest, mut acknowledged) = (Duration::ZERO, 0);
    let began = Instant::now();
    for kill in 0..KILLS {
        let mut node = folder.start();
        if kill > 0 {
            slowest = slowest.max(node.start_took);
        }
        ledger.settle(&mut node.control());
        ledger.try_sample(&mut node.edge(), &mut dice);
        acknowledged += ledger.change_until_killed(&mut node, &mut dice);
    }
    let node = folder.start();
    ledger.settle(&mut node.control());
    ledger.try_all(&mut node.edge());
    eprintln!(
        "{KILLS} kills in {:.1?}, {acknowledged} acknowledged changes, {} keys, slowest start {slowest:.1?}",
        began.elapsed(),
        ledger.entries.len()
    );
    // Fewer would mean that hardly a kill met a change.
    assert!(acknowledged > KILLS, "only {acknowledged} changes");
}

/// The first start makes a database, a secret key, a signing key and a bootstrap token. Whichever of them a kill leaves
/// behind, the next start must come to a node that works.
#[test]
fn kill_dash_nine_during_a_first_start_leaves_nothing_that_the_next_trips_over() {
    let api = Api::start();
    let mut dice = Dice::roll();
    let whole = Folder::new(&api.url(), PERMISSIONS).start().start_took;
    for _ in 0..FIRST_STARTS {
        let folder = Folder::new(&api.url(), PERMISSIONS);
        let moment = Duration::from_micros(u64::try_from(dice.below(micros(whole))).unwrap());
        let mut process = Process::spawn(folder.command("serve").stdout(Stdio::null()));
        std::thread::sleep(moment);
        process.kill();
        let left = || std::fs::read_dir(folder.path("data")).map(|files| files.map(|file| file.unwrap().file_name()));
        eprintln!("killed after {moment:?} of {whole:?}, leaving {:?}", left().map(Iterator::collect::<Vec<_>>));
        let node = folder.start();
        let key = node.control().create("first", &["cards:read"]).unwrap();
        let mut edge = node.edge();
        let token = edge.token(&key);
        edge.get(TARGET, &token).expect(200);
    }
}

fn micros(time: Duration) -> usize {
    usize::try_from(time.as_micros()).unwrap()
}

/// What we were told about one key.
struct Entry {
    key: Key,
    /// The secret before the last rotation.
    former: Option<String>,
    secret_version: u64,
    revoked: bool,
    /// Rotated by a request whose answer never came: nobody knows the secret.
    secret_lost: bool,
}

/// Every acknowledged state, and the one request that was under way when the process was killed.
#[derive(Default)]
struct Ledger {
    entries: Vec<Entry>,
    pending: Option<Change>,
    /// Keys of creates whose answer never came.
    strays: u64,
    made: u64,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Create,
    Rotate(usize),
    Revoke(usize),
}

impl Ledger {
    /// Changes keys in a row while the clock runs, then kills; returns how many changes were acknowledged.
    fn change_until_killed(&mut self, node: &mut Node, dice: &mut Dice) -> u64 {
        let mut control = node.control();
        let moment = Duration::from_micros(u64::try_from(dice.below(300_000)).unwrap());
        let mut choices = dice.split();
        let (started, start) = mpsc::channel();
        std::thread::scope(|scope| {
            let client = scope.spawn(|| {
                started.send(()).unwrap();
                let mut acknowledged = 0;
                while self.change(&mut control, &mut choices).is_ok() {
                    acknowledged += 1;
                }
                acknowledged
            });
            start.recv().unwrap();
            std::thread::sleep(moment);
            node.process.kill();
            client.join().unwrap()
        })
    }

    /// One change; an error is the kill. Anything the node itself answered but a success fails the test.
    fn change(&mut self, control: &mut Control, dice: &mut Dice) -> std::io::Result<()> {
        let change = self.choose(dice);
        self.pending = Some(change);
        match change {
            Change::Create => {
                self.made += 1;
                let key = control.create(&format!("key-{}", self.made), &["cards:read"])?;
                self.entries.push(Entry { key, former: None, secret_version: 1, revoked: false, secret_lost: false });
            }
            Change::Rotate(at) => {
                let entry = &mut self.entries[at];
                let renewed = control.rotate(&entry.key.id)?;
                entry.former = Some(std::mem::replace(&mut entry.key, renewed).secret);
                entry.secret_version += 1;
                entry.secret_lost = false;
            }
            Change::Revoke(at) => {
                let entry = &mut self.entries[at];
                control.revoke(&entry.key.id)?;
                entry.revoked = true;
            }
        }
        self.pending = None;
        Ok(())
    }

    fn choose(&self, dice: &mut Dice) -> Change {
        let live: Vec<usize> = (0..self.entries.len()).filter(|at| !self.entries[*at].revoked).collect();
        if live.is_empty() {
            return Change::Create;
        }
        let at = live[dice.below(live.len())];
        match dice.below(10) {
            0..=1 => Change::Rotate(at),
            2 => Change::Revoke(at),
            _ => Change::Create,
        }
    }

    /// Compares everything with what the node shows. The pending change may have happened, whole, or not at all.
    fn settle(&mut self, control: &mut Control) {
        let listed = control.every_key();
        let shown: HashMap<String, &serde_json::Value> =
            listed.iter().map(|key| (text(key, "client_id"), key)).collect();
        assert_eq!(shown.len(), listed.len(), "a key is listed twice");
        let pending = self.pending.take();
        if let Some(Change::Rotate(at)) = pending {
            let entry = &mut self.entries[at];
            if shown[&entry.key.id]["secret_version"] == entry.secret_version + 1 {
                entry.secret_version += 1;
                entry.secret_lost = true;
            }
        }
        if let Some(Change::Revoke(at)) = pending {
            let entry = &mut self.entries[at];
            entry.revoked = shown[&entry.key.id]["status"] == "revoked";
        }
        for entry in &self.entries {
            let key = shown.get(&entry.key.id).unwrap_or_else(|| panic!("{} is lost", entry.key.id));
            let status = if entry.revoked { "revoked" } else { "active" };
            assert_eq!(key["status"], status, "{key}; under way was {pending:?}");
            assert_eq!(key["secret_version"], entry.secret_version, "{key}; under way was {pending:?}");
            assert_eq!(key["permissions"], serde_json::json!(["cards:read"]), "{key}");
        }
        let strays = u64::try_from(shown.len() - self.entries.len()).unwrap();
        let allowed = self.strays + u64::from(matches!(pending, Some(Change::Create)));
        assert!((self.strays..=allowed).contains(&strays), "{strays} unknown keys, {} before", self.strays);
        self.strays = strays;
    }

    fn try_sample(&self, edge: &mut Wire, dice: &mut Dice) {
        if !self.entries.is_empty() {
            (0..SAMPLE).for_each(|_| self.entries[dice.below(self.entries.len())].try_secret(edge));
        }
    }

    fn try_all(&self, edge: &mut Wire) {
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
}

impl Entry {
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

/// No token for these credentials; with a proven secret the answer says why.
#[track_caller]
fn assert_refused(edge: &mut Wire, key: &Key, reason: Option<&str>) {
    let answer = edge.ask_token(key).expect(401);
    assert_eq!(answer.json()["error"], "invalid_client", "{answer}");
    if reason.is_some() {
        assert_eq!(answer.field("portcullis-error"), reason, "{answer}");
    }
}

fn text(value: &serde_json::Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}
