//! The control plane: what may be changed about API keys and who may ask, over HTTP and for the workbench.
//!
//! [`Control`] holds the work (`keys`, `listing`, judged by `draft`); `api` is the JSON face of it and nothing more.
//! A change is judged whole, goes to the store, then to the tables, then the caller is answered: the first request
//! after the answer sees it. What it leaves to others: keeping (`store`), deciding requests (`access`), serving
//! them (`edge`).

mod account;
mod addresses;
mod api;
mod audit;
mod authenticate;
pub mod bootstrap;
mod caller;
mod decisions;
mod draft;
mod drift;
mod environments;
mod explain;
mod field;
mod health;
mod hosts;
mod keys;
mod listing;
mod members;
mod node;
mod organizations;
mod overview;
mod passwords;
mod problem;
mod refusals;
mod requests;
mod scans;
mod sessions;
mod under_way;
mod workbench;

pub use addresses::Addresses;
pub use api::openapi_document;
pub use audit::{AuditRows, AuditVerdict, Chain};
pub use authenticate::Unproven;
pub use bootstrap::{BootstrapError, ensure_bootstrap_token, make_operator_token};
pub use caller::{Asking, Caller, KeyCaller, MemberCaller, Right};
pub use draft::{AllowlistDraft, EditDraft, KeyDraft, RotationDraft};
pub use drift::ComparedCatalogue;
pub use environments::{CatalogueDraft, EnvironmentFacts, NamedKind, NamedPlace};
pub use explain::{Check, ExplainDraft, ExplainedStep, ExplainedVerdict, Explanation};
pub use field::{FieldError, FieldErrors};
pub use health::{AnswersAndFailures, UpstreamHealth};
pub use hosts::ListenerNames;
pub use keys::IssuedKey;
pub use listing::{KeyListing, KeyQuery, ListPlace};
pub use members::{InvitedMember, IssuedMemberToken, MemberDraft, MemberEditDraft, MemberTokenDraft};
pub use node::{
    Change, EnvironmentChange, KeysHolding, LastReload, NodeActions, NodeProblem, Reloaded, SigningKeyFacts,
    UpstreamStanding,
};
pub use organizations::{OrganizationDraft, OrganizationFacts, Policies, lifetime_text};
pub use overview::{HourTraffic, Overview};
pub use problem::ControlProblem;
pub use refusals::Attempt;
pub use requests::PickedRequest;
pub use sessions::{SignInDraft, SignedIn};
pub use under_way::Incoming;

use crate::config::Documents;
use crate::model::{BaseUrl, NetworkSet, SecretDigest, Timestamp};
use crate::oauth::SignInThrottle;
use crate::store::Store;
use crate::tables::Tables;
use crate::telemetry::{DecisionLog, TrafficRecorder};
use audit::LongReads;
use drift::Comparisons;
use environments::Adopted;
use overview::RecentCounts;
use parking_lot::Mutex;
use passwords::Passwords;
use refusals::Refusals;
use scans::Scans;
use std::path::PathBuf;
use std::sync::Arc;
use under_way::{Receiving, UnderWay};

/// Everything that is served on the control listener: the API below `/v1`, and the workbench.
pub fn router(control: Arc<Control>) -> axum::Router {
    api::router(Arc::clone(&control)).merge(workbench::router(control))
}

/// What a control plane is made of.
pub struct ControlParts {
    /// Where keys are kept.
    pub store: Arc<dyn Store>,
    /// What the request path reads.
    pub tables: Arc<Tables>,
    /// What the node can be told to do.
    pub node: Arc<dyn NodeActions>,
    /// What OpenAPI documents gave.
    pub documents: Arc<Documents>,
    /// What the requests of this node came to.
    pub traffic: Arc<TrafficRecorder>,
    /// What this node decided lately.
    pub decisions: Arc<DecisionLog>,
    /// What callers call this control plane: the audience of access tokens for it.
    pub control_url: BaseUrl,
    /// Whether browsers reach it by TLS: their cookies are for TLS alone then.
    pub secure: bool,
    /// Under which names it answers.
    pub names: ListenerNames,
    /// Where the bootstrap token was left; it is removed when the token ends.
    pub bootstrap_file: PathBuf,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: NetworkSet,
    /// The version that `status` tells.
    pub version: &'static str,
    /// When the process started.
    pub started_at: Timestamp,
    /// Tells the present second.
    pub clock: fn() -> Timestamp,
}

/// The control plane of one node. Shared: every method takes `&self`.
pub struct Control {
    store: Arc<dyn Store>,
    tables: Arc<Tables>,
    node: Arc<dyn NodeActions>,
    documents: Arc<Documents>,
    traffic: Arc<TrafficRecorder>,
    decisions: Arc<DecisionLog>,
    recent_counts: RecentCounts,
    adopted: Adopted,
    control_url: BaseUrl,
    secure: bool,
    names: ListenerNames,
    bootstrap_file: PathBuf,
    trusted_proxies: NetworkSet,
    version: &'static str,
    started_at: Timestamp,
    clock: fn() -> Timestamp,
    /// The operator token's digest as the store last told it; opens `status` alone while the store is away.
    last_operator: Arc<Mutex<Option<SecretDigest>>>,
    refusals: Refusals,
    long_reads: LongReads,
    scans: Scans,
    comparisons: Comparisons,
    changes: UnderWay,
    receiving: Receiving,
    passwords: Passwords,
    sign_ins: Mutex<SignInThrottle>,
}

impl Control {
    /// A control plane of these parts.
    pub fn new(parts: ControlParts) -> Self {
        let ControlParts {
            store,
            tables,
            node,
            documents,
            traffic,
            decisions,
            control_url,
            secure,
            bootstrap_file,
            ..
        } = parts;
        let ControlParts { names, trusted_proxies, version, started_at, clock, .. } = parts;
        Self {
            store,
            tables,
            node,
            documents,
            traffic,
            decisions,
            recent_counts: RecentCounts::default(),
            adopted: Adopted::default(),
            control_url,
            secure,
            names,
            bootstrap_file,
            trusted_proxies,
            version,
            started_at,
            clock,
            last_operator: Arc::default(),
            refusals: Refusals::default(),
            long_reads: LongReads::default(),
            scans: Scans::default(),
            comparisons: Comparisons::default(),
            changes: UnderWay::default(),
            receiving: Receiving::default(),
            passwords: Passwords::default(),
            sign_ins: Mutex::new(SignInThrottle::new(seed())),
        }
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// A system without random bytes opens no session either; a seed that is known makes counters easy to fill, no more.
fn seed() -> [u64; 4] {
    [(); 4].map(|()| keys::draw().map_or(0, u64::from_ne_bytes))
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("version", &self.version).finish_non_exhaustive()
    }
}
