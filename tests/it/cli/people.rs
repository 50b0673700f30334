//! People at the command line of a real node: from the bootstrap token to owner, editor, viewer and script.

use super::{Ran, Run};
use crate::process::{Folder, Node, portcullis};
use serde_json::Value;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

/// A node, and a folder where people keep their files.
struct Place {
    folder: Folder,
    node: Node,
}

impl Place {
    /// Its configuration names the port of the control API, so that `--config` finds it.
    fn start() -> Self {
        let folder = Folder::new("http://127.0.0.1:9", "\"cards:read\" = \"GET /cards\"");
        let control = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listener = "[listeners.control]\nbind = [\"";
        folder.edit("portcullis.toml", &format!("{listener}127.0.0.1:0"), &format!("{listener}{control}"));
        let node = folder.start();
        folder.write("password", "correct horse battery staple\n");
        Self { folder, node }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path(name).to_str().unwrap().to_owned()
    }

    /// On the node's own machine, by its configuration, and with no token but what that finds.
    fn by_config(&self, args: &[&str]) -> Ran {
        portcullis(&[args, &["--config", &self.file("portcullis.toml")]].concat()).ran()
    }

    /// From anywhere, with the token in this file.
    fn by_token(&self, file: &str, args: &[&str]) -> Ran {
        let token = std::fs::read_to_string(self.folder.path(file)).unwrap();
        let mut command = portcullis(args);
        command.env("PORTCULLIS_SERVER", format!("http://{}", self.node.control));
        command.env("PORTCULLIS_TOKEN", token.trim()).ran()
    }

    /// Takes an invitation up; the session's token is in the file of that name afterwards.
    #[track_caller]
    fn accept(&self, invitation: &str, session: &str) -> Ran {
        let [invitation, session, password] = [invitation, session, "password"].map(|name| self.file(name));
        let files = ["--invitation-file", &invitation, "--save", &session, "--password-file", &password];
        self.by_config(&[&["login"], &files[..]].concat()).exited(0)
    }

    /// Ada, the first owner: her session is in `ada`.
    #[track_caller]
    fn with_owner() -> Self {
        let place = Self::start();
        let invitation = place.file("ada.invitation");
        let add = ["members", "add", "ada@example.com", "--role=owner", "--save", &invitation];
        place.by_config(&add).exited(0);
        place.accept("ada.invitation", "ada").shows("organizations  acme (owner)");
        place
    }

    fn mode(&self, name: &str) -> u32 {
        std::fs::metadata(self.folder.path(name)).unwrap().permissions().mode() & 0o777
    }
}

#[test]
fn an_owner_takes_over_from_the_bootstrap_token() {
    let place = Place::with_owner();
    let ran =
        place.by_config(&["members", "list"]).exited(4).says("portcullis login").says("an owner's sign-in ends it");
    assert!(ran.stderr.contains("members token --operator --config") && !ran.stderr.contains("--org"));
    place.by_token("ada", &["members", "list"]).exited(0);
    place.by_token("ada", &["signing-keys", "rotate"]).exited(5).says("operators");
    place.by_token("ada", &["logout"]).exited(0);
    place.by_token("ada", &["members", "list"]).exited(4).says("the token in PORTCULLIS_TOKEN counts no more");
}

#[test]
fn everybody_does_what_their_role_lets_them() {
    let place = Place::with_owner();
    for (who, role) in [("bob", "editor"), ("eve", "viewer")] {
        let (email, invitation) = (format!("{who}@example.com"), format!("{who}.invitation"));
        let add = ["members", "add", &email, "--role", role, "--save", &place.file(&invitation)];
        place.by_token("ada", &add).exited(0);
        place.accept(&invitation, who);
    }
    let create = ["keys", "create", "--name=crm", "--permission=cards:read", "--json"];
    let key = place.by_token("bob", &create).exited(0).json();
    let id = key["client_id"].as_str().unwrap();
    place.by_token("bob", &["keys", "edit", id, "--name=desk"]).exited(0).shows("name          desk");
    place.by_token("bob", &["members", "list"]).exited(5).says("role admin or owner");
    place.by_token("eve", &["keys", "list"]).exited(0);
    place.by_token("eve", &["keys", "revoke", id, "--yes"]).exited(5).says("role editor, admin or owner");
    place.by_token("bob", &["members", "token", "--name=nightly", "--save", &place.file("script")]).exited(0);
    place.by_token("script", &["keys", "rotate", id, "--no-expiry", "--yes"]).exited(0);
    place.by_token("ada", &["orgs", "set", "--max-key-lifetime=90d"]).exited(0);
    place.by_token("script", &["keys", "rotate", id, "--no-expiry", "--yes"]).exited(7).says("90 days");
    // The token follows its member.
    place.by_token("ada", &["members", "set", "bob@example.com", "--role=viewer"]).exited(0);
    place.by_token("script", &["keys", "revoke", id, "--yes"]).exited(5);
    let rotations = place.by_token("ada", &["audit", "list", "--action=key.rotate", "--json"]).exited(0).json();
    assert_eq!(rotations["data"].as_array().unwrap().len(), 1);
    assert_eq!(rotations["data"][0]["actor"]["name"], "bob@example.com");
    place.by_token("ada", &["audit", "verify"]).exited(0).shows("ok    true");
}

#[test]
fn a_lost_operator_token_is_made_anew() {
    let place = Place::with_owner();
    let make = |name: &str| place.by_config(&["members", "token", "--operator", "--save", &place.file(name)]).exited(0);
    assert!(!make("first").stdout.contains("pcullo_"));
    place.by_token("first", &["status"]).exited(0);
    make("second").says("the operator token before it has ended");
    place.by_token("first", &["status"]).exited(4);
    place.by_token("second", &["status"]).exited(0);
    // It is where `--config` finds it as well.
    assert_eq!([place.mode("second"), place.mode("data/bootstrap-token")], [0o600; 2]);
    let node = place.by_config(&["audit", "list", "--node", "--action=bootstrap.make", "--json"]).exited(0).json();
    let made: Vec<&Value> = node["data"].as_array().unwrap().iter().map(|row| &row["actor"]["type"]).collect();
    assert_eq!(made, ["operator", "operator", "node"]);
    place.by_config(&["audit", "verify", "--node"]).exited(0);
    place.by_config(&["members", "set", "ada@example.com", "--operator=true"]).exited(0);
    let login = ["login", "--email=ada@example.com", "--password-file", &place.file("password")];
    place.by_config(&login).exited(0);
    place.by_token("second", &["status"]).exited(4);
}
