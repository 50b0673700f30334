//! The workbench, driven as people drive it: a real browser before the real binary, and, for what no browser need see,
//! plain HTTP with cookies.
//!
//! `browser` has the verbs, `judge` what every page is held to, `house` who and what is there, `visitor` HTTP with
//! cookies. Chromium and chromedriver must be there (`make setup`); tests that start them have `browser` in their path
//! and run one at a time (`.config/nextest.toml`).

mod browser;
mod doors;
mod doors_browser;
mod forms_browser;
mod house;
mod judge;
mod judge_browser;
mod life_browser;
mod newcomer_browser;
mod organization;
mod pages_browser;
mod pictures_browser;
mod roles;
mod secret;
mod secret_browser;
mod stale;
mod strain_browser;
mod visitor;

use crate::process::PATIENCE;
use std::time::{Duration, Instant};

/// Asks until there is an answer.
#[track_caller]
fn wait<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE / 3;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}
