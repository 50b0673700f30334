//! `curl` commands: split as a shell splits them, and read for method and URL alone. Nothing is run or expanded.

use super::read::Target;
use std::iter::Peekable;
use std::str::CharIndices;

/// The longest command, in bytes: a request with its cookies and body fits.
const LONGEST: usize = 32_000;

/// Options of one letter that take a value.
const SHORT_WITH_VALUE: &str = "AbcCdDeEFHKmoPQrtTuUwxXyYz";
/// Options that take a value and say nothing about method and URL. Those that are not known here are taken to have none.
const LONG_WITH_VALUE: [&str; 37] = [
    "abstract-unix-socket",
    "aws-sigv4",
    "cacert",
    "capath",
    "cert",
    "cert-type",
    "ciphers",
    "config",
    "connect-timeout",
    "connect-to",
    "cookie",
    "cookie-jar",
    "dump-header",
    "header",
    "interface",
    "keepalive-time",
    "key",
    "key-type",
    "limit-rate",
    "local-port",
    "max-redirs",
    "max-time",
    "noproxy",
    "oauth2-bearer",
    "output",
    "pass",
    "proxy",
    "proxy-user",
    "range",
    "referer",
    "resolve",
    "retry",
    "retry-delay",
    "unix-socket",
    "user",
    "user-agent",
    "write-out",
];

/// Whether a line begins a `curl` command.
pub(super) fn is_command(line: &str) -> bool {
    line.strip_prefix("curl").is_some_and(|rest| rest.starts_with(char::is_whitespace) || rest == "\\")
}

/// The request of the command at the beginning of a text, and how many bytes of it the command takes, its line break
/// included; `None` where it does not end.
pub(super) fn read(text: &str) -> (Result<(String, Target), &'static str>, Option<usize>) {
    match split(text) {
        Ok((words, bytes)) => (Command::read(words.into_iter().skip(1)).request(), Some(bytes)),
        Err(problem) => (Err(problem), None),
    }
}

/// What a command says about its request.
#[derive(Debug, Default)]
struct Command {
    method: Option<String>,
    urls: Vec<String>,
    has_body: bool,
    uploads: bool,
    head: bool,
    get: bool,
}

impl Command {
    fn read(mut words: impl Iterator<Item = String>) -> Self {
        let mut command = Self::default();
        let mut options = true;
        while let Some(word) = words.next() {
            match (word.strip_prefix("--"), word.strip_prefix('-')) {
                (Some(""), _) if options => options = false,
                (Some(long), _) if options => command.long(long, &mut words),
                (None, Some(short)) if options && !short.is_empty() => command.short(short, &mut words),
                _ => command.urls.push(word),
            }
        }
        command
    }

    fn long(&mut self, option: &str, words: &mut impl Iterator<Item = String>) {
        match option {
            "request" => self.method = words.next(),
            "url" => self.urls.extend(words.next()),
            "get" => self.get = true,
            "head" => self.head = true,
            "upload-file" => self.uploads = words.next().is_some(),
            "json" | "form" | "form-string" => self.has_body |= words.next().is_some(),
            _ if option == "data" || option.starts_with("data-") => self.has_body |= words.next().is_some(),
            _ if LONG_WITH_VALUE.contains(&option) => drop(words.next()),
            _ => {}
        }
    }

    /// `-sSXPOST` is `-s -S -X POST`.
    fn short(&mut self, letters: &str, words: &mut impl Iterator<Item = String>) {
        for (at, letter) in letters.char_indices() {
            let value = || letters.get(at + letter.len_utf8()..).filter(|rest| !rest.is_empty()).map(str::to_owned);
            match letter {
                'G' => self.get = true,
                'I' => self.head = true,
                _ if !SHORT_WITH_VALUE.contains(letter) => {}
                _ => {
                    let value = value().or_else(|| words.next());
                    match letter {
                        'X' => self.method = value,
                        'T' => self.uploads = value.is_some(),
                        'd' | 'F' => self.has_body |= value.is_some(),
                        _ => {}
                    }
                    return;
                }
            }
        }
    }

    fn request(self) -> Result<(String, Target), &'static str> {
        let Self { method, urls, has_body, uploads, head, get } = self;
        let implied = match (head, get, uploads, has_body) {
            (true, ..) => "HEAD",
            (_, true, ..) => "GET",
            (_, _, true, _) => "PUT",
            (_, _, _, true) => "POST",
            (false, false, false, false) => "GET",
        };
        // The value of an option that is not known here may stand before the URL.
        let url = urls.iter().find(|url| url.contains("://")).or_else(|| urls.iter().find(|url| url.contains('/')));
        let url = url.or(urls.first()).ok_or("there is no URL in this command")?;
        Ok((method.map_or_else(|| implied.to_owned(), |method| method.to_ascii_uppercase()), Target::parse(url)?))
    }
}

/// The words of a command up to its end: a line break, `;`, `|` or `&` outside of quotes. How many bytes were read, with the
/// rest of the last line.
fn split(text: &str) -> Result<(Vec<String>, usize), &'static str> {
    let mut chars = text.char_indices().peekable();
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut end = text.len();
    while let Some((at, c)) = chars.next() {
        if at > LONGEST {
            return Err("this command is longer than 32000 bytes");
        }
        match c {
            '\n' | ';' | '|' | '&' => {
                end = text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |length| at + length + 1);
                break;
            }
            '\'' => plain_quoted(&mut chars, word.get_or_insert_default())?,
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '$' if chars.next_if(|(_, c)| *c == '\'').is_some() => escaped(&mut chars, word.get_or_insert_default())?,
            '\\' => match chars.next() {
                // What Windows puts before a line break goes with it.
                Some((_, '\r')) => drop(chars.next_if(|(_, c)| *c == '\n')),
                None | Some((_, '\n')) => {}
                Some((_, c)) => word.get_or_insert_default().push(c),
            },
            _ if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok((words, end))
}

type Chars<'t> = Peekable<CharIndices<'t>>;

const UNCLOSED: &str = "a quote is not closed";

/// The next character within quotes, unless there is none or too many were read.
fn within(chars: &mut Chars<'_>) -> Result<char, &'static str> {
    chars.next().filter(|(at, _)| *at <= LONGEST).map(|(_, c)| c).ok_or(UNCLOSED)
}

fn plain_quoted(chars: &mut Chars<'_>, word: &mut String) -> Result<(), &'static str> {
    loop {
        match within(chars)? {
            '\'' => return Ok(()),
            c => word.push(c),
        }
    }
}

fn double_quoted(chars: &mut Chars<'_>, word: &mut String) -> Result<(), &'static str> {
    loop {
        match within(chars)? {
            '"' => return Ok(()),
            '\\' => match within(chars)? {
                '\n' => {}
                c @ ('"' | '\\' | '$' | '`') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

/// `$'...'`, as browsers write bodies. What an escape stands for is of no interest but where the quote ends.
fn escaped(chars: &mut Chars<'_>, word: &mut String) -> Result<(), &'static str> {
    loop {
        match within(chars)? {
            '\'' => return Ok(()),
            '\\' => word.push(within(chars)?),
            c => word.push(c),
        }
    }
}
