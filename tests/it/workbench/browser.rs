//! A real browser with verbs: Chromium without a window, told what to do through chromedriver.
//!
//! What is on a page is found as assistive technology finds it: by role and accessible name, out of the browser's own
//! accessibility tree. `chromedriver` ends with the value, and the browser with `chromedriver`.

use super::wait;
use crate::process::PATIENCE;
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::{Element, ElementRef};
use fantoccini::key::Key;
use fantoccini::wd::WindowHandle;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::runtime::Runtime;

const HOW_TO_INSTALL: &str =
    "`chromium` and `chromedriver` are needed (`make setup` installs them; Debian: chromium, chromium-driver)";
/// How a page is looked at unless a test says otherwise.
pub(super) const DESK: (u32, u32) = (1440, 900);
pub(super) const PHONE: (u32, u32) = (360, 780);
/// What may be typed into.
const FIELDS: &[&str] = &["textbox", "searchbox", "combobox", "DateTime", "Date", "spinbutton"];

/// `chromedriver` on a port of its own.
struct Driver {
    child: Child,
    url: String,
    agent: ureq::Agent,
}

impl Driver {
    fn start() -> Self {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|why| panic!("{HOW_TO_INSTALL}: {why}"));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut port = None;
        for line in stdout.lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("successfully on port ") {
                port = Some(rest.trim_end_matches('.').to_owned());
                break;
            }
        }
        let port = port.unwrap_or_else(|| panic!("chromedriver does not start; {HOW_TO_INSTALL}"));
        let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        Self { child, url: format!("http://127.0.0.1:{port}"), agent }
    }

    /// A command that is not part of WebDriver itself.
    fn send(&self, path: &str, body: &Value) -> Value {
        self.try_send(path, body).unwrap_or_else(|why| panic!("{path} {body}: {why}"))
    }

    /// The same where the page may go away meanwhile.
    fn try_send(&self, path: &str, body: &Value) -> Result<Value, Value> {
        let url = format!("{}{path}", self.url);
        let request = self.agent.post(&url).header("content-type", "application/json");
        let mut answer = request.send(body.to_string()).unwrap();
        let text = answer.body_mut().with_config().limit(1 << 30).read_to_string().unwrap();
        let mut answer: Value = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}"));
        let value = answer["value"].take();
        if value["error"].is_null() { Ok(value) } else { Err(value) }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A browser with a profile of its own, looking at one origin.
pub(super) struct Browser {
    // In this order they end: the session's task, the browser, its profile.
    client: Client,
    driver: Driver,
    runtime: Runtime,
    _profile: tempfile::TempDir,
    session: String,
    origin: String,
    /// What the performance log told so far, beyond what `quiet` has judged.
    pub(super) requests: RefCell<Vec<String>>,
    scripts_off: Cell<bool>,
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the page when the test failed: {}\n{}\n---", self.url(), self.try_text());
        }
        let close = self.client.clone().close();
        // A browser that hangs ends with the pipe to `chromedriver`.
        let _ = self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(5), close).await });
    }
}

