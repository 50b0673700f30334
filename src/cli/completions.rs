//! `portcullis completions`.

use super::failure::Failure;
use super::options::VARIABLES;
use super::output::print;
use clap_complete::Shell;

/// Print completions for a shell
///
/// bash: portcullis completions bash > /etc/bash_completion.d/portcullis; zsh: into a file `_portcullis` of a folder
/// in $fpath; fish: into ~/.config/fish/completions/portcullis.fish.
#[derive(clap::Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> Result<(), Failure> {
        print(script(self.shell).trim_end())
    }
}

/// clap offers hidden arguments too, so those that stand for variables are taken out again.
fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "portcullis", &mut script);
    let script = String::from_utf8_lossy(&script);
    let lines = script.lines().filter_map(|line| match shell {
        // One line of words for all options.
        Shell::Bash => {
            Some(VARIABLES.iter().fold(line.to_owned(), |line, name| line.replace(&format!(" --{name}"), "")))
        }
        // One line an option.
        _ => (!VARIABLES.iter().any(|name| line.contains(name))).then(|| line.to_owned()),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_shell_knows_the_commands_and_no_hidden_argument() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            assert!(script.contains("signing-keys") && script.contains("token-file"), "{shell}");
            assert!(!VARIABLES.iter().any(|name| script.contains(name)), "{shell}");
        }
    }
}
