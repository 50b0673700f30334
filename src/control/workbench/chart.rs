//! Small pictures of numbers by the hour, as rectangles for inline SVG; what they show is said in words as well.

use super::words::{counted, number};
use crate::control::HourTraffic;

/// The height of a sparkline.
const LOW: u64 = 20;
/// The height of the bars of a whole environment.
const HIGH: u64 = 136;
/// The smallest bar that can be seen.
const LEAST: u64 = 2;

/// One rectangle.
pub(super) struct Bar {
    pub(super) x: usize,
    pub(super) y: u64,
    pub(super) height: u64,
    /// Nothing happened.
    pub(super) rest: bool,
}

/// 24 hours of one key.
pub(super) struct Spark {
    pub(super) label: String,
    pub(super) total: String,
    pub(super) bars: Vec<Bar>,
}

/// An hour of an environment.
pub(super) struct HourBars {
    /// `17:00`.
    pub(super) hour: String,
    pub(super) allowed: String,
    pub(super) refused: String,
    pub(super) x: usize,
    pub(super) allowed_y: u64,
    pub(super) allowed_height: u64,
    pub(super) refused_y: u64,
    pub(super) refused_height: u64,
}

impl Spark {
    /// Permitted requests an hour, oldest first.
    pub(super) fn new(hours: &[u64; 24]) -> Self {
        let top = hours.iter().copied().max().unwrap_or(0);
        let bar = |(at, count): (usize, &u64)| {
            let height = if *count == 0 { 1 } else { scaled(*count, top, LOW) };
            Bar { x: at.saturating_mul(4), y: LOW.saturating_sub(height), height, rest: *count == 0 }
        };
        let total = hours.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
        Self {
            label: format!("{} allowed in 24 hours", counted(total, "request")),
            total: number(total),
            bars: hours.iter().enumerate().map(bar).collect(),
        }
    }
}

/// At least what can be seen, where there is anything.
fn scaled(count: u64, top: u64, height: u64) -> u64 {
    if count == 0 {
        return 0;
    }
    let part = u128::from(count).saturating_mul(height.into()).checked_div(top.into()).unwrap_or(0);
    u64::try_from(part).unwrap_or(height).clamp(LEAST, height)
}

/// Bars of both kinds, refused on top of allowed.
pub(super) fn bars(hours: &[HourTraffic]) -> Vec<HourBars> {
    let top = hours.iter().map(|hour| hour.allowed.saturating_add(hour.refused)).max().unwrap_or(0);
    let one = |(at, hour): (usize, &HourTraffic)| {
        let allowed_height = scaled(hour.allowed, top, HIGH.saturating_sub(9));
        let refused_height = scaled(hour.refused, top, HIGH.saturating_sub(9))
            .min(HIGH.saturating_sub(allowed_height).saturating_sub(1));
        let allowed_y = HIGH.saturating_sub(allowed_height);
        HourBars {
            hour: hour.hour.to_string().get(11..16).unwrap_or_default().to_owned(),
            allowed: number(hour.allowed),
            refused: number(hour.refused),
            x: at.saturating_mul(30).saturating_add(3),
            allowed_y,
            allowed_height,
            refused_y: allowed_y.saturating_sub(refused_height).saturating_sub(1),
            refused_height,
        }
    };
    hours.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_hour_fills_the_picture_and_any_use_is_seen() {
        let mut hours = [0; 24];
        (hours[0], hours[1], hours[23]) = (1, 100_000, u64::MAX / 2);
        let spark = Spark::new(&hours);
        let heights: Vec<u64> = spark.bars.iter().map(|bar| bar.height).collect();
        assert_eq!((heights[0], heights[1], heights[2], heights[23]), (2, 2, 1, 20));
        assert!(spark.bars[2].rest && !spark.bars[0].rest);
        assert!(spark.bars.iter().all(|bar| bar.y + bar.height == 20));
    }

    #[test]
    fn bars_stay_within_the_picture() {
        let hour = |allowed, refused| HourTraffic { hour: crate::model::Timestamp::from_unix(7200), allowed, refused };
        for bar in bars(&[hour(0, 0), hour(0, 5), hour(5, 0), hour(1000, 1000), hour(1, 100_000)]) {
            assert!(
                bar.allowed_y + bar.allowed_height == HIGH && bar.refused_y + bar.refused_height < HIGH,
                "{}",
                bar.hour
            );
            assert_eq!(bar.hour, "02:00");
        }
    }
}