impl Browser {
    /// A fresh browser for the workbench at this address.
    pub(super) fn start(control: SocketAddr) -> Self {
        let driver = Driver::start();
        let profile = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connector = HttpConnector::new();
        let mut builder = ClientBuilder::new(connector);
        builder.capabilities(capabilities(profile.path().to_str().unwrap()));
        let client = runtime.block_on(builder.connect(&driver.url));
        let client = client.unwrap_or_else(|why| panic!("the browser does not start: {why}; {HOW_TO_INSTALL}"));
        let session = runtime.block_on(client.session_id()).unwrap().unwrap();
        let origin = format!("http://{control}");
        let (requests, scripts_off) = (RefCell::default(), Cell::new(false));
        let browser = Self { client, driver, runtime, _profile: profile, session, origin, requests, scripts_off };
        browser.look(DESK, "light");
        browser
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// A command of the browser's own protocol.
    pub(super) fn devtools(&self, command: &str, params: Value) -> Value {
        self.try_devtools(command, params).unwrap_or_else(|why| panic!("{command}: {why}"))
    }

    fn try_devtools(&self, command: &str, params: Value) -> Result<Value, Value> {
        let body = json!({"cmd": command, "params": params});
        self.driver.try_send(&format!("/session/{}/goog/cdp/execute", self.session), &body)
    }

    /// What the browser has logged since it was last asked: `browser` or `performance`.
    pub(super) fn log(&self, kind: &str) -> Vec<Value> {
        let mut log = self.driver.send(&format!("/session/{}/se/log", self.session), &json!({"type": kind}));
        log.as_array_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Runs a script outside of the page's content security policy, also where the page itself may not.
    #[track_caller]
    pub(super) fn run(&self, script: &str, args: &[Value]) -> Value {
        self.try_run(script, args).unwrap_or_else(|why| panic!("{why}: {script}"))
    }

    fn try_run(&self, script: &str, args: &[Value]) -> Result<Value, fantoccini::error::CmdError> {
        self.runtime.block_on(self.client.execute(script, args.to_vec()))
    }

    /// The same for a script that calls its last argument when it is done.
    #[track_caller]
    pub(super) fn run_to_the_end(&self, script: &str, args: &[Value]) -> Value {
        let off = self.scripts_off.get();
        // Nothing is ever done later where scripts are off. The page's own do not run for that: it is loaded.
        if off {
            self.scripts(true);
        }
        let answer = self.runtime.block_on(self.client.execute_async(script, args.to_vec())).unwrap();
        if off {
            self.scripts(false);
        }
        answer
    }

    /// Width and height of the page in CSS pixels, and the colours that the reader asks for: `light` or `dark`.
    pub(super) fn look(&self, (width, height): (u32, u32), colours: &str) {
        self.size(width, height);
        self.devtools("Emulation.setScrollbarsHidden", json!({"hidden": true}));
        let features = json!([
            {"name": "prefers-color-scheme", "value": colours},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features}));
        self.settle();
    }

    /// Waits until nothing moves or changes its colour any more.
    fn settle(&self) {
        let script = "return document.getAnimations().filter((it) => it.playState === 'running').length";
        wait("an end of all animations", || self.try_run(script, &[]).is_ok_and(|left| left == 0).then_some(()));
    }

    /// Whether pages may run scripts, from the next one on.
    pub(super) fn scripts(&self, allowed: bool) {
        self.scripts_off.set(!allowed);
        self.devtools("Emulation.setScriptExecutionDisabled", json!({"value": !allowed}));
    }

    /// Goes to a path of the workbench, or a whole URL.
    #[track_caller]
    pub(super) fn open(&self, path: &str) {
        let url = if path.starts_with('/') { format!("{}{path}", self.origin) } else { path.to_owned() };
        self.runtime.block_on(self.client.goto(&url)).unwrap();
    }

    pub(super) fn back(&self) {
        self.runtime.block_on(self.client.back()).unwrap();
    }

    pub(super) fn forward(&self) {
        self.runtime.block_on(self.client.forward()).unwrap();
    }

    /// Loads the page again; where it was the answer to a form, the form is sent again.
    pub(super) fn reload(&self) {
        self.runtime.block_on(self.client.refresh()).unwrap();
    }

    pub(super) fn url(&self) -> String {
        self.runtime.block_on(self.client.current_url()).map_or_else(|why| why.to_string(), |url| url.to_string())
    }

    /// Path and query of the page.
    pub(super) fn path(&self) -> String {
        self.url().trim_start_matches(&self.origin).to_owned()
    }

    pub(super) fn source(&self) -> String {
        self.runtime.block_on(self.client.source()).unwrap()
    }

    /// What a reader sees.
    #[track_caller]
    pub(super) fn text(&self) -> String {
        self.run("return document.body.innerText", &[]).as_str().unwrap().to_owned()
    }

    fn try_text(&self) -> String {
        match self.try_run("return document.body.innerText", &[]) {
            Ok(text) => text.as_str().unwrap_or_default().to_owned(),
            Err(why) => why.to_string(),
        }
    }

    /// Waits until a reader sees these words.
    #[track_caller]
    pub(super) fn sees(&self, words: &str) {
        wait(&format!("`{words}` on the page"), || self.try_text().contains(words).then_some(()));
    }

    /// Waits until a reader does not see these words any more.
    #[track_caller]
    pub(super) fn sees_no(&self, words: &str) {
        wait(&format!("no `{words}` on the page"), || (!self.try_text().contains(words)).then_some(()));
    }

    /// Waits until the page's own heading is this one.
    #[track_caller]
    pub(super) fn is_at(&self, heading: &str) {
        let mut found = Value::Null;
        let script = "return document.readyState === 'complete' && document.querySelector('h1')?.innerText";
        wait(&format!("the heading `{heading}`"), || {
            found = self.try_run(script, &[]).unwrap_or_default();
            (found == heading).then_some(())
        });
    }

    /// Every role and accessible name on the page that has this role or, without one, this name.
    fn tree(&self, role: Option<&str>, name: Option<&str>) -> Vec<Named> {
        // A page that goes away meanwhile has nothing.
        let Ok(root) = self.try_devtools("DOM.getDocument", json!({"depth": 0})) else { return vec![] };
        let mut query = json!({"nodeId": root["root"]["nodeId"]});
        for (key, value) in [("role", role), ("accessibleName", name)] {
            if let Some(value) = value {
                query[key] = json!(value);
            }
        }
        let Ok(mut found) = self.try_devtools("Accessibility.queryAXTree", query) else { return vec![] };
        let nodes = found["nodes"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let seen = nodes.into_iter().filter(|node| node["ignored"] != true);
        seen.map(|node| Named {
            role: node["role"]["value"].as_str().unwrap_or_default().to_owned(),
            name: node["name"]["value"].as_str().unwrap_or_default().to_owned(),
            node: node["backendDOMNodeId"].clone(),
        })
        .collect()
    }

    /// The accessible names of everything with this role.
    pub(super) fn names(&self, role: &str) -> Vec<String> {
        self.tree(Some(role), None).into_iter().map(|named| named.name).collect()
    }

    /// Whether there is one with this role and name, now.
    pub(super) fn has(&self, role: &str, name: &str) -> bool {
        !self.tree(Some(role), Some(name)).is_empty()
    }

    /// What has this role and this name, or one that begins with it: waits until it is there. An exact name wins.
    #[track_caller]
    pub(super) fn find(&self, role: &str, name: &str) -> Element {
        let mut names = Vec::new();
        let found = wait_or(|| {
            let exact = self.tree(Some(role), Some(name)).into_iter().next();
            let found = exact.or_else(|| {
                let all = self.tree(Some(role), None);
                names = all.iter().map(|named| named.name.clone()).collect();
                all.into_iter().find(|named| named.name.starts_with(name))
            });
            found.and_then(|named| self.element(&named))
        });
        found.unwrap_or_else(|| panic!("no {role} `{name}`; there are {names:?}"))
    }

    /// The field with this label, or one that begins with it: waits until it is there. An exact label wins.
    #[track_caller]
    pub(super) fn field(&self, label: &str) -> Element {
        let mut names = Vec::new();
        let found = wait_or(|| {
            let is_field = |named: &Named| FIELDS.contains(&named.role.as_str());
            let exact = self.tree(None, Some(label)).into_iter().find(is_field);
            let found = exact.or_else(|| {
                let all: Vec<Named> = FIELDS.iter().flat_map(|role| self.tree(Some(role), None)).collect();
                names = all.iter().map(|named| named.name.clone()).collect();
                all.into_iter().find(|named| named.name.starts_with(label))
            });
            found.and_then(|named| self.element(&named))
        });
        found.unwrap_or_else(|| panic!("no field `{label}`; there are {names:?}"))
    }

    /// The element of a node of the accessibility tree; `None` where it has gone meanwhile.
    fn element(&self, named: &Named) -> Option<Element> {
        // WebDriver names an element by what a script returns.
        let resolved = self.try_devtools("DOM.resolveNode", json!({"backendNodeId": named.node})).ok()?;
        let object = resolved["object"]["objectId"].as_str()?;
        let keep = "function () { window.foundByTest = this }";
        self.try_devtools("Runtime.callFunctionOn", json!({"objectId": object, "functionDeclaration": keep})).ok()?;
        let script = "const found = window.foundByTest; delete window.foundByTest; return found";
        let found = self.try_run(script, &[]).ok()?;
        let id = found.as_object()?.values().next()?.as_str()?.to_owned();
        Some(Element::from_element_id(self.client.clone(), ElementRef::from(id)))
    }

    /// Clicks with the mouse.
    #[track_caller]
    pub(super) fn click(&self, role: &str, name: &str) {
        let element = self.find(role, name);
        self.runtime.block_on(element.click()).unwrap_or_else(|why| panic!("{role} `{name}`: {why}"));
    }

    #[track_caller]
    pub(super) fn button(&self, name: &str) {
        self.click("button", name);
    }

    #[track_caller]
    pub(super) fn link(&self, name: &str) {
        self.click("link", name);
    }

    /// Does what leads to another page, and waits until that is there in place of this one.
    #[track_caller]
    pub(super) fn leaves(&self, act: impl FnOnce()) {
        self.run("window.leftByTest = true", &[]);
        act();
        let script = "return document.readyState === 'complete' && !window.leftByTest";
        wait("another page", || self.try_run(script, &[]).is_ok_and(|left| left == true).then_some(()));
    }

    /// Types into a field, in place of what is there.
    #[track_caller]
    pub(super) fn fill(&self, label: &str, text: &str) {
        let field = self.field(label);
        let typed = async {
            field.clear().await?;
            field.send_keys(text).await
        };
        self.runtime.block_on(typed).unwrap_or_else(|why| panic!("`{label}`: {why}"));
    }

    /// Pastes into a field, in place of what is there: for what nobody types.
    #[track_caller]
    pub(super) fn paste(&self, label: &str, text: &str) {
        let field = self.field(label);
        self.run("arguments[0].focus(); arguments[0].select()", &[serde_json::to_value(&field).unwrap()]);
        self.devtools("Input.insertText", json!({"text": text}));
    }

    /// Chooses an option of a select by its words.
    #[track_caller]
    pub(super) fn choose(&self, label: &str, option: &str) {
        let field = self.field(label);
        self.runtime.block_on(field.select_by_label(option)).unwrap_or_else(|why| panic!("`{label}`: {why}"));
    }

    /// What a field holds.
    #[track_caller]
    pub(super) fn value(&self, label: &str) -> String {
        let field = self.field(label);
        self.runtime.block_on(field.prop("value")).unwrap().unwrap_or_default()
    }

    /// Whether a checkbox or radio is checked: `true`, `false` or `mixed`.
    #[track_caller]
    pub(super) fn checked(&self, role: &str, name: &str) -> String {
        let element = self.find(role, name);
        let script = "return arguments[0].indeterminate ? 'mixed' : String(arguments[0].checked)";
        self.run(script, &[serde_json::to_value(&element).unwrap()]).as_str().unwrap().to_owned()
    }

    /// An attribute of what has this role and name.
    #[track_caller]
    pub(super) fn attribute(&self, role: &str, name: &str, attribute: &str) -> Option<String> {
        let element = self.find(role, name);
        self.runtime.block_on(element.attr(attribute)).unwrap()
    }

    /// Presses keys, the last while those before are held.
    pub(super) fn press(&self, keys: &[Key]) {
        self.press_all(&keys.iter().map(|key| char::from(*key)).collect::<Vec<_>>());
    }

    /// The same where one of them is a letter.
    pub(super) fn press_all(&self, keys: &[char]) {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for &value in keys {
            actions = actions.then(KeyAction::Down { value });
        }
        for &value in keys.iter().rev() {
            actions = actions.then(KeyAction::Up { value });
        }
        self.runtime.block_on(self.client.perform_actions(actions)).unwrap();
    }

    /// Types where the focus is.
    pub(super) fn type_here(&self, text: &str) {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for value in text.chars() {
            actions = actions.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        }
        self.runtime.block_on(self.client.perform_actions(actions)).unwrap();
    }

    /// Role and accessible name of what has the focus.
    pub(super) fn focused(&self) -> (String, String) {
        let element = self.runtime.block_on(self.client.active_element()).unwrap();
        let tell = |what: &str| {
            let id = element.element_id();
            let url = format!("{}/session/{}/element/{}/{what}", self.driver.url, self.session, &*id);
            let text = self.driver.agent.get(&url).call().unwrap().body_mut().read_to_string().unwrap();
            let answer: Value = serde_json::from_str(&text).unwrap();
            answer["value"].as_str().unwrap_or_default().to_owned()
        };
        (tell("computedrole"), tell("computedlabel"))
    }

    /// Presses Tab until what has this name has the focus; every stop on the way must be visible.
    #[track_caller]
    pub(super) fn tab_to(&self, name: &str) {
        let mut passed = Vec::new();
        for _ in 0..120 {
            self.press(&[Key::Tab]);
            let (role, label) = self.focused();
            self.focus_is_visible();
            if label == name || label.starts_with(name) {
                return;
            }
            passed.push(format!("{role} `{label}`"));
        }
        panic!("Tab does not reach `{name}`; it passes {passed:#?}");
    }

    /// That a keyboard's user sees where they are: what has the focus has an outline or a ring, and is on the screen.
    #[track_caller]
    pub(super) fn focus_is_visible(&self) {
        self.settle();
        let script = "const at = document.activeElement;
            if (!at || at === document.body) return null;
            const seen = (it) => { if (!it) return false; const style = getComputedStyle(it);
                return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none' };
            const box = at.getBoundingClientRect();
            const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
            const label = at.labels && at.labels[0];
            return { ring: seen(at) || seen(at.parentElement) || seen(label) || (label && seen(label.firstElementChild)),
                inside, at: at.outerHTML.slice(0, 200) }";
        let found = self.run(script, &[]);
        if !found.is_null() {
            assert!(found["ring"] == true && found["inside"] == true, "the focus is not to be seen: {found}");
        }
    }

    /// A second tab; the first one stays. Its handle.
    pub(super) fn new_tab(&self) -> WindowHandle {
        let first = self.runtime.block_on(self.client.window()).unwrap();
        let new = self.runtime.block_on(self.client.new_window(true)).unwrap();
        self.runtime.block_on(self.client.switch_to_window(new.handle)).unwrap();
        self.look(DESK, "light");
        first
    }

    pub(super) fn switch_to(&self, tab: WindowHandle) {
        self.runtime.block_on(self.client.switch_to_window(tab)).unwrap();
    }

    /// The names of the cookies that a script of the page could read.
    pub(super) fn readable_cookies(&self) -> String {
        self.run("return document.cookie", &[]).as_str().unwrap().to_owned()
    }

    pub(super) fn forget_cookies(&self) {
        self.devtools("Network.clearBrowserCookies", json!({}));
    }

    /// A picture of the whole page at this width, PNG: as on a screen that is high enough for it.
    pub(super) fn picture(&self, (width, height): (u32, u32)) -> Vec<u8> {
        use base64::Engine;
        let whole = self.run("return document.documentElement.scrollHeight", &[]).as_u64().unwrap();
        self.size(width, height.max(u32::try_from(whole).unwrap()));
        self.run("scrollTo(0, 0)", &[]);
        let shot = self.devtools("Page.captureScreenshot", json!({"format": "png"}));
        self.size(width, height);
        base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()
    }

    fn size(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size);
    }
}

/// A node of the accessibility tree.
struct Named {
    role: String,
    name: String,
    node: Value,
}

/// The first answer within the usual patience of a page.
fn wait_or<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let until = std::time::Instant::now() + PATIENCE / 3;
    loop {
        match ask() {
            Some(answer) => return Some(answer),
            None if std::time::Instant::now() > until => return None,
            None => std::thread::sleep(Duration::from_millis(30)),
        }
    }
}

fn capabilities(profile: &str) -> fantoccini::wd::Capabilities {
    let profile = format!("--user-data-dir={profile}");
    let args = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--no-proxy-server",
        // The browser ends when this pipe does, however chromedriver ended.
        "--remote-debugging-pipe",
        &profile,
    ];
    let all = json!({
        "browserName": "chrome",
        "goog:chromeOptions": {"args": args, "perfLoggingPrefs": {"enableNetwork": true, "enablePage": false}},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    });
    let Value::Object(all) = all else { panic!("an object is an object") };
    all
}
