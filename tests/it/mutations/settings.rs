//! Configuration text, mutated: a verdict for every text, each problem with its file and line, never a panic.

use super::generator::Random;
use portcullis::config::{Documents, load};
use portcullis::model::Timestamp;
use std::path::Path;

const TEXTS: u64 = 3_000;
const NAMES: [&str; 2] = ["portcullis.toml", "tenants/acme.toml"];
const PIECES: &[&str] = &[
    "\n",
    "=",
    "\"",
    "[",
    "]",
    "{",
    "}",
    "[[",
    "#",
    "'''",
    "\"\"\"",
    "\\u0000",
    "\u{feff}",
    "\u{202e}",
    "\0",
    "-1",
    "99999999999999999999",
    "1e400",
    "\"0s\"",
    "\"1TiB\"",
    "[environments]",
    "true",
    "inf",
    ".",
];

fn mutated(text: &str, random: &mut Random) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let one = random.below(lines.len());
        match random.below(6) {
            0 => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].bytes())),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..(at + random.below(20)).min(bytes.len())).count()),
            3 if at < bytes.len() => bytes[at] = random.next() as u8,
            // A line twice, or gone.
            4 => drop(bytes.splice(at..at, [lines[one].as_slice(), b"\n"].concat())),
            _ => {
                let kept = lines.iter().enumerate().filter(|(number, _)| *number != one);
                bytes = kept.map(|(_, line)| line.as_slice()).collect::<Vec<_>>().join(&b'\n');
            }
        }
    }
    bytes
}

/// What the reference only shows in comments is switched on.
fn all_on(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("# ") {
        Some(shown) if shown.contains(" = ") => format!("{shown}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

fn has_a_place(line: &str) -> bool {
    let place = line.split(": ").next().and_then(|place| place.rsplit_once(':'));
    place.is_some_and(|(file, line)| file.ends_with(".toml") && line.parse::<usize>().is_ok())
}

#[test]
fn mutated_settings_are_judged_line_by_line() {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let bare = NAMES.map(|name| std::fs::read_to_string(conf.join(name)).unwrap());
    let full = [all_on(&bare[0]), all_on(&bare[1])];
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tenants")).unwrap();
    let (documents, now) = (Documents::default(), Timestamp::from_unix(1_800_000_000));
    let (mut good, mut bad) = (0, 0);
    for index in 0..TEXTS {
        let mut random = Random::of(super::SEED, index);
        let texts = if random.one_in(2) { &bare } else { &full };
        let which = random.below(2);
        for (number, name) in NAMES.iter().enumerate() {
            let text =
                if number == which { mutated(&texts[number], &mut random) } else { bare[number].clone().into_bytes() };
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        match load(&folder.path().join(NAMES[0]), now, &documents) {
            Ok(_) => good += 1,
            Err(problems) => {
                bad += 1;
                let told = problems.to_string();
                assert!(told.lines().next().is_some_and(has_a_place), "text {index}: {told}");
            }
        }
    }
    eprintln!("{TEXTS} texts: {good} load, {bad} are refused");
    assert!(good > 50 && bad > 500, "{good} load, {bad} are refused");
}
