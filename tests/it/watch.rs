//! Files that change are read again by themselves, once, however they are written; and what is half written, or only
//! touched, is not.

use crate::harness::{Gateway, Key, eventually, reader};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Longer than files are waited for to become quiet, and than a second reload would take to follow.
const AFTERWARDS: Duration = Duration::from_millis(900);

/// A gateway and the tenant file that it reads.
struct Watched {
    gateway: Gateway,
    tenants: PathBuf,
}

impl Watched {
    fn start() -> Self {
        let gateway = Gateway::start();
        let tenants = gateway.dir().join("tenants");
        Self { gateway, tenants }
    }

    fn file(&self) -> PathBuf {
        self.tenants.join("acme.toml")
    }

    /// The tenant file with one more key in it.
    fn text_with(&self, key: &str) -> String {
        fs::read_to_string(self.file()).unwrap() + &Key::new(key, &["cards:read"]).stanza("production")
    }

    /// How many reloads there were: good ones, and failed ones.
    fn reloads(&self) -> (u64, u64) {
        reloads(&self.gateway)
    }

    /// Waits until a key works.
    #[track_caller]
    fn opens(&self, key: &str) {
        opens(&self.gateway, key);
    }

    /// Does something to the files that makes a key known: the key works, after exactly one reload.
    #[track_caller]
    fn reloads_once(&self, key: &str, change: impl FnOnce(&Self)) {
        let (good, failed) = self.reloads();
        change(self);
        self.opens(key);
        std::thread::sleep(AFTERWARDS);
        assert_eq!(self.reloads(), (good + 1, failed), "{key}: once, and without a failure");
    }
}

