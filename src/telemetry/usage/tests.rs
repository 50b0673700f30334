//! Nothing recorded is lost or told twice, whoever records meanwhile.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

fn id(number: usize) -> ClientId {
    ClientId::parse(&format!("key_{number}")).unwrap()
}

fn operation(number: usize) -> Arc<str> {
    format!("op_{number}").into()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn uses_are_told_once() {
    let recorder = UsageRecorder::default();
    assert_eq!(recorder.drain(), []);
    recorder.record(&id(1), &operation(2), address("203.0.113.9"), NOW);
    recorder.record(&id(1), &operation(1), address("2001:db8::1"), NOW.plus_seconds(1));
    recorder.record(&id(1), &operation(2), address("2001:db8::1"), NOW.plus_seconds(1));
    recorder.record_issue(&id(0), address("198.51.100.7"), NOW);
    let operations = vec![(operation(1), 1), (operation(2), 2)];
    let one = KeyUse {
        client_id: id(1),
        last_used_at: NOW.plus_seconds(1),
        last_address: address("2001:db8::1"),
        operations,
    };
    let zero =
        KeyUse { client_id: id(0), last_used_at: NOW, last_address: address("198.51.100.7"), operations: vec![] };
    assert_eq!(recorder.drain(), [zero.clone(), one]);
    assert_eq!(recorder.drain(), []);
    recorder.record_issue(&id(0), address("198.51.100.7"), NOW.plus_seconds(5));
    assert_eq!(recorder.drain(), [KeyUse { last_used_at: NOW.plus_seconds(5), ..zero }]);
}

#[test]
fn an_older_instant_never_replaces_a_later_one() {
    let recorder = UsageRecorder::default();
    recorder.record_issue(&id(0), address("203.0.113.9"), NOW);
    recorder.record(&id(0), &operation(0), address("203.0.113.1"), NOW.plus_seconds(-1));
    let [used] = recorder.drain().try_into().unwrap();
    assert_eq!((used.last_used_at, used.last_address), (NOW, address("203.0.113.9")));
}

#[test]
fn what_could_not_be_written_is_told_again() {
    let recorder = UsageRecorder::default();
    recorder.record(&id(0), &operation(0), address("203.0.113.9"), NOW);
    recorder.record_issue(&id(1), address("203.0.113.9"), NOW);
    let taken = recorder.drain();
    recorder.record(&id(0), &operation(0), address("203.0.113.1"), NOW.plus_seconds(1));
    recorder.restore(&taken);
    let again = recorder.drain();
    assert_eq!(again.len(), 2);
    assert_eq!((again[0].last_used_at, again[0].last_address), (NOW.plus_seconds(1), address("203.0.113.1")));
    assert_eq!(again[0].operations, [(operation(0), 2)]);
    assert_eq!(again[1], taken[1]);
}

#[test]
fn idle_keys_are_forgotten() {
    let recorder = UsageRecorder::default();
    let many = 2 * IDLE_ENTRIES;
    for number in 0..many {
        recorder.record(&id(number), &operation(0), address("203.0.113.9"), NOW);
    }
    assert_eq!(recorder.drain().len(), many);
    recorder.record(&id(7), &operation(0), address("203.0.113.9"), NOW.plus_seconds(1));
    assert_eq!(recorder.drain().len(), 1);
    assert_eq!(recorder.current.load().keys.len(), 0);
    assert_eq!(recorder.drain(), []);
    assert!(recorder.retired.lock().is_empty());
}

/// Threads record while another drains, begins anew and gives back; in the end every count is there.
#[test]
fn nothing_is_lost_or_told_twice_while_others_record() {
    const THREADS: usize = 4;
    const EACH: usize = 60_000;
    let recorder = UsageRecorder::default();
    let done = AtomicBool::new(false);
    let mut told: HashMap<(ClientId, Arc<str>), u64> = HashMap::new();
    let mut drains = 0;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let recorder = &recorder;
                scope.spawn(move || {
                    for at in 0..EACH {
                        // Some keys are busy, many are seen once: generations come and go.
                        let key = if at % 4 == 0 { 100 + thread * EACH + at } else { at % 5 };
                        let now = NOW.plus_seconds((at / 1000) as i64);
                        recorder.record(&id(key), &operation(at % 3), address("203.0.113.9"), now);
                    }
                })
            })
            .collect();
        let drainer = scope.spawn(|| {
            let mut told = Vec::new();
            while !done.load(Ordering::Acquire) {
                let taken = recorder.drain();
                drains += 1;
                if drains % 3 == 0 { recorder.restore(&taken) } else { told.extend(taken) }
            }
            told
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        done.store(true, Ordering::Release);
        let all = drainer.join().unwrap().into_iter().chain(recorder.drain()).chain(recorder.drain());
        for used in all {
            assert!(used.last_used_at >= NOW && used.last_address == address("203.0.113.9"));
            for (operation, count) in used.operations {
                *told.entry((used.client_id.clone(), operation)).or_default() += count;
            }
        }
    });
    let mut expected: HashMap<(ClientId, Arc<str>), u64> = HashMap::new();
    for thread in 0..THREADS {
        for at in 0..EACH {
            let key = if at % 4 == 0 { 100 + thread * EACH + at } else { at % 5 };
            *expected.entry((id(key), operation(at % 3))).or_default() += 1;
        }
    }
    assert!(drains > 1);
    assert!(told == expected, "{} of {}", told.values().sum::<u64>(), THREADS * EACH);
}

