//! `docs/cli.md` as a list of examples: what is typed, how it ends, and the JSON that it prints.

use std::path::PathBuf;

const PAGE: &str = "docs/cli.md";

/// One ```console block, and the block of output that stands right below it.
#[derive(Debug)]
pub(super) struct Example {
    /// Where it begins, for words about it.
    pub(super) place: String,
    /// What stands behind `$ `, a command a line.
    pub(super) script: String,
    pub(super) exit: i32,
    /// It is run until it ends as it should, for a while: what it shows comes about in the background.
    pub(super) eventually: bool,
    pub(super) output: Option<Output>,
}

/// What a script prints.
#[derive(Debug)]
pub(super) enum Output {
    Json(String),
    /// One object a line.
    JsonLines(String),
}

impl Example {
    /// Every call of the program in the script, word by word, without its name.
    pub(super) fn calls(&self) -> Vec<Vec<String>> {
        let calls = self.script.lines().filter_map(|line| {
            let (_, call) =
                line.split_once("portcullis ").filter(|(before, _)| before.is_empty() || before.ends_with("$("))?;
            let inside = if line.starts_with("portcullis ") { call } else { call.split(')').next().unwrap_or(call) };
            Some(words(inside))
        });
        calls.collect()
    }
}

/// As a shell would split it: spaces, single quotes, and an end at a redirection.
fn words(call: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in call.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    let end = words.iter().position(|word| word.starts_with('>')).unwrap_or(words.len());
    words.truncate(end);
    words
}

/// The page's examples, in their order. Output that belongs to no script fails: nothing would hold it.
pub(super) fn examples() -> Vec<Example> {
    let page = std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap();
    let mut examples: Vec<Example> = Vec::new();
    let mut adjacent = false;
    for block in blocks(&page) {
        let place = format!("{PAGE}:{}", block.line);
        match block.info.split(' ').collect::<Vec<_>>().as_slice() {
            ["text"] => adjacent = false,
            ["console", rest @ ..] => {
                examples.push(example(place, rest, &block.text));
                adjacent = true;
            }
            [kind @ ("json" | "jsonl")] => {
                assert!(adjacent, "{place}: no script prints this");
                let last = examples.last_mut().unwrap();
                last.output =
                    Some(if *kind == "json" { Output::Json(block.text) } else { Output::JsonLines(block.text) });
                adjacent = false;
            }
            other => panic!("{place}: a block of kind {other:?}"),
        }
    }
    examples
}

fn example(place: String, marks: &[&str], text: &str) -> Example {
    let mut example = Example { place, script: String::new(), exit: 0, eventually: false, output: None };
    for mark in marks {
        match mark.split_once('=') {
            Some(("exit", code)) => example.exit = code.parse().unwrap(),
            None if *mark == "eventually" => example.eventually = true,
            _ => panic!("{}: unknown mark `{mark}`", example.place),
        }
    }
    let commands: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert!(!commands.is_empty(), "{}: nothing is typed (`$ ...`)", example.place);
    example.script = commands.join("\n");
    example
}

struct Block {
    /// From 1.
    line: usize,
    info: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (line, text) in (1..).zip(page.lines()) {
        match (text.strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some(Block { line, info: info.to_owned(), text: String::new() }),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.text.extend([text, "\n"]),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{PAGE}: a block does not end");
    blocks
}