fn reloads(gateway: &Gateway) -> (u64, u64) {
    let metrics = gateway.metrics();
    let count = |result: &str| {
        let name = format!("portcullis_reloads_total{{result=\"{result}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0)
    };
    (count("success"), count("failure"))
}

fn works(gateway: &Gateway, key: &str) -> bool {
    let Key { id, secret, .. } = Key::new(key, &["cards:read"]);
    gateway.post("/oauth2/token").form(&crate::harness::token_form(&id, &secret)).send().status == 200
}

#[track_caller]
fn opens(gateway: &Gateway, key: &str) {
    eventually(&format!("`{key}` works"), || works(gateway, key).then_some(()));
}

#[test]
fn however_an_editor_writes_it_is_one_reload() {
    let watched = Watched::start();
    watched.reloads_once("in_place", |it| fs::write(it.file(), it.text_with("in_place")).unwrap());
    watched.reloads_once("renamed", |it| {
        // nano, VS Code, `sed -i`, Ansible: a new file takes the old one's place.
        let new = it.tenants.join(".acme.toml.1f3a");
        fs::write(&new, it.text_with("renamed")).unwrap();
        fs::rename(new, it.file()).unwrap();
    });
    watched.reloads_once("vim", |it| {
        // vim: the old file becomes the backup, a new one is written in its place.
        let text = it.text_with("vim");
        fs::write(it.tenants.join("4913"), "").unwrap();
        fs::remove_file(it.tenants.join("4913")).unwrap();
        fs::rename(it.file(), it.tenants.join("acme.toml~")).unwrap();
        fs::write(it.file(), text).unwrap();
        fs::remove_file(it.tenants.join("acme.toml~")).unwrap();
    });
    watched.reloads_once("emacs", |it| {
        // Emacs: a lock that is a link to nowhere, a backup, then in place.
        let lock = it.tenants.join(".#acme.toml");
        symlink("me@host.1:2", &lock).unwrap();
        fs::copy(it.file(), it.tenants.join("acme.toml~")).unwrap();
        fs::write(it.file(), it.text_with("emacs")).unwrap();
        fs::remove_file(lock).unwrap();
    });
    watched.reloads_once("burst", |it| {
        for number in 0..20 {
            fs::write(it.file(), it.text_with(&format!("burst_{number}"))).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        fs::write(it.file(), it.text_with("burst")).unwrap();
    });
}

#[test]
fn a_file_that_is_being_written_is_waited_for() {
    use std::io::Write;
    let watched = Watched::start();
    watched.reloads_once("slowly", |it| {
        let text = it.text_with("slowly");
        let (lines, last) = text.trim_end().rsplit_once('\n').unwrap();
        let mut file = fs::File::create(it.file()).unwrap();
        // Cut off anywhere it would not load, or load without its keys.
        for piece in lines.as_bytes().chunks(lines.len() / 5) {
            file.write_all(piece).unwrap();
            file.flush().unwrap();
            std::thread::sleep(Duration::from_millis(500));
            assert!(works(&it.gateway, &reader().id), "the tables before it serve");
        }
        file.write_all(format!("\n{last}\n").as_bytes()).unwrap();
    });
}

#[test]
fn what_says_the_same_reloads_nothing() {
    let watched = Watched::start();
    let text = fs::read(watched.file()).unwrap();
    let touched = Command::new("touch").arg(watched.file()).status().unwrap();
    assert!(touched.success());
    std::thread::sleep(AFTERWARDS);
    fs::read(watched.file()).unwrap();
    fs::write(watched.file(), &text).unwrap();
    std::thread::sleep(AFTERWARDS);
    fs::write(watched.tenants.join("notes.txt"), "x").unwrap();
    fs::write(watched.tenants.join(".acme.toml.swp"), "x").unwrap();
    fs::write(watched.gateway.dir().join("other.toml"), "x").unwrap();
    fs::create_dir(watched.tenants.join("more")).unwrap();
    std::thread::sleep(AFTERWARDS);
    assert_eq!(watched.reloads(), (0, 0));
}

#[test]
fn files_come_and_go() {
    let watched = Watched::start();
    let upstream = watched.gateway.upstream.url();
    let other = |key: &str, document: &str| {
        format!(
            "[organization]\nid = \"other\"\n[environments.test]\nbase_url = \"http://gate.test/v1/{key}\"\n\
             upstream = \"{upstream}\"\n{document}{}",
            Key::new(key, &["listCards"]).stanza("test")
        )
    };
    let spec = |operation: &str| {
        format!(r#"{{"openapi":"3.1.0","paths":{{"/cards":{{"get":{{"operationId":"{operation}"}}}}}}}}"#)
    };
    let serves = |key: &str, expected: u16| {
        let Key { id, secret, .. } = Key::new(key, &[]);
        eventually(&format!("{key} answers {expected}"), || {
            let path = format!("/v1/{key}/oauth2/token");
            let asked = watched.gateway.post("").target(&path).form(&crate::harness::token_form(&id, &secret)).send();
            (asked.status == expected).then_some(())
        });
        std::thread::sleep(AFTERWARDS);
    };
    // A document that a new tenant names, in a folder that nobody watched before.
    fs::create_dir(watched.gateway.dir().join("specs")).unwrap();
    fs::write(watched.gateway.dir().join("specs/other.json"), spec("listCards")).unwrap();
    fs::write(watched.tenants.join("other.toml"), other("other", "openapi = \"../specs/other.json\"\n")).unwrap();
    serves("other", 200);
    assert_eq!(watched.reloads(), (1, 0), "a new tenant");
    // It does not have the permission any more that the key holds.
    fs::write(watched.gateway.dir().join("specs/other.json"), spec("showCards")).unwrap();
    eventually("the document is read again", || (watched.reloads() == (1, 1)).then_some(()));
    std::thread::sleep(AFTERWARDS);
    fs::remove_file(watched.gateway.dir().join("specs/other.json")).unwrap();
    eventually("the document is missed", || (watched.reloads() == (1, 2)).then_some(()));
    serves("other", 200);
    fs::write(watched.gateway.dir().join("specs/other.json"), spec("listCards")).unwrap();
    eventually("the document is back", || (watched.reloads() == (2, 2)).then_some(()));
    fs::remove_file(watched.tenants.join("other.toml")).unwrap();
    serves("other", 404);
    assert_eq!(watched.reloads(), (3, 2), "the tenant is gone");
    // The whole folder goes and comes back.
    fs::rename(&watched.tenants, watched.gateway.dir().join("away")).unwrap();
    eventually("the folder is missed", || (watched.reloads() == (3, 3)).then_some(()));
    assert!(works(&watched.gateway, &reader().id), "the tables before it serve");
    fs::rename(watched.gateway.dir().join("away"), &watched.tenants).unwrap();
    eventually("the folder is back", || (watched.reloads() == (4, 3)).then_some(()));
    watched.reloads_once("again", |it| fs::write(it.file(), it.text_with("again")).unwrap());
}

/// Writes what a Kubernetes volume holds: `..data` points to a dated folder, the files point through it.
fn write_volume(folder: &Path, dated: &str, text: &str) {
    let data = folder.join(dated);
    fs::create_dir(&data).unwrap();
    fs::write(data.join("acme.toml"), text).unwrap();
    symlink(dated, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

#[test]
fn a_kubernetes_volume_is_swapped() {
    let watched = Watched::start();
    watched.reloads_once("first", |it| {
        let text = it.text_with("first");
        fs::remove_file(it.file()).unwrap();
        write_volume(&it.tenants, "..2026_11_24_01", &text);
        symlink("..data/acme.toml", it.file()).unwrap();
    });
    for (number, key) in [(2, "second"), (3, "third")] {
        watched.reloads_once(key, |it| {
            let text = it.text_with(key);
            write_volume(&it.tenants, &format!("..2026_11_24_0{number}"), &text);
            fs::remove_dir_all(it.tenants.join(format!("..2026_11_24_0{}", number - 1))).unwrap();
        });
    }
}

#[test]
fn a_release_folder_is_swapped_behind_links() {
    let watched = Watched::start();
    let top = watched.gateway.dir().to_owned();
    let release = |name: &str, text: &str| {
        fs::create_dir_all(top.join(name).join("tenants")).unwrap();
        fs::write(top.join(name).join("tenants/acme.toml"), text).unwrap();
        symlink(name, top.join("next")).unwrap();
        fs::rename(top.join("next"), top.join("current")).unwrap();
    };
    watched.reloads_once("one", |it| {
        let text = it.text_with("one");
        release("release-1", &text);
        fs::rename(&it.tenants, top.join("before")).unwrap();
        symlink("current/tenants", &it.tenants).unwrap();
    });
    watched.reloads_once("two", |it| release("release-2", &it.text_with("two")));
    watched.reloads_once("three", |it| release("release-3", &it.text_with("three")));
    watched.reloads_once("in_place", |it| {
        let file = top.join("release-3/tenants/acme.toml");
        fs::write(file, it.text_with("in_place")).unwrap();
    });
}

#[test]
fn the_nodes_own_file_is_watched_and_names_what_waits_for_a_restart() {
    let watched = Watched::start();
    let file = watched.gateway.dir().join("portcullis.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}[edge]\nworkers = 3\n[tokens]\nlifetime = \"5m\"\n")).unwrap();
    eventually("it was read", || (watched.reloads() == (1, 0)).then_some(()));
    let probe = watched.gateway.probe("/readyz?verbose").expect(200).text();
    assert!(probe.contains("\nneeds a restart: edge.workers, tokens.lifetime\n"), "{probe}");
    let status = watched.gateway.control_request("GET", "/v1/status", &serde_json::Value::Null).1;
    assert_eq!(status["last_reload"]["needs_restart"], serde_json::json!(["edge.workers", "tokens.lifetime"]));
    fs::write(&file, format!("{text}[edge]\nworkers = \"three\"\n")).unwrap();
    eventually("it was refused", || (watched.reloads() == (1, 1)).then_some(()));
    let probe = watched.gateway.probe("/readyz?verbose").expect(200).text();
    assert!(probe.contains("last reload: failed; the tables before it serve, at "), "{probe}");
    let line = text.lines().count() + 2;
    assert!(
        probe.contains(&format!("portcullis.toml:{line}: `workers` takes a whole number, not a string\n")),
        "{probe}"
    );
    fs::write(&file, &text).unwrap();
    eventually("it was read", || (watched.reloads() == (2, 1)).then_some(()));
    let probe = watched.gateway.probe("/readyz?verbose").expect(200).text();
    assert!(probe.contains("last reload: ok, at ") && !probe.contains("restart"), "{probe}");
}

#[test]
fn watching_can_be_switched_off() {
    let gateway = Gateway::builder().node("[tenants]\nwatch = false").start();
    gateway.edit_tenant(|text| text.to_owned() + &Key::new("late", &["cards:read"]).stanza("production"));
    std::thread::sleep(AFTERWARDS);
    assert_eq!(reloads(&gateway), (0, 0));
    let (status, answer) = gateway.control_request("POST", "/v1/reload", &serde_json::Value::Null);
    assert_eq!((status, &answer["reloaded"]), (200, &serde_json::json!(true)), "{answer}");
    assert!(works(&gateway, "late"));
}

#[test]
fn a_burst_of_hups_is_few_reloads() {
    let watched = Watched::start();
    for _ in 0..50 {
        let sent = Command::new("kill").args(["-s", "HUP", &watched.gateway.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }
    eventually("there was a reload", || (watched.reloads().0 > 0).then_some(()));
    std::thread::sleep(AFTERWARDS);
    let (good, failed) = watched.reloads();
    assert!((1..=50).contains(&good) && failed == 0, "{good} reloads");
    assert!(works(&watched.gateway, &reader().id));
}
