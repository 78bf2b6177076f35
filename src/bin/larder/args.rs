//! The command line.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, ValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output::Output;
use crate::words;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  verify: damage was found; show, ls FUNCTION, export --function, runs, plan: there is nothing of that name; bless: a
     result differs, or there is nothing to bless; runs remove: a program is at the run
  2  the command line means nothing
  3  the directory is no cache, or it or FILE cannot be opened; bless: the program cannot be started
  4  failed midway

Works while programs use the cache. Sizes are powers of 1024: 500K, 1.5M, 10G. Durations: 90s, 45m, 12h, 30d, 2w.";

/// The whole command line.
pub(crate) fn command() -> Command {
    Command::new("larder")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Looks after a cache of the larder crate")
        .after_help(EXIT_CODES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            Arg::new("cache")
                .long("cache")
                .value_name("DIR")
                .global(true)
                .value_parser(value_parser!(PathBuf))
                .help("The cache's directory; unset, the one that LARDER_CACHE names"),
        )
        .arg(flag("json", "Print one JSON document, whose fields docs/tool.md describes").global(true))
        .subcommand(
            Command::new("ls")
                .about("List functions with what is kept of them, or the entries of one")
                .arg(Arg::new("function").value_name("FUNCTION").help("List the entries of this function"))
                .arg(
                    Arg::new("sort")
                        .long("sort")
                        .value_name("COLUMN")
                        .value_parser(PossibleValuesParser::new(crate::ls::COLUMNS))
                        .default_value("bytes")
                        .help("What functions are sorted by, the most first; names from A on"),
                )
                .arg(
                    Arg::new("limit")
                        .long("limit")
                        .value_name("N")
                        .value_parser(value_parser!(usize))
                        .help("List at most so many; 0 is all. Default 100 entries, all functions, and all in JSON"),
                ),
        )
        .subcommand(
            Command::new("show")
                .about("Tell all of one entry")
                .arg(Arg::new("key").value_name("KEY").required(true).help("The first digits of its key, at least 4")),
        )
        .subcommand(Command::new("stats").about("Tell what the cache holds and whether it is worth it"))
        .subcommand(Command::new("du").about("Tell what takes room, by function and on disk"))
        .subcommand(
            Command::new("prune")
                .about("Remove what is worth the least, down to limits")
                .arg(
                    Arg::new("max-bytes")
                        .long("max-bytes")
                        .value_name("SIZE")
                        .allow_hyphen_values(true)
                        .help("Keep at most so many bytes"),
                )
                .arg(
                    Arg::new("max-entries")
                        .long("max-entries")
                        .value_name("N")
                        .value_parser(value_parser!(u64))
                        .help("Keep at most so many entries"),
                )
                .arg(
                    Arg::new("max-age")
                        .long("max-age")
                        .visible_alias("older-than")
                        .value_name("DURATION")
                        .value_parser(ValueParser::new(words::parse_duration))
                        .help("Remove what was not used for so long"),
                )
                .arg(flag("dry-run", "Only say what would be removed, with the computing that it would cost")),
        )
        .subcommand(
            Command::new("clear")
                .about("Remove every entry, or those of a function")
                .arg(Arg::new("function").value_name("FUNCTION").help("Remove this function's entries alone"))
                .arg(flag("yes", "Do not ask")),
        )
        .subcommand(
            Command::new("bless")
                .about("Have entries of earlier code answer for a function, once a sample gave the same results again")
                .arg(Arg::new("function").value_name("FUNCTION").required(true).help("The function's full name"))
                .arg(
                    Arg::new("sample")
                        .long("sample")
                        .value_name("N")
                        .value_parser(value_parser!(u32))
                        .default_value("32")
                        .help("Compute so many entries again; all if there are fewer"),
                )
                .arg(
                    Arg::new("from")
                        .long("from")
                        .value_name("CODE")
                        .help("The entries' code, by its first digits; unset, the one that stored an entry last"),
                )
                .arg(Arg::new("by").long("by").value_name("NAME").help("Who says so; unset, the user"))
                .arg(
                    Arg::new("program")
                        .long("program")
                        .value_name("PATH")
                        .value_parser(value_parser!(PathBuf))
                        .help("The program with the new code; unset, the last that noted that it has the function"),
                )
                .arg(
                    flag("undo", "Take back all that is blessed of the function")
                        .conflicts_with_all(["from", "by", "program"]),
                ),
        )
        .subcommand(
            Command::new("runs")
                .about("List named runs, or show, retry or remove one; also while it is live")
                .subcommand(
                    Command::new("show")
                        .about("Tell all of a run: its programs, and its items, those that failed first")
                        .arg(run_name())
                        .arg(flag("failed", "Only the items that failed"))
                        .arg(
                            Arg::new("limit")
                                .long("limit")
                                .value_name("N")
                                .value_parser(value_parser!(usize))
                                .help("List at most so many items; 0 is all. Default 100, and all in JSON"),
                        ),
                )
                .subcommand(
                    Command::new("retry")
                        .about("Have the next program with this run try again what failed")
                        .arg(run_name()),
                )
                .subcommand(
                    Command::new("remove").about("Forget a run; its results stay in the cache").arg(run_name()),
                ),
        )
        .subcommand(
            Command::new("plan")
                .about("Tell what the next start of a run would compute, why, and how long that would take")
                .arg(run_name()),
        )
        .subcommand(
            Command::new("verify")
                .about("Compare the digest of every record and every file")
                .arg(flag("repair", "Remove what is damaged, so that it is computed again")),
        )
        .subcommand(Command::new("rebuild").about("Make the index anew; nobody may use the cache meanwhile"))
        .subcommand(
            Command::new("export")
                .about("Write entries as one file")
                .arg(file("The file, which must not be there; `-` is the standard output"))
                .arg(
                    Arg::new("function")
                        .long("function")
                        .value_name("FUNCTION")
                        .action(ArgAction::Append)
                        .help("Only the entries of this function; may be given several times"),
                ),
        )
        .subcommand(
            Command::new("import")
                .about("Store the entries of an exported file that are not there yet")
                .arg(file("The file; `-` is the standard input"))
                .arg(flag("create", "Make the cache if it is missing")),
        )
        .subcommand(
            Command::new("completions")
                .about("Print the completions for a shell")
                .arg(Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell))),
        )
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn run_name() -> Arg {
    Arg::new("name").value_name("NAME").required(true).help("The run's name, as `larder runs` lists it")
}

fn file(help: &'static str) -> Arg {
    Arg::new("file").value_name("FILE").required(true).value_parser(value_parser!(PathBuf)).help(help)
}

/// `larder completions SHELL`.
pub(crate) fn completions(args: &ArgMatches, out: &mut Output) -> Result<u8, Failure> {
    let Some(shell) = args.get_one::<Shell>("shell") else { return Err(Failure::usage("give a shell")) };
    let mut script = Vec::new();
    clap_complete::generate(*shell, &mut command(), "larder", &mut script);
    out.text(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::command().debug_assert();
    }
}
