//! `networks_file`: platform addresses as their publisher lists them, one network a line.
//!
//! `#` starts a comment, empty lines count for nothing. Problems stand in the list itself, not where it is named.

use super::reader::Value;
use super::sheet::Sheet;
use crate::model::{Network, NetworkError};

/// So many bad lines of a list are named; a count stands for the rest.
const NAMED: usize = 100;

/// The networks of the file that `value` names. What is wrong with it is a problem of the sheet that names it.
pub(super) fn read(sheet: &Sheet, value: &Value<'_>) -> Vec<Network> {
    let Some(path) = value.path().map(|path| path.value) else { return Vec::new() };
    let text = match sheet.read_text(&path) {
        Ok(text) => text,
        Err(fault) => {
            let message = format!("`{}`: line {}: {}", path.display(), fault.line, fault.message);
            value.problem(message);
            return Vec::new();
        }
    };
    let (mut networks, mut bad) = (Vec::new(), 0);
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.split_once('#').map_or(line, |(before, _)| before).trim();
        if line.is_empty() {
            continue;
        }
        match Network::parse(line) {
            Ok(network) => networks.push(network),
            Err(error) => {
                bad += 1;
                if bad <= NAMED {
                    sheet.problem_in(&path, number, said(&error));
                }
            }
        }
    }
    if bad > NAMED {
        sheet.problem_in(&path, 1, format!("{} more lines are no networks", bad - NAMED));
    }
    if networks.is_empty() && bad == 0 {
        sheet.problem_in(&path, 1, "holds no network: an empty list would shut out whoever relies on it");
    }
    networks
}

/// What is wrong with a line. What is no network is not repeated: a wrong name in the setting may point anywhere.
fn said(error: &NetworkError) -> String {
    match error {
        NetworkError::HostBits { .. } => error.to_string(),
        NetworkError::Malformed { .. } => {
            "is not an IP address or CIDR network such as `203.0.113.42` or `198.51.100.0/24`".to_owned()
        }
    }
}
