//! Which settings of the node's own file a running node does not take over.

use super::{ControlListener, EdgeListener, HeadLimits, NodeConfig};

impl NodeConfig {
    /// The settings in which `read` differs from what a node was started with and that it takes over at its next
    /// start only, by name (`listeners.edge.bind`), in the order of the reference.
    ///
    /// Taken apart whole, here and below, so that a new setting cannot be forgotten: without its line in `compared`
    /// it is an unused variable, and without a place in the pattern an error.
    pub fn needs_restart(&self, read: &Self) -> Vec<&'static str> {
        let Self {
            data_dir,
            edge: EdgeListener { bind },
            control: ControlListener { bind: control_bind, public_url },
            metrics_bind,
            store,
            secret_key_file,
            // Read anew at every reload.
            tenants_dir: _,
            tenants_watch,
            workers,
            trusted_proxies,
            limits: HeadLimits { header_bytes, header_fields, target_bytes, header_timeout },
            token_lifetime,
            token_algorithm,
            key_rotation,
            access_log,
            metrics_per_environment,
        } = self;
        let compared = [
            ("node.data_dir", *data_dir == read.data_dir),
            ("listeners.edge.bind", *bind == read.edge.bind),
            ("listeners.control.bind", *control_bind == read.control.bind),
            ("listeners.control.public_url", *public_url == read.control.public_url),
            ("listeners.metrics.bind", *metrics_bind == read.metrics_bind),
            ("store.url", *store == read.store),
            ("secrets.key_file", *secret_key_file == read.secret_key_file),
            ("tenants.watch", *tenants_watch == read.tenants_watch),
            ("edge.workers", *workers == read.workers),
            ("edge.trusted_proxies", *trusted_proxies == read.trusted_proxies),
            ("edge.limits.header_bytes", *header_bytes == read.limits.header_bytes),
            ("edge.limits.header_fields", *header_fields == read.limits.header_fields),
            ("edge.limits.target_bytes", *target_bytes == read.limits.target_bytes),
            ("edge.limits.header_timeout", *header_timeout == read.limits.header_timeout),
            ("tokens.lifetime", *token_lifetime == read.token_lifetime),
            ("tokens.algorithm", *token_algorithm == read.token_algorithm),
            ("tokens.key_rotation", *key_rotation == read.key_rotation),
            ("log.access", *access_log == read.access_log),
            ("metrics.per_environment", *metrics_per_environment == read.metrics_per_environment),
        ];
        compared.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
    }
}
