//! The command line described for others: completions for shells, and manual pages.

use std::path::PathBuf;

use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;
use coldstart_profiles::{exit, write_directory};

use super::args::Cli;
use super::exit::CliError;
use super::output;

/// Options of `coldstart completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// Options of `coldstart man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write one page a command into this directory, instead of printing the page of the program.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `coldstart completions`.
pub(super) fn completions(args: &CompletionsArgs) -> Result<u8, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut public(), "coldstart", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(exit::OK)
}

/// `coldstart man`.
pub(super) fn man(args: &ManArgs) -> Result<u8, CliError> {
    let mut root = public();
    root.build();
    let mut pages = Vec::new();
    collect(&root, "coldstart", &mut pages)?;
    match &args.out {
        None => {
            let (_, page) = pages.first().ok_or_else(|| CliError::Internal("find a page".to_owned()))?;
            output::print(&String::from_utf8_lossy(page))?;
        }
        Some(directory) => {
            let files: Vec<(&str, &[u8])> =
                pages.iter().map(|(name, page)| (name.as_str(), page.as_slice())).collect();
            write_directory(directory, &files)?;
        }
    }
    Ok(exit::OK)
}

/// The command line without the commands that no user types: generators show them whether they are hidden or not.
fn public() -> Command {
    let all = Cli::command();
    let typed = all.get_subcommands().filter(|part| !part.is_hide_set()).cloned();
    Command::new("coldstart")
        .version(env!("CARGO_PKG_VERSION"))
        .about(all.get_about().cloned().unwrap_or_default())
        .after_help(all.get_after_help().cloned().unwrap_or_default())
        .args(all.get_arguments().cloned())
        .subcommands(typed.collect::<Vec<_>>())
}

/// The page of a command, named as git names its own, then those of its subcommands.
fn collect(command: &Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) -> Result<(), CliError> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name.to_owned()).render(&mut page)?;
    pages.push((format!("{name}.1"), page));
    for part in command.get_subcommands().filter(|part| part.get_name() != "help") {
        collect(part, &format!("{name}-{}", part.get_name()), pages)?;
    }
    Ok(())
}
