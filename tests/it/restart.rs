//! `kill -9`: what was acknowledged is there after the next start, and nothing is there by half.

mod ledger;
mod others;

use crate::process::{Api, Dice, Folder, Key, Process, Wire};
use ledger::Ledger;
use std::collections::HashMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

const TARGET: &str = "/v1/cards";
const PERMISSIONS: &str = r#""cards:read" = ["GET /cards"]"#;
const KILLS: u64 = 200;
const CHANGES: u64 = 10_000;
/// After how many kills every key is compared, and not only those of the last run.
const WHOLE_EVERY: u64 = 20;
const FIRST_STARTS: u32 = 30;

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

/// The promise: ten thousand changes, two hundred kills in the middle of one, nothing lost and nothing by half.
#[test]
fn kill_dash_nine_two_hundred_times_loses_none_of_ten_thousand_changes() {
    let api = Api::start();
    let folder = Folder::new(&api.url(), PERMISSIONS);
    let mut dice = Dice::roll();
    let mut ledger = Ledger::default();
    let mut slowest = Duration::ZERO;
    let began = Instant::now();
    for kill in 0..KILLS {
        let mut node = folder.start();
        if kill == 0 {
            ledger.look_around(&mut node.control());
        } else {
            slowest = slowest.max(node.start_took);
        }
        ledger.settle(&mut node);
        if kill % WHOLE_EVERY == 0 {
            ledger.compare_whole(&mut node.control());
        }
        ledger.try_sample(&mut node.edge(), &mut dice);
        // Around the same number each time, so that kills meet small stores and large ones.
        let due = (kill + 1) * CHANGES / KILLS;
        let quota = due.saturating_sub(ledger.acknowledged) + dice.below(40) as u64;
        ledger.change_until_killed(&mut node, quota.saturating_sub(20), &mut dice);
    }
    let mut node = folder.start();
    while ledger.acknowledged < CHANGES {
        ledger.change(&mut node.control(), &mut dice).unwrap();
    }
    ledger.settle(&mut node);
    ledger.compare_whole(&mut node.control());
    ledger.try_all(&mut node.edge());
    ledger.verify_audit(&mut node.control());
    eprintln!("{KILLS} kills in {:.1?}, slowest start {slowest:.1?}; {ledger}", began.elapsed());
    // Fewer would mean that hardly a kill met a change.
    assert!(ledger.cut_off > KILLS / 2, "only {} kills met a change", ledger.cut_off);
    assert!(ledger.edited > CHANGES / 50 && ledger.others.policies > CHANGES / 50, "{ledger}");
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
