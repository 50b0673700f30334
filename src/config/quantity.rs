//! Durations and sizes: strings with units, because a bare number is misread sooner or later.

use std::time::Duration;

/// A duration such as `90d`, `10s` or `1h 30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("`{text}` is not a duration such as `10s`, `30m` or `90d`: {error}"))
}

/// A size such as `32KiB`: a whole number and `B`, `KB`, `KiB`, `MB`, `MiB`, `GB` or `GiB`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let error = || format!("`{text}` is not a size such as `512B`, `32KiB` or `1MiB`");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(error)?;
    let factor: u64 = match unit.trim_start() {
        "B" => 1,
        "KB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return Err(error()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(error)
}

/// A size in the largest binary unit that says it exactly.
pub(super) fn size_text(bytes: u64) -> String {
    match bytes {
        _ if bytes > 0 && bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes > 0 && bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        _ => format!("{bytes}B"),
    }
}

/// A duration in the largest unit that says it exactly.
pub(super) fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let unit = units.into_iter().find(|(length, _)| millis > 0 && millis.is_multiple_of(*length));
    unit.map_or_else(|| format!("{millis}ms"), |(length, name)| format!("{}{name}", millis / length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("0B", 0), ("512B", 512), ("32KiB", 32_768), ("1 MB", 1_000_000), ("2GiB", 1 << 31)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "32", "KiB", "32kib", "-1B", "1.5KiB", "32KiB ", "99999999999999999999B", "18446744073709GiB"]
        {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!([size_text(1 << 20), size_text(1 << 10), size_text(64)], ["1MiB", "1KiB", "64B"]);
    }

    #[test]
    fn durations_are_told_as_people_write_them() {
        let told = [7_776_000_000, 90_000_000, 300_000, 61_000, 1_500, 0].map(Duration::from_millis).map(duration_text);
        assert_eq!(told, ["90d", "25h", "5m", "61s", "1500ms", "0ms"]);
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5_400)));
        for text in ["", "10", "ten seconds", "-1s", "1y2"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