/// The address is never half of one and half of another.
#[test]
fn last_addresses_are_whole() {
    let last = LastUse::default();
    let addresses = ["2001:db8::1", "fd00:1111:2222:3333:4444:5555:6666:7777", "203.0.113.9"].map(address);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = addresses
            .iter()
            .map(|address| {
                let last = &last;
                scope.spawn(move || (0..50_000).for_each(|_| last.note(NOW, *address)))
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                if let Some((_, at, address)) = last.read() {
                    assert!(at == NOW && addresses.contains(&address), "{address}");
                }
            }
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Release);
    });
}

#[derive(Clone, Debug)]
enum Step {
    Drain,
    Issue(usize),
    Record(usize, usize),
    Restore,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Drain),
        (0..3usize).prop_map(Step::Issue),
        (0..3usize, 0..3usize).prop_map(|(key, operation)| Step::Record(key, operation)),
        Just(Step::Restore),
    ]
}

proptest! {
    /// Against a plain map: each drain tells exactly what was recorded or given back since the last one.
    #[test]
    fn drains_tell_what_a_plain_map_would(steps in prop::collection::vec(step(), 0..80)) {
        let recorder = UsageRecorder::default();
        let mut model: BTreeMap<ClientId, Taken> = BTreeMap::new();
        let mut last = Vec::new();
        for (second, step) in (0..).zip(steps) {
            let (now, from) = (NOW.plus_seconds(second), address("203.0.113.9"));
            match step {
                Step::Issue(key) => {
                    recorder.record_issue(&id(key), from, now);
                    model.entry(id(key)).or_default().note(now, from);
                }
                Step::Record(key, number) => {
                    recorder.record(&id(key), &operation(number), from, now);
                    let taken = model.entry(id(key)).or_default();
                    taken.note(now, from);
                    *taken.operations.entry(operation(number)).or_default() += 1;
                }
                Step::Drain => {
                    last = recorder.drain();
                    let expected: Vec<KeyUse> =
                        std::mem::take(&mut model).into_iter().map(|(client_id, taken)| taken.finish(client_id)).collect();
                    prop_assert_eq!(&last, &expected);
                }
                Step::Restore => {
                    recorder.restore(&last);
                    for used in std::mem::take(&mut last) {
                        let taken = model.entry(used.client_id).or_default();
                        taken.note(used.last_used_at, used.last_address);
                        for (operation, count) in used.operations {
                            *taken.operations.entry(operation).or_default() += count;
                        }
                    }
                }
            }
        }
    }
}
