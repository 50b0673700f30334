//! The conformance suite of the store: one set of behaviours, run against every implementation.
//!
//! A behaviour sees a [`Home`] and nothing of what is behind it. An implementation joins by making a `Home` and
//! naming it in one `conformance!` line below. What only one implementation can do (a damaged file) is tested in
//! the file of that implementation.

mod changes;
mod environments;
mod holders;
mod keys;
mod listing;
mod people;
mod secrets;
mod sqlite;
mod together;
mod usage;

use portcullis::model::{
    Act, Actor, Allowlist, ClientId, EnvironmentId, Identifier, KeyKind, KeyName, MemberId, Network, PermissionName,
    Revision, SecretDigest, Timestamp,
};
use portcullis::store::{KeyFilter, NewKey, Page, Rotation, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where one test keeps its store.
#[async_trait::async_trait]
trait Home: Send + Sync {
    /// Opens the store. A second call opens the same one again, as another process would.
    async fn open(&self) -> Arc<dyn Store>;
}

/// Runs every behaviour of the suite as a test of its own; `$home` is evaluated once for each.
macro_rules! conformance {
    ($name:ident, $home:expr) => {
        conformance! { $name, $home,
            changes::the_feed_is_ordered_and_bounded,
            changes::a_new_store_is_empty,
            changes::revisions_grow_and_stamp,
            changes::refused_changes_leave_no_trace,
            environments::an_environment_comes_back_as_it_was_written,
            environments::a_change_is_made_of_what_was_judged,
            environments::an_organization_has_to_be_there,
            environments::documents_are_kept_once_and_as_long_as_they_are_used,
            environments::living_keys_hold_an_environment,
            environments::living_keys_hold_their_role,
            environments::a_key_is_made_where_its_environment_and_role_are,
            environments::all_come_in_batches,
            environments::changes_are_told_in_feed_and_log,
            environments::a_refused_change_of_one_leaves_no_trace,
            holders::living_keys_that_hold_a_permission_are_counted_and_named,
            holders::keys_that_outlive_a_policy_are_counted_for_each_life,
            holders::what_is_held_beyond_the_known_is_found,
            keys::a_key_comes_back_as_it_was_made,
            keys::a_key_belongs_to_its_environment,
            keys::a_missing_key_is_not_found,
            keys::a_name_is_taken_ignoring_case,
            keys::a_name_is_free_in_another_environment,
            keys::revoking_frees_the_name,
            keys::revoking_again_changes_nothing,
            keys::revoking_checks_the_expected_revision,
            keys::rotation_replaces_the_secret_and_the_expiry,
            keys::rotation_keeps_replaces_or_opens_the_allowlist,
            keys::rotation_revives_an_expired_key,
            keys::a_revoked_key_does_not_rotate,
            keys::rotation_checks_the_expected_revision,
            keys::only_rotation_bumps_the_secret_version,
            listing::pages_lose_and_repeat_nothing,
            listing::pages_hold_while_keys_are_made,
            listing::a_limit_is_held_to_its_range,
            listing::a_place_need_not_be_there,
            listing::lists_are_sorted_both_ways,
            listing::newest_first_then_client_id,
            listing::status_is_judged_at_now,
            listing::filters_by_kind_and_expiry,
            listing::text_is_found_literally_and_without_case,
            listing::all_keys_come_in_batches,
            people::a_member_comes_back_as_added,
            people::an_address_is_one_person,
            people::members_come_in_pages,
            people::the_last_owner_stays,
            people::of_two_owners_that_leave_at_once_one_stays,
            people::who_rises_loses_what_others_made,
            people::who_leaves_leaves_nothing_behind,
            people::an_invitation_counts_once_and_for_a_while,
            people::a_new_password_ends_other_sessions,
            people::a_changed_password_ends_other_sessions,
            people::a_password_in_place_of_another_ends_tokens,
            people::a_session_ends_by_idleness_and_by_age,
            people::a_session_is_ended,
            people::sessions_are_bounded,
            people::an_owner_ends_the_bootstrap_token,
            people::a_token_holds_one_organization,
            people::tokens_are_bounded,
            people::sign_ins_are_told_where_their_person_belongs,
            secrets::signing_keys_come_oldest_first,
            secrets::a_signing_key_is_added_once,
            secrets::the_bootstrap_digest_is_set_and_ended,
            together::reopening_keeps_everything,
            together::one_of_many_creates_wins_a_name,
            together::concurrent_rotations_follow_each_other,
            together::of_rotations_that_expect_one_revision_one_wins,
            together::two_openings_share_one_store,
            together::a_dropped_change_is_whole_or_nothing,
            usage::keys_are_counted,
            usage::traffic_is_counted_by_the_hour,
            usage::uses_are_counted_by_the_hour,
        }
    };
    ($name:ident, $home:expr, $($subject:ident::$behaviour:ident),* $(,)?) => {
        mod $name {
            use super::*;
            $(
                #[tokio::test]
                async fn $behaviour() {
                    $subject::$behaviour(&$home).await;
                }
            )*
        }
    };
}

conformance!(on_sqlite, sqlite::SqliteHome::new());

/// Noon of the day on which every test happens.
const NOON: Timestamp = Timestamp::from_unix(1_900_000_000);

fn environment(organization: &str, environment: &str) -> EnvironmentId {
    EnvironmentId {
        organization: Identifier::parse(organization).unwrap(),
        environment: Identifier::parse(environment).unwrap(),
    }
}

fn production() -> EnvironmentId {
    environment("acme", "production")
}

/// An id that no other call gets, in no particular order.
fn fresh_id() -> ClientId {
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    let drawn = DRAWN.fetch_add(1, Ordering::Relaxed);
    ClientId::from_entropy(u128::from(drawn).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes())
}

fn digest(of: &str) -> SecretDigest {
    SecretDigest::of(of.as_bytes())
}

fn name(text: &str) -> KeyName {
    KeyName::parse(text).unwrap()
}

fn permissions(names: &[&str]) -> KeyKind {
    KeyKind::FineGrained { permissions: names.iter().map(|name| PermissionName::parse(name).unwrap()).collect() }
}

fn allowlist(networks: &[&str], platform: bool) -> Option<Allowlist> {
    Some(Allowlist::new(networks.iter().map(|text| Network::parse(text).unwrap()).collect(), platform).unwrap())
}

/// Something that Ada does at an instant.
fn act_at(at: Timestamp) -> Act {
    let id = MemberId::from_entropy([7; 16]);
    Act::of(Actor::Member { id, email: "ada@acme.example".to_owned() }, at)
}

fn act() -> Act {
    act_at(NOON)
}

/// A plain key of production.
fn new_key(named: &str) -> NewKey {
    let client_id = fresh_id();
    NewKey {
        secret_digest: digest(client_id.as_str()),
        client_id,
        environment: production(),
        name: name(named),
        description: String::new(),
        kind: permissions(&["cards:read"]),
        may_grant: vec![],
        allowlist: None,
        secret_last_four: "wxyz".to_owned(),
        expires_at: None,
        policies: Revision(0),
        of_store: false,
    }
}

fn rotation(secret: &str) -> Rotation {
    Rotation {
        secret_digest: digest(secret),
        secret_last_four: "abcd".to_owned(),
        expires_at: None,
        allowlist: None,
        policies: Revision(0),
        of_store: false,
    }
}

fn everything() -> KeyFilter {
    KeyFilter {
        status: None,
        legacy: None,
        query: None,
        expires_before: None,
        unused_since: None,
        created_before: None,
        now: NOON,
    }
}

fn page(limit: u32) -> Page {
    Page::newest(limit)
}
