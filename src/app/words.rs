//! Words on standard error: for people, or one JSON object a line.
//!
//! Only our own are said. The libraries below us print heads, credentials and raw bytes at levels that nobody can rely on,
//! so they are silent whatever level is asked for.

use crate::clock;
use crate::config::{LogFormat, environment_variable};
use serde_json::{Map, Value};
use std::fmt;
use std::io::IsTerminal;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

const LEVELS: [&str; 4] = ["debug", "error", "info", "warn"];

/// Words are said from now on.
pub(super) fn start(format: LogFormat) {
    let level = environment_variable("PORTCULLIS_LOG").filter(|level| LEVELS.contains(&level.as_str()));
    let filter = EnvFilter::new(format!("off,portcullis={}", level.as_deref().unwrap_or("info")));
    let words = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        // It would tell of them on stderr, which is what failed, and panic at that.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second subscriber (a test that starts two nodes) keeps the first.
    let _ = match format {
        LogFormat::Json => words.event_format(JsonLines).try_init(),
        LogFormat::Text => words.try_init(),
    };
}

/// `time`, `level`, `message`, then whatever else there is to say.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Members(Map::new());
        line.add("time", clock::now().to_string().into());
        line.add("level", level(*event.metadata().level()).into());
        event.record(&mut line);
        writeln!(writer, "{}", Value::Object(line.0))
    }
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::DEBUG => "debug",
        Level::ERROR => "error",
        Level::INFO => "info",
        Level::TRACE => "trace",
        Level::WARN => "warn",
    }
}

struct Members(Map<String, Value>);

impl Members {
    fn add(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }
}

impl Visit for Members {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field.name(), format!("{value:?}").into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::io::Write;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_an_object_whatever_is_said() {
        let kept = Kept::default();
        let writer = kept.clone();
        let words = tracing_subscriber::fmt().event_format(JsonLines).with_writer(move || writer.clone()).finish();
        let odd = "a\nb\r\"\\\u{1b}[31m\u{202e}\u{0}";
        tracing::subscriber::with_default(words, || {
            tracing::warn!(code = odd, number = 7, on = true, error = %odd, "{odd}");
        });
        let text = String::from_utf8(kept.0.lock().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["code"], &line["message"], &line["error"]), (&odd.into(), &odd.into(), &odd.into()));
        assert_eq!((&line["number"], &line["on"], &line["level"]), (&7.into(), &true.into(), &"warn".into()));
    }
}
