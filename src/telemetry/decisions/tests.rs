//! What is remembered, for how long, and who may make it be forgotten.

use super::*;

const NOON: Timestamp = Timestamp::from_unix(1_900_000_000);
const HERE: EnvironmentIndex = EnvironmentIndex(0);
const THERE: EnvironmentIndex = EnvironmentIndex(1);

fn key(number: usize) -> ClientId {
    ClientId::parse(&format!("pcull_{number}")).unwrap()
}

fn id(number: u128) -> String {
    format!("{number:032x}")
}

/// Records a request that was refused, or permitted where it was not.
fn record(log: &DecisionLog, place: EnvironmentIndex, whose: Option<&ClientId>, number: u128, denial: Option<Denial>) {
    record_at(log, place, whose, number, denial, NOON);
}

fn record_at(
    log: &DecisionLog,
    place: EnvironmentIndex,
    whose: Option<&ClientId>,
    number: u128,
    denial: Option<Denial>,
    at: Timestamp,
) {
    let operation: Arc<str> = "listCards".into();
    log.record(
        place,
        whose,
        Decided {
            request_id: &id(number),
            at,
            method: &Method::GET,
            path: b"/v1/cards",
            address: Some("192.0.2.1".parse().unwrap()),
            operation: denial.is_none().then_some(&operation),
            status: denial.as_ref().map_or(200, Denial::status),
            outcome: if denial.is_some() { Outcome::Denied } else { Outcome::Forwarded },
            told: denial.map(Told::Denial),
        },
    );
}

#[test]
fn a_decision_comes_back_as_it_was_made() {
    let log = DecisionLog::default();
    record(&log, HERE, Some(&key(1)), 1, Some(Denial::KeyExpired));
    record(&log, HERE, Some(&key(1)), 2, None);
    let recent = log.recent(HERE, &key(1));
    assert_eq!(recent.iter().map(|found| found.request_id.clone()).collect::<Vec<_>>(), [id(2), id(1)]);
    assert_eq!(
        recent[1],
        Decision {
            request_id: id(1),
            at: NOON,
            client_id: Some(key(1)),
            method: "GET".to_owned(),
            path: "/v1/cards".to_owned(),
            address: Some("192.0.2.1".parse().unwrap()),
            operation: None,
            status: 401,
            outcome: Outcome::Denied,
            code: Some("key_expired"),
            detail: Some(Denial::KeyExpired.detail()),
        }
    );
    assert_eq!(
        (recent[0].operation.as_deref(), recent[0].code, recent[0].detail.as_deref()),
        (Some("listCards"), None, None)
    );
    assert_eq!(log.find(HERE, &id(1)).as_ref(), Some(&recent[1]));
    assert_eq!(log.find(HERE, &id(1).to_uppercase()).as_ref(), Some(&recent[1]));
}

#[test]
fn another_environment_and_another_key_see_nothing() {
    let log = DecisionLog::default();
    record(&log, HERE, Some(&key(1)), 1, None);
    record(&log, HERE, None, 2, Some(Denial::TokenMissing));
    assert!(log.recent(THERE, &key(1)).is_empty() && log.recent(HERE, &key(2)).is_empty());
    for number in 1..=2 {
        assert!(log.find(HERE, &id(number)).is_some() && log.find(THERE, &id(number)).is_none());
    }
    for text in ["", "1", &id(3), &format!("+{}", &id(1)[1..]), &format!("{}0", id(1)), "é"] {
        assert_eq!(log.find(HERE, text), None, "{text}");
    }
}

#[test]
fn the_last_of_each_are_kept() {
    let log = DecisionLog::default();
    for number in 0..100 {
        record(&log, HERE, Some(&key(1)), number, None);
        record(&log, HERE, None, 1000 + number, Some(Denial::TokenMissing));
    }
    let recent = log.recent(HERE, &key(1));
    assert_eq!(recent.len(), OF_A_KEY);
    assert_eq!((recent[0].request_id.clone(), recent[31].request_id.clone()), (id(99), id(68)));
    let found = (0..100).filter(|number| log.find(HERE, &id(1000 + number)).is_some()).count();
    assert_eq!(found, OF_NOBODY);
}

#[test]
fn lists_are_bounded_and_the_one_in_use_stays() {
    let log = DecisionLog::default();
    record(&log, HERE, Some(&key(0)), 0, None);
    for number in 1..20_000 {
        record(&log, HERE, Some(&key(number)), number as u128, None);
        if number % 50 == 0 {
            assert_eq!(log.recent(HERE, &key(0)).len(), 1, "{number}");
        }
    }
    let kept: usize = log.shards.iter().map(|shard| shard.lock().lists.len()).sum();
    assert!(kept <= MOST_LISTS && kept > MOST_LISTS / 2, "{kept}");
    assert!(log.recent(HERE, &key(1)).is_empty());
}

#[test]
fn an_environment_makes_room_for_itself_first() {
    let log = DecisionLog::default();
    for number in 0..20 {
        record(&log, THERE, Some(&key(number)), number as u128, None);
    }
    for number in 0..20_000 {
        record(&log, HERE, Some(&key(number)), number as u128, None);
    }
    assert!((0..20).all(|number| log.recent(THERE, &key(number)).len() == 1));
    // Who comes later finds room up to its share, and no more.
    for number in 0..20_000 {
        record(&log, THERE, Some(&key(number)), number as u128, None);
    }
    for shard in &log.shards {
        let shard = shard.lock();
        assert_eq!(shard.lists.len(), MOST_LISTS / SHARDS);
        assert_eq!((shard.shares[&HERE], shard.shares[&THERE]), (64, 64));
    }
    record(&log, EnvironmentIndex(2), None, 7, None);
    assert!(log.find(EnvironmentIndex(2), &id(7)).is_some());
}

#[test]
fn the_newest_refusals_are_found_whoever_s_they_are() {
    let log = DecisionLog::default();
    let hour = |passed: i32| NOON.plus_seconds(i64::from(passed) * 3600);
    for number in 0..300 {
        let refused = Some(Denial::KeyExpired);
        record_at(&log, HERE, Some(&key(number as usize % 7)), number as u128, refused, hour(number));
        record_at(&log, HERE, Some(&key(number as usize % 7)), 1000 + number as u128, None, hour(number));
    }
    let found = |most| -> Vec<String> {
        log.refused(HERE, "key_expired", most).into_iter().map(|found| found.request_id).collect()
    };
    assert_eq!(found(5), [299, 298, 297, 296, 295].map(id));
    // Half of what is kept of each key was permitted.
    assert_eq!(found(1000).len(), 7 * OF_A_KEY / 2);
    assert!(found(0).is_empty() && log.refused(HERE, "token_missing", 5).is_empty());
    assert!(log.refused(THERE, "key_expired", 5).is_empty());
}

#[test]
fn paths_are_text_of_a_bounded_length() {
    assert_eq!(&*shortened(b"/a"), "/a");
    assert_eq!(&*shortened(b"/\xff"), "/\u{fffd}");
    for path in [vec![b'a'; 10_000], vec![0xff; 10_000], "é".repeat(500).into_bytes()] {
        let kept = shortened(&path);
        assert!(kept.len() <= PATH_BYTES && kept.len() > PATH_BYTES - 4, "{}", kept.len());
    }
}
