//! Revoked means refused: the first request after the answer, ten thousand times, while others hammer the same key.

use crate::process::{Api, Control, Folder, Key, Node, Wire};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

const ROTATIONS: u32 = 10_000;
const REVOCATIONS: u32 = 500;
const HAMMERS: usize = 4;
const TARGET: &str = "/v1/cards";

/// Threads that send the token of the moment as fast as they can.
struct Hammers {
    token: Arc<Mutex<String>>,
    stop: Arc<AtomicBool>,
    /// Answers of 200 and of 401.
    answers: Arc<[AtomicU64; 2]>,
    threads: Vec<JoinHandle<()>>,
}

impl Hammers {
    fn start(node: &Node, token: &str) -> Self {
        let mut hammers = Self {
            token: Arc::new(Mutex::new(token.to_owned())),
            stop: Arc::default(),
            answers: Arc::default(),
            threads: Vec::new(),
        };
        for _ in 0..HAMMERS {
            let (token, stop) = (Arc::clone(&hammers.token), Arc::clone(&hammers.stop));
            let (answers, wire) = (Arc::clone(&hammers.answers), node.edge());
            hammers.threads.push(std::thread::spawn(move || hammer(wire, &token, &stop, &answers)));
        }
        hammers
    }

    fn use_token(&self, token: &str) {
        token.clone_into(&mut self.token.lock().unwrap());
    }

    /// Ends them and tells how many answers of 200 and of 401 they got.
    fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        (self.answers[0].load(Ordering::Relaxed), self.answers[1].load(Ordering::Relaxed))
    }
}

fn hammer(mut wire: Wire, token: &Mutex<String>, stop: &AtomicBool, answers: &[AtomicU64; 2]) {
    while !stop.load(Ordering::Relaxed) {
        let token = token.lock().unwrap().clone();
        let answer = wire.get(TARGET, &token);
        match answer.status {
            200 => answers[0].fetch_add(1, Ordering::Relaxed),
            401 => answers[1].fetch_add(1, Ordering::Relaxed),
            _ => panic!("neither served nor refused: {answer}"),
        };
    }
}

#[test]
fn hammer_rotation_refuses_the_very_next_request() {
    let api = Api::start();
    let folder = Folder::new(&api.url(), r#""cards:read" = ["GET /cards"]"#);
    let node = folder.start();
    let (mut control, mut edge) = (node.control(), node.edge());
    let key = control.create("hammered", &["cards:read"]).unwrap();
    let token = edge.token(&key);
    let hammers = Hammers::start(&node, &token);

    let began = Instant::now();
    rotate_again_and_again(&mut control, &mut edge, key, token, &hammers);
    let rotations_took = began.elapsed();

    let began = Instant::now();
    for number in 0..REVOCATIONS {
        let key = control.create(&format!("revoked-{number}"), &["cards:read"]).unwrap();
        let token = edge.token(&key);
        hammers.use_token(&token);
        edge.get(TARGET, &token).expect(200);
        control.revoke(&key.id).unwrap();
        edge.get(TARGET, &token).refused(401, "key_revoked");
    }
    let revocations_took = began.elapsed();

    let (served, refused) = hammers.stop();
    eprintln!(
        "{ROTATIONS} rotations in {rotations_took:.1?}, {REVOCATIONS} revocations in {revocations_took:.1?}; beside \
         them {served} requests served and {refused} refused; {} edge connections",
        edge.connections
    );
    assert!(served > 0 && refused > 0, "the hammers did not race: {served} served, {refused} refused");
}

fn rotate_again_and_again(control: &mut Control, edge: &mut Wire, mut key: Key, mut token: String, hammers: &Hammers) {
    for _ in 0..ROTATIONS {
        key = control.rotate(&key.id).unwrap();
        edge.get(TARGET, &token).refused(401, "secret_rotated");
        token = edge.token(&key);
        hammers.use_token(&token);
        edge.get(TARGET, &token).expect(200);
    }
}
