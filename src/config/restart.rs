//! Which settings of the node's own file a running node does not take over.

use super::{
    BodyLimits, ConnectionLimits, ControlListener, DrainTimes, EdgeLimits, EdgeListener, HeadLimits, NodeConfig,
};
use crate::tls::{ClientCertificates, TlsSettings};

impl NodeConfig {
    /// The settings in which `read` differs from what a node was started with and that it takes over at its next
    /// start only, by name (`listeners.edge.bind`), in the order of the reference.
    ///
    /// Taken apart whole, here and below, so that a new setting cannot be forgotten: without its line in `compared`
    /// it is an unused variable, and without a place in the pattern an error.
    pub fn needs_restart(&self, read: &Self) -> Vec<&'static str> {
        let Self {
            data_dir,
            edge: EdgeListener { bind, tls, proxy_protocol },
            control: ControlListener { bind: control_bind, public_url, names, tls: control_tls, behind_proxy },
            metrics_bind,
            store,
            secret_key_file,
            // Read anew at every reload.
            tenants_dir: _,
            tenants_watch,
            workers,
            trusted_proxies,
            limits: EdgeLimits { head, body, connection, requests_in_flight, requests_in_flight_per_key: per_key },
            drain: DrainTimes { drain_timeout, readiness_delay },
            token_lifetime,
            token_algorithm,
            key_rotation,
            access_log,
            log_format,
            metrics_per_environment,
        } = self;
        let compared = [
            ("node.data_dir", *data_dir == read.data_dir),
            ("listeners.edge.bind", *bind == read.edge.bind),
            ("listeners.edge.proxy_protocol", *proxy_protocol == read.edge.proxy_protocol),
            ("listeners.control.bind", *control_bind == read.control.bind),
            ("listeners.control.public_url", *public_url == read.control.public_url),
            ("listeners.control.names", *names == read.control.names),
            ("listeners.control.plaintext", *behind_proxy == read.control.behind_proxy),
            ("listeners.metrics.bind", *metrics_bind == read.metrics_bind),
            ("store.url", *store == read.store),
            ("secrets.key_file", *secret_key_file == read.secret_key_file),
            ("tenants.watch", *tenants_watch == read.tenants_watch),
            ("edge.workers", *workers == read.workers),
            ("edge.trusted_proxies", *trusted_proxies == read.trusted_proxies),
            ("edge.drain_timeout", *drain_timeout == read.drain.drain_timeout),
            ("edge.readiness_delay", *readiness_delay == read.drain.readiness_delay),
            ("edge.limits.requests_in_flight", *requests_in_flight == read.limits.requests_in_flight),
            ("edge.limits.requests_in_flight_per_key", *per_key == read.limits.requests_in_flight_per_key),
            ("tokens.lifetime", *token_lifetime == read.token_lifetime),
            ("tokens.algorithm", *token_algorithm == read.token_algorithm),
            ("tokens.key_rotation", *key_rotation == read.key_rotation),
            ("log.access", *access_log == read.access_log),
            ("log.format", *log_format == read.log_format),
            ("metrics.per_environment", *metrics_per_environment == read.metrics_per_environment),
        ];
        let limits = [
            head.compared(&read.limits.head).as_slice(),
            body.compared(&read.limits.body).as_slice(),
            connection.compared(&read.limits.connection).as_slice(),
        ]
        .concat();
        let tls = [
            compared_tls(&EDGE_TLS, tls.as_ref(), read.edge.tls.as_ref()),
            compared_tls(&CONTROL_TLS, control_tls.as_ref(), read.control.tls.as_ref()),
        ];
        compared
            .into_iter()
            .chain(tls.into_iter().flatten())
            .chain(limits)
            .filter(|(_, same)| !same)
            .map(|(name, _)| name)
            .collect()
    }
}

/// The names of a listener's settings: `tls` as such, and each that waits for a restart while it stays on.
struct TlsNames {
    tls: &'static str,
    min_version: &'static str,
    client_ca_file: &'static str,
    client_auth: &'static str,
    hsts: &'static str,
}

const EDGE_TLS: TlsNames = TlsNames {
    tls: "listeners.edge.tls",
    min_version: "listeners.edge.tls.min_version",
    client_ca_file: "listeners.edge.tls.client_ca_file",
    client_auth: "listeners.edge.tls.client_auth",
    hsts: "listeners.edge.tls.hsts",
};

const CONTROL_TLS: TlsNames = TlsNames {
    tls: "listeners.control.tls",
    min_version: "listeners.control.tls.min_version",
    client_ca_file: "listeners.control.tls.client_ca_file",
    client_auth: "listeners.control.tls.client_auth",
    hsts: "listeners.control.tls.hsts",
};

fn compared_tls(names: &TlsNames, started: Option<&TlsSettings>, read: Option<&TlsSettings>) -> Vec<Compared> {
    let (Some(started), Some(read)) = (started, read) else {
        return vec![(names.tls, started.is_some() == read.is_some())];
    };
    // Certificates are swapped at every reload.
    let TlsSettings { certificates: _, min_version, client_certificates, hsts } = started;
    let authorities = |asked: &Option<ClientCertificates>| asked.as_ref().map(|asked| asked.authorities.clone());
    let required = |asked: &Option<ClientCertificates>| asked.as_ref().map(|asked| asked.required);
    vec![
        (names.min_version, *min_version == read.min_version),
        (names.client_ca_file, authorities(client_certificates) == authorities(&read.client_certificates)),
        (names.client_auth, required(client_certificates) == required(&read.client_certificates)),
        (names.hsts, *hsts == read.hsts),
    ]
}

/// A setting's name, and whether it is the same.
type Compared = (&'static str, bool);

impl HeadLimits {
    fn compared(&self, read: &Self) -> [Compared; 4] {
        let Self { header_bytes, header_fields, target_bytes, header_timeout } = self;
        [
            ("edge.limits.header_bytes", *header_bytes == read.header_bytes),
            ("edge.limits.header_fields", *header_fields == read.header_fields),
            ("edge.limits.target_bytes", *target_bytes == read.target_bytes),
            ("edge.limits.header_timeout", *header_timeout == read.header_timeout),
        ]
    }
}

impl BodyLimits {
    fn compared(&self, read: &Self) -> [Compared; 3] {
        let Self { body_bytes, body_idle_timeout, body_rate } = self;
        [
            ("edge.limits.body_bytes", *body_bytes == read.body_bytes),
            ("edge.limits.body_idle_timeout", *body_idle_timeout == read.body_idle_timeout),
            ("edge.limits.body_rate", *body_rate == read.body_rate),
        ]
    }
}

impl ConnectionLimits {
    fn compared(&self, read: &Self) -> [Compared; 5] {
        let Self { connections, connections_per_address, handshake_timeout, idle_timeout, streams } = self;
        [
            ("edge.limits.connections", *connections == read.connections),
            ("edge.limits.connections_per_address", *connections_per_address == read.connections_per_address),
            ("edge.limits.handshake_timeout", *handshake_timeout == read.handshake_timeout),
            ("edge.limits.idle_timeout", *idle_timeout == read.idle_timeout),
            ("edge.limits.streams", *streams == read.streams),
        ]
    }
}
