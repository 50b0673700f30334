//! Progress of commands that may take long: on stderr, where that is a terminal, and silent elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// How often the picture may change.
const REDRAW: Duration = Duration::from_millis(200);

/// A count whose end is not known, of what goes to stdout: silent as well where that is the same terminal.
pub(super) struct Counter(ProgressBar);

impl Counter {
    /// Starts to count `noun`, in the plural.
    pub(super) fn start(noun: &str) -> Self {
        let style = ProgressStyle::with_template(&format!("{{spinner}} {{human_pos}} {noun}  {{elapsed}}"));
        let is_apart = !std::io::stdout().is_terminal();
        let target = if is_apart { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self(bar(target, None, style))
    }

    pub(super) fn add(&self, more: u64) {
        self.0.inc(more);
    }

    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// A job whose steps are known once it runs.
pub(super) struct Steps(ProgressBar);

impl Steps {
    /// Starts the job that `verb` names (`copying`).
    pub(super) fn start(verb: &str) -> Self {
        let template = format!("{verb} {{bar:40}} {{percent:>3}} %  {{elapsed}}, {{eta}} to go");
        // Nothing of one step, until it is known how many there are: nothing of none would be all.
        Self(bar(ProgressDrawTarget::stderr(), Some(1), ProgressStyle::with_template(&template)))
    }

    /// That many steps of so many are done.
    pub(super) fn show(&self, done: u64, all: u64) {
        self.0.set_length(all);
        self.0.set_position(done);
    }

    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// The draw target is hidden where stderr is no terminal.
fn bar(
    target: ProgressDrawTarget,
    length: Option<u64>,
    style: Result<ProgressStyle, indicatif::style::TemplateError>,
) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(length, target);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    if !bar.is_hidden() {
        bar.enable_steady_tick(REDRAW);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pictures_are_well_formed() {
        for template in ["{spinner} {human_pos} rows  {elapsed}", "x {bar:40} {percent:>3} %  {elapsed}, {eta} to go"] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
        let steps = Steps::start("copying");
        steps.show(1, 2);
        steps.end();
    }
}
