//! Who waits, how long, and that a flood changes nothing about it.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
const SEED: [u64; 4] = [1, 2, 3, 4];
const LIMIT: Limit = Limit { free: 3, window: 600, longest_wait: 300 };

fn at(second: i64) -> Timestamp {
    NOW.plus_seconds(second)
}

fn fail(failures: &mut Failures, subject: &impl Hash, times: u32) {
    for _ in 0..times {
        failures.note(subject, NOW);
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn waits_double_up_to_the_longest() {
    let mut failures = Failures::new(LIMIT, 64, SEED);
    let waits: Vec<u32> = (0..16).map(|_| failures.note(&"a", NOW)).collect();
    assert_eq!(waits, [0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]);
    assert_eq!(failures.note(&"b", NOW), 0);
    assert_eq!(failures.wait(&"a", NOW), 300);
    assert_eq!(failures.wait(&"a", at(299)), 1);
    assert_eq!(failures.wait(&"a", at(300)), 0);
    // A clock that was set back makes nobody wait longer than the longest wait.
    assert_eq!(failures.wait(&"a", at(-5000)), 300);
}

#[test]
fn failures_are_forgotten() {
    let mut failures = Failures::new(LIMIT, 64, SEED);
    // Free ones: the window begins with the first.
    for second in [0, 300, 599] {
        assert_eq!(failures.note(&"a", at(second)), 0);
    }
    assert_eq!(failures.note(&"a", at(600)), 0);
    // Beyond the free ones: only quiet helps.
    let mut slow = Failures::new(LIMIT, 64, SEED);
    fail(&mut slow, &"a", 4);
    assert_eq!(slow.note(&"a", at(599)), 2);
    assert_eq!(slow.note(&"a", at(599 + 599)), 4);
    assert_eq!(slow.note(&"a", at(599 + 599 + 600)), 0);
}

#[test]
fn taken_back_and_forgotten() {
    let mut failures = Failures::new(LIMIT, 64, SEED);
    fail(&mut failures, &"a", 5);
    failures.take_back(&"a");
    assert_eq!(failures.wait(&"a", NOW), 1);
    failures.forget(&"a");
    assert_eq!((failures.wait(&"a", NOW), failures.note(&"a", NOW)), (0, 0));
    failures.take_back(&"nobody");
}

#[test]
fn sites() {
    for (one, other, same) in [
        ("203.0.113.9", "203.0.113.9", true),
        ("203.0.113.9", "::ffff:203.0.113.9", true),
        ("203.0.113.9", "203.0.113.8", false),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
    ] {
        assert_eq!(Site::of(address(one)) == Site::of(address(other)), same, "{one} {other}");
    }
}

/// A million forged ids neither grow the counter nor wash out those that failed often.
#[test]
fn a_flood_washes_nobody_out() {
    let mut failures = Failures::new(LIMIT, 1024, SEED);
    for subject in 0..20u32 {
        fail(&mut failures, &("dangerous", subject), 6);
    }
    for flood in 0..1_000_000u32 {
        failures.note(&flood, NOW);
    }
    assert_eq!(failures.buckets.len() * WAYS, 1024);
    for subject in 0..20u32 {
        assert_eq!(failures.note(&("dangerous", subject), NOW), 8, "{subject}");
    }
}

#[test]
fn clients_wait_by_id_and_by_address() {
    let mut throttle = ClientThrottle::new(SEED);
    let home = address("203.0.113.9");
    for _ in 0..10 {
        assert_eq!(throttle.failed("one", home, NOW), None);
    }
    assert_eq!((throttle.failed("one", home, NOW), throttle.failed("one", home, NOW)), (Some(1), Some(2)));
    // The same id from elsewhere waits as well, another id from here does not yet.
    assert_eq!(throttle.failed("one", address("198.51.100.7"), NOW), Some(4));
    for id in 0..18 {
        assert_eq!(throttle.failed(&format!("id{id}"), home, NOW), None, "{id}");
    }
    assert_eq!(throttle.failed("other", home, NOW), Some(1));
    assert_eq!(throttle.failed("other", address("198.51.100.7"), NOW), None);
}

#[test]
fn people_wait_before_their_password_is_looked_at() {
    let mut throttle = SignInThrottle::new(SEED);
    let (home, away) = (address("203.0.113.9"), address("198.51.100.7"));
    for _ in 0..5 {
        assert_eq!(throttle.attempt("a@example.com", home, NOW), Ok(()));
    }
    assert_eq!(throttle.attempt("a@example.com", home, NOW), Ok(()));
    assert_eq!(throttle.attempt("a@example.com", home, NOW), Err(1));
    // Waiting is not failing: the wait does not grow by asking.
    assert_eq!(throttle.attempt("a@example.com", home, NOW), Err(1));
    assert_eq!(throttle.attempt("a@example.com", home, at(1)), Ok(()));
    assert_eq!(throttle.attempt("a@example.com", home, at(1)), Err(2));
    assert_eq!(throttle.attempt("a@example.com", away, at(1)), Ok(()));
    assert_eq!(throttle.attempt("b@example.com", home, at(1)), Ok(()));
    throttle.succeeded("a@example.com", home);
    assert_eq!(throttle.attempt("a@example.com", home, at(1)), Ok(()));
}

#[test]
fn nobody_locks_another_person_out() {
    let mut throttle = SignInThrottle::new(SEED);
    let mut longest = 0;
    for attacker in 0..500u32 {
        let from = IpAddr::from([10, 1, (attacker / 250) as u8, (attacker % 250) as u8]);
        longest = throttle.attempt("a@example.com", from, NOW).err().unwrap_or(0).max(longest);
    }
    let wait = throttle.attempt("a@example.com", address("203.0.113.9"), NOW).unwrap_err();
    assert!(wait <= 5 && longest <= 5, "{wait} {longest}");
    assert_eq!(throttle.attempt("a@example.com", address("203.0.113.9"), at(5)), Ok(()));
}

#[test]
fn who_signs_in_is_never_slowed_down() {
    let mut throttle = SignInThrottle::new(SEED);
    for second in 0..1000 {
        assert_eq!(throttle.attempt("a@example.com", address("203.0.113.9"), at(second)), Ok(()));
        throttle.succeeded("a@example.com", address("203.0.113.9"));
    }
}

proptest! {
    /// With room for all, a plain map counts the same.
    #[test]
    fn counts_as_a_plain_map_would(steps in prop::collection::vec((0..6u8, 0..400i64), 0..200)) {
        let mut failures = Failures::new(LIMIT, 4096, SEED);
        let mut model: HashMap<u8, (u32, i64, i64)> = HashMap::new();
        let mut now = 0;
        for (subject, step) in steps {
            now += step;
            let known = model.entry(subject).or_insert((0, now, now));
            let since = if known.0 > LIMIT.free { known.2 } else { known.1 };
            if since + i64::from(LIMIT.window) <= now {
                *known = (0, now, now);
            }
            *known = (known.0 + 1, known.1, now);
            prop_assert_eq!(failures.note(&subject, at(now)), LIMIT.wait(known.0));
            for (subject, (count, _, last)) in &model {
                let left = (last + i64::from(LIMIT.wait(*count)) - now).max(0);
                prop_assert_eq!(i64::from(failures.wait(subject, at(now))), left);
            }
        }
    }
}
