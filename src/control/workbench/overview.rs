//! An environment at a glance; every number leads to the list that it counts.

use super::answer::page;
use super::chart::{HourBars, bars};
use super::shell::{Section, Shell};
use super::visit::Visit;
use super::words::{Moment, code_words, number};
use crate::control::KeyQuery;
use crate::control::api::Refusal;
use crate::model::KeyStatus;
use crate::store::KeySort;
use askama::Template;
use axum::response::Response;

/// Keys that end next, on the page.
const NEXT: u32 = 5;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    shell: Shell,
    base: String,
    environment: String,
    organization: String,
    may_change: bool,
    now: Moment,
    stats: Vec<Stat>,
    hours: Vec<HourBars>,
    allowed: String,
    refused: String,
    is_quiet: bool,
    reasons: Vec<Reason>,
    refused_total: u64,
    ending: Vec<(String, String, Moment)>,
}

/// A number that leads to its list.
struct Stat {
    label: &'static str,
    href: String,
    number: String,
    note: String,
}

/// Why requests were refused, and how many.
struct Reason {
    code: String,
    words: &'static str,
    count: u64,
    text: String,
}

pub(super) async fn show(visit: Visit) -> Result<Response, Refusal> {
    let id = visit.environment()?;
    let overview = visit.control().overview(&visit.asking, &id).await?;
    let soon = KeyQuery {
        limit: NEXT,
        sort: KeySort::Expires,
        descending: false,
        status: Some(KeyStatus::Active),
        expires_before: Some(overview.now.plus_seconds(super::one_key::SOON)),
        ..KeyQuery::default()
    };
    let ending = visit.control().list_keys(&visit.asking, &id, soon).await?.keys;
    let shell = visit.shell_in(&id, Section::Overview, "Overview").await;
    let base = super::base_of(&id);
    let sum = |of: fn(&crate::control::HourTraffic) -> u64| overview.hours.iter().map(of).fold(0, u64::saturating_add);
    let (allowed, refused) = (sum(|hour| hour.allowed), sum(|hour| hour.refused));
    let end = |key: &crate::model::ApiKey| {
        let url = format!("{base}/keys/{}", key.client_id);
        Some((url, key.name.as_str().to_owned(), Moment::new(key.expires_at?, overview.now)))
    };
    page(&OverviewPage {
        environment: id.environment.to_string(),
        organization: shell.here.as_ref().map_or_else(String::new, |here| here.name.clone()),
        may_change: shell.here.as_ref().is_some_and(|here| here.changes_keys),
        now: Moment::new(overview.now, overview.now),
        stats: stats(&base, &overview.keys),
        hours: bars(&overview.hours),
        allowed: number(allowed),
        refused: number(refused),
        is_quiet: allowed == 0 && refused == 0,
        refused_total: refused,
        reasons: overview.refusals.iter().map(|(code, count)| Reason::new(code, *count)).collect(),
        ending: ending.iter().filter_map(end).collect(),
        base,
        shell,
    })
}

fn stats(base: &str, keys: &crate::store::KeyCounts) -> Vec<Stat> {
    let stat = |label, query: &str, count: u64, note: String| Stat {
        label,
        href: format!("{base}/keys?{query}"),
        number: number(count),
        note: if count == 0 { "none".to_owned() } else { note },
    };
    let mut stats = vec![
        stat("Active", "status=active", keys.active, String::new()),
        stat("Expiring in 14 days", "status=expiring", keys.expiring, "rotate them in time".to_owned()),
        stat("Unused for 90 days", "status=unused", keys.unused, "revoke what nobody needs".to_owned()),
        stat("Legacy", "status=active&type=legacy", keys.legacy, "active, with a role".to_owned()),
    ];
    if let Some(active) = stats.first_mut() {
        active.note = format!("of {} keys", number(keys.total));
    }
    stats
}

impl Reason {
    fn new(code: &str, count: u64) -> Self {
        Self { code: code.to_owned(), words: code_words(code), count, text: number(count) }
    }
}
