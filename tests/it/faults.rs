//! A disk that fails: fsync that reports an error (injected by strace into a running node), and a disk that is full (a
//! small tmpfs). Changes answer 503 and are not applied, now or after a kill; traffic and reads go on; once the disk is
//! well again, so are changes.

use crate::process::{Answer, Api, Control, Folder, KEYS, Key, Node, PATIENCE, Process};
use serde_json::{Value, json};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TARGET: &str = "/v1/cards";
const PERMISSIONS: &str = r#""cards:read" = ["GET /cards"]"#;

/// A node with three keys, and what it shows of them.
struct Scene {
    _api: Api,
    node: Node,
    kept: Key,
    rotated: Key,
    revoked: Key,
    token: String,
    before: Vec<Value>,
}

impl Scene {
    fn new(folder: &Folder, api: Api) -> Self {
        let node = folder.start();
        let mut control = node.control();
        let [kept, rotated, revoked] =
            ["kept", "rotated", "revoked"].map(|name| control.create(name, &["cards:read"]).unwrap());
        let token = node.edge().token(&rotated);
        let before = control.every_key();
        Self { _api: api, node, kept, rotated, revoked, token, before }
    }

    /// Tries every kind of change, several times over: each is refused, and what the node shows stays as it was.
    #[track_caller]
    fn changes_are_refused(&self, description: &str) {
        let (mut control, mut edge) = (self.node.control(), self.node.edge());
        for round in 0..3 {
            for answer in self.changes(&mut control, description) {
                assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("unavailable")), "{answer}");
            }
            assert_eq!(control.every_key(), self.before, "round {round}");
            // The old secret, its tokens, and the key that was to be revoked.
            edge.get(TARGET, &self.token).expect(200);
            for key in [&self.kept, &self.rotated, &self.revoked] {
                let token = edge.token(key);
                edge.get(TARGET, &token).expect(200);
            }
        }
        let status = control.get("/v1/status").unwrap().expect(200);
        eprintln!("status meanwhile: {}", status.text());
    }

    /// A create, a rotation, a revocation.
    fn wanted(&self, description: &str) -> [(String, Value); 3] {
        let make = json!({"name": "made", "permissions": ["cards:read"], "description": description});
        [
            (KEYS.to_owned(), make),
            (format!("{KEYS}/{}/rotate", self.rotated.id), json!({"expires_at": null})),
            (format!("{KEYS}/{}/revoke", self.revoked.id), json!({})),
        ]
    }

    fn changes(&self, control: &mut Control, description: &str) -> [Answer; 3] {
        self.wanted(description).map(|(target, body)| control.post(&target, &body).unwrap())
    }

    /// The same changes are done, and hold after a kill.
    #[track_caller]
    fn changes_work_again(mut self, folder: &Folder, description: &str) {
        let mut control = self.node.control();
        let [made, rotated, revoked] = self.changes(&mut control, description);
        let (made, rotated) = (Key::of(&made.expect(201).json()), Key::of(&rotated.expect(200).json()));
        revoked.expect(200);
        let after = control.every_key();
        assert_eq!(after.len(), self.before.len() + 1);
        self.node.process.kill();
        let node = folder.start();
        assert_eq!(node.control().every_key(), after);
        let mut edge = node.edge();
        for key in [&self.kept, &made, &rotated] {
            let token = edge.token(key);
            edge.get(TARGET, &token).expect(200);
        }
        edge.get(TARGET, &self.token).refused(401, "secret_rotated");
        assert_eq!(edge.ask_token(&self.revoked).expect(401).field("portcullis-error"), Some("key_revoked"));
    }

    /// A kill while the disk still fails, and a start when it is well: what was refused is not there.
    #[track_caller]
    fn nothing_of_it_after_a_kill(mut self, folder: &Folder, heal: impl FnOnce()) {
        self.node.process.kill();
        heal();
        let node = folder.start();
        assert_eq!(node.control().every_key(), self.before);
        node.edge().get(TARGET, &self.token).expect(200);
        self.node = node;
        self.changes_work_again(folder, "");
    }
}

/// `strace` in a running node, which makes every fsync fail. Taken out when dropped.
struct FailingSync(Process);

