//! `portcullis completions`.

use super::failure::Failure;
use super::options::TOKEN_VARIABLE;
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

/// clap offers hidden arguments too, so the one that stands for a variable is taken out again.
fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "portcullis", &mut script);
    let script = String::from_utf8_lossy(&script);
    let hidden = format!("--{TOKEN_VARIABLE}");
    let lines = script.lines().filter_map(|line| match shell {
        // One line of words for all options.
        Shell::Bash => Some(line.replace(&format!(" {hidden}"), "")),
        // One line an option.
        _ => (!line.contains(TOKEN_VARIABLE)).then(|| line.to_owned()),
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
            assert!(!script.contains(TOKEN_VARIABLE), "{shell}");
        }
    }
}
