//! What every page is held to: axe-core finds nothing, the browser has nothing to say, nothing goes elsewhere.

use super::browser::{Browser, DESK, PHONE};
use crate::tools::tool;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

impl Browser {
    /// That axe-core finds nothing, best practices included. Where it cannot be installed for want of a registry this
    /// part alone is left out; the reason has been printed.
    #[track_caller]
    pub(super) fn axe(&self) {
        let Some(folder) = tool("axe") else { return };
        // WebDriver's scripts run outside of the page's policy.
        if self.run("return typeof axe", &[]) == "undefined" {
            let script = std::fs::read_to_string(folder.join("node_modules/axe-core/axe.min.js")).unwrap();
            self.run(&script, &[]);
        }
        let ask = "const done = arguments[0];
            axe.run(document, { resultTypes: ['violations'], preload: false })
                .then((found) => done(found.violations), (why) => done([{ id: String(why), nodes: [] }]))";
        let found = self.run_to_the_end(ask, &[]);
        let violations = found.as_array().unwrap();
        let told: Vec<String> = violations.iter().map(violation).collect();
        assert!(told.is_empty(), "axe-core at {}:\n{}", self.url(), told.join("\n"));
    }

    /// That nothing has gone wrong since this was last asked: no violation of the content security policy, no error or
    /// warning in the console, and no request for another origin. Answers that refuse are no errors; what is missing
    /// (404) is one.
    #[track_caller]
    pub(super) fn quiet(&self) {
        let refusals = ["401", "403", "409", "410", "412", "422", "429"];
        let refusals = refusals.map(|code| [format!("status of {code}"), format!("Status Error Code {code}")]).concat();
        let wrong = self.log("browser").into_iter().filter(|entry| {
            let words = entry["message"].as_str().unwrap_or_default();
            let serious = ["SEVERE", "WARNING"].iter().any(|level| entry["level"] == *level);
            // What the browser's own pages get wrong is told in the same log.
            serious && !words.starts_with("chrome://") && !refusals.iter().any(|refusal| words.contains(refusal))
        });
        let wrong: Vec<String> = wrong.map(|entry| entry.to_string()).collect();
        assert!(wrong.is_empty(), "the browser says at {}:\n{}", self.url(), wrong.join("\n"));
        self.hear();
        let requests = self.requests.take();
        let own = [format!("{}/", self.origin()), format!("blob:{}/", self.origin())];
        let elsewhere = requests.iter().filter(|url| {
            let inside = ["data:", "about:", "chrome:", "chrome-untrusted:", "devtools:"];
            !own.iter().any(|own| url.starts_with(own)) && !inside.iter().any(|scheme| url.starts_with(scheme))
        });
        let elsewhere: Vec<&String> = elsewhere.collect();
        assert!(elsewhere.is_empty(), "requests for other hosts: {elsewhere:?}");
    }

    /// Forgets what was logged; for tests that go where nothing is.
    pub(super) fn forget_log(&self) {
        self.log("browser");
    }

    /// Takes the URLs of the requests out of the performance log.
    pub(super) fn hear(&self) {
        let log = self.log("performance");
        let urls = log.iter().filter_map(|entry| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &message["message"];
            let sent =
                message["method"] == "Network.requestWillBeSent" || message["method"] == "Network.webSocketCreated";
            let url = message["params"]["request"]["url"].as_str().or(message["params"]["url"].as_str());
            url.filter(|_| sent).map(str::to_owned)
        });
        self.requests.borrow_mut().extend(urls);
    }

    /// That a narrow page need not be pushed sideways.
    #[track_caller]
    pub(super) fn fits(&self) {
        let script = "const page = document.documentElement;
            if (page.scrollWidth <= page.clientWidth) return [];
            return [page.scrollWidth, ...[...document.querySelectorAll('body *')].filter((it) => {
                const box = it.getBoundingClientRect();
                return box.width > 0 && box.right > page.clientWidth + 1;
            }).slice(0, 8).map((it) => it.outerHTML.slice(0, 160))];";
        let wide = self.run(script, &[]);
        assert_eq!(wide, json!([]), "{} is wider than the screen", self.url());
    }

    /// All of it, light and dark, wide and narrow, and a picture of each under the target folder.
    #[track_caller]
    pub(super) fn judge(&self, name: &str) {
        self.judge_but_404(name);
        self.quiet();
    }

    /// The same of a page of what is not there: the browser's word about that counts for nothing.
    #[track_caller]
    pub(super) fn judge_but_404(&self, name: &str) {
        for (size, colours) in [(DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")] {
            self.look(size, colours);
            self.axe();
            self.fits();
            self.screenshot(&target_pictures(), &format!("{name}-{}-{colours}", size.0), size);
        }
        self.look(DESK, "light");
    }

    /// A picture of the whole page as it is, in a folder.
    pub(super) fn screenshot(&self, folder: &Path, name: &str, size: (u32, u32)) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), self.picture(size)).unwrap();
    }
}

/// Where plain test runs leave their pictures.
pub(super) fn target_pictures() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots")
}

fn violation(found: &Value) -> String {
    let empty = Vec::new();
    let nodes = found["nodes"].as_array().unwrap_or(&empty);
    let nodes: Vec<String> = nodes
        .iter()
        .take(6)
        .map(|node| format!("    {} {}\n      {}", node["target"], node["html"], node["failureSummary"]))
        .collect();
    format!("  {} ({}): {} [{}]\n{}", found["id"], found["impact"], found["help"], nodes.len(), nodes.join("\n"))
}