impl FailingSync {
    /// `None`, with the reason printed, where strace is missing or may not trace.
    fn inject(node: &Node) -> Option<Self> {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO", "-o", "/dev/null"]);
        strace.args(["-p", &node.process.id().to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
        if let Err(error) = Command::new("strace").arg("-V").output() {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            eprintln!("skipped: there is no `strace` here (apt-get install strace)");
            return None;
        }
        let strace = Process::spawn(&mut strace);
        while let Some(line) = strace.next_line() {
            if line.contains("attached") {
                return Some(Self(strace));
            }
        }
        let words = strace.stderr();
        assert!(words.contains("Operation not permitted"), "{words}");
        eprintln!("skipped: this user may not trace processes: {words}");
        None
    }

    fn end(mut self) {
        self.0.signal("INT");
        self.0.ended(PATIENCE);
    }
}

/// A tmpfs of its own, unmounted when dropped.
struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// `None`, with the reason printed, where mounting is not allowed.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs"]).arg(at).output();
        match output {
            Ok(output) if output.status.success() => Some(Self { at: at.to_owned() }),
            Ok(output) => {
                eprintln!("skipped: a tmpfs cannot be mounted: {}", String::from_utf8_lossy(&output.stderr));
                None
            }
            Err(error) => {
                eprintln!("skipped: a tmpfs cannot be mounted: {error}");
                None
            }
        }
    }

    /// Takes every byte that is left.
    fn fill(&self) {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(self.at.join("ballast")).unwrap();
        for size in [64 * 1024, 4096, 512, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.at.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a node of a failed test may still be there.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

/// On a disk that can be filled; the disk goes before the folder.
fn on_a_small_disk() -> Option<(SmallDisk, Folder, Scene)> {
    let api = Api::start();
    let folder = Folder::new(&api.url(), PERMISSIONS);
    let disk = SmallDisk::mount(&folder.path("data"))?;
    let scene = Scene::new(&folder, api);
    disk.fill();
    Some((disk, folder, scene))
}

/// Longer than any space that is left over in the write-ahead log.
fn long() -> String {
    "x".repeat(1000)
}

#[test]
fn an_fsync_that_fails_refuses_changes_and_nothing_else() {
    let api = Api::start();
    let folder = Folder::new(&api.url(), PERMISSIONS);
    let scene = Scene::new(&folder, api);
    let Some(fault) = FailingSync::inject(&scene.node) else { return };
    scene.changes_are_refused("");
    fault.end();
    scene.changes_work_again(&folder, "");
}

#[test]
fn a_change_that_fsync_refused_is_not_there_after_a_kill() {
    let api = Api::start();
    let folder = Folder::new(&api.url(), PERMISSIONS);
    let scene = Scene::new(&folder, api);
    let Some(fault) = FailingSync::inject(&scene.node) else { return };
    scene.changes_are_refused("");
    scene.nothing_of_it_after_a_kill(&folder, || drop(fault));
}

/// One refused change and then the kill: nothing later has come over what it left behind.
#[test]
fn a_single_change_that_fsync_refused_is_not_there_after_a_kill() {
    for kind in 0..3 {
        let api = Api::start();
        let folder = Folder::new(&api.url(), PERMISSIONS);
        let scene = Scene::new(&folder, api);
        let Some(fault) = FailingSync::inject(&scene.node) else { return };
        let (target, body) = &scene.wanted("")[kind];
        scene.node.control().post(target, body).unwrap().expect(503);
        scene.nothing_of_it_after_a_kill(&folder, || drop(fault));
    }
}

#[test]
fn a_full_disk_refuses_changes_and_nothing_else() {
    let Some((disk, folder, scene)) = on_a_small_disk() else { return };
    scene.changes_are_refused(&long());
    disk.free();
    scene.changes_work_again(&folder, &long());
}

#[test]
fn a_change_that_a_full_disk_refused_is_not_there_after_a_kill() {
    let Some((disk, folder, scene)) = on_a_small_disk() else { return };
    scene.changes_are_refused(&long());
    scene.nothing_of_it_after_a_kill(&folder, || disk.free());
}

/// A node that is started anew on a full disk serves what was there.
#[test]
fn a_start_on_a_full_disk_serves_what_was_there() {
    let Some((disk, folder, mut scene)) = on_a_small_disk() else { return };
    scene.node.process.kill();
    scene.node = folder.start();
    disk.fill();
    scene.changes_are_refused(&long());
    disk.free();
    scene.changes_work_again(&folder, &long());
}
