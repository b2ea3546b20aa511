//! The configuration file: `key = value` lines, where the keys are the names of the options that
//! set the same on the command line.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Args, Command, FromArgMatches, Parser};
use thiserror::Error;

use super::{Arguments, Settings};

/// Where the file is, unless told otherwise.
const PATH: &str = "/etc/nmstated.conf";
/// Most bytes read.
const BYTES_MAX: u64 = 64 << 10;

/// Why the file is of no use.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path}:{line}: {problem}")]
    Line { path: PathBuf, line: usize, problem: String },
}

impl Arguments {
    /// The command line, completed from the configuration file.
    pub fn complete(command_line: &[OsString]) -> Result<Self, ConfigError> {
        let alone = Self::parse_from(command_line);
        if alone.restore {
            // It must work whatever has become of the file: who starts it knows what matters.
            return Ok(alone);
        }
        let file = match &alone.check_config {
            Some(Some(path)) => read(path)?,
            Some(None) | None => match &alone.config {
                Some(path) => read(path)?,
                None => match read(Path::new(PATH)) {
                    Err(ConfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                        return Ok(alone);
                    }
                    other => other?,
                },
            },
        };
        // What comes later goes before.
        let (program, rest) = command_line.split_at(command_line.len().min(1));
        Ok(Self::parse_from(program.iter().cloned().chain(file).chain(rest.iter().cloned())))
    }
}

/// A file as arguments.
fn read(path: &Path) -> Result<Vec<OsString>, ConfigError> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text))
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    arguments(&text).map_err(|(line, problem)| ConfigError::Line { path: path.to_owned(), line, problem })
}

/// The lines as arguments, or the number of the first wrong one and what is wrong with it.
fn arguments(text: &str) -> Result<Vec<OsString>, (usize, String)> {
    let known = Settings::augment_args(Command::default().no_binary_name(true).disable_help_flag(true));
    let keys: Vec<&str> = known.get_arguments().filter_map(clap::Arg::get_long).collect();
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let wrong = |problem: String| (index + 1, problem);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            return Err(wrong("expected `key = value`".into()));
        };
        let (key, value) = (key.trim(), value.trim());
        if value.is_empty() {
            return Err(wrong(format!("`{key}` has no value")));
        }
        if !keys.contains(&key) {
            return Err(wrong(format!("unknown key `{key}`; there are {}", keys.join(", "))));
        }
        if seen.contains(&key) {
            return Err(wrong(format!("`{key}` is there a second time")));
        }
        seen.push(key);
        let argument = OsString::from(format!("--{key}={value}"));
        known
            .clone()
            .try_get_matches_from([&argument])
            .and_then(|matches| Settings::from_arg_matches(&matches))
            .map_err(|error| wrong(first_sentence(&error)))?;
        found.push(argument);
    }
    Ok(found)
}

/// What is wrong, without the advice on how to use a command line.
fn first_sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
    lines.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_arguments() {
        let text = "# a comment\n\n log = debug \nbus=unix:path=/run/bus\n";
        assert_eq!(arguments(text).expect("is right"), ["--log=debug", "--bus=unix:path=/run/bus"]);
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        for (text, line, words) in [
            ("log = info\nlgo = debug\n", 2, "unknown key `lgo`; there are backend, "),
            ("\nlog = loud", 2, "invalid value 'loud'"),
            ("backend = magic", 1, "[possible values: auto, kernel"),
            ("log", 1, "expected `key = value`"),
            ("log = info\nlog = info", 2, "`log` is there a second time"),
            ("bus =", 1, "`bus` has no value"),
            ("timeout = 0", 1, "0 is not in 1..=86400"),
            ("history = 5", 1, "5 is not in 100..=10000"),
            ("help = x", 1, "unknown key `help`"),
            ("config = x", 1, "unknown key `config`"),
        ] {
            let (at, problem) = arguments(text).expect_err(text);
            assert_eq!(at, line, "{text}: {problem}");
            assert!(problem.contains(words), "{text}: {problem}");
        }
    }

    #[test]
    fn the_command_line_goes_before_the_file() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(&file, "log = debug\nbus = none\n").expect("writes");
        let words = ["nmstated", "--log", "warn", "--config"].map(OsString::from);
        let line: Vec<OsString> = words.into_iter().chain([file.path().into()]).collect();
        let settings = Arguments::complete(&line).expect("is right").settings;
        assert_eq!((settings.log, settings.bus.as_deref()), (tracing::Level::WARN, Some("none")));
    }

    #[test]
    fn a_restore_reads_no_file() {
        let words = ["nmstated", "--restore", "--state-dir=/x"].map(OsString::from);
        let arguments = Arguments::complete(&words).expect("is right");
        assert_eq!((arguments.restore, arguments.settings.state_dir), (true, PathBuf::from("/x")));
        let both = ["nmstated", "--restore", "--config=/dev/null"];
        assert!(Arguments::try_parse_from(both).is_err());
    }

    #[test]
    fn the_file_that_is_installed_shows_every_key_and_its_default() {
        let text = include_str!("../../packaging/nmstated.conf");
        assert_eq!(arguments(text).expect("is right"), Vec::<OsString>::new());
        let all: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix('#')).collect();
        let all: Vec<&str> =
            all.into_iter().filter(|line| !line.starts_with(' ') && line.contains(" = ")).collect();
        let shown = arguments(&all.join("\n")).expect("is right once uncommented");
        let keys = Settings::augment_args(Command::new("")).get_arguments().count();
        assert_eq!(shown.len(), keys, "{shown:?}");
        let line = |extra: Vec<OsString>| {
            Arguments::parse_from([OsString::from("nmstated")].into_iter().chain(extra)).settings
        };
        let defaults = Settings { bus: Some("system".into()), ..line(Vec::new()) };
        assert_eq!(line(shown), defaults);
    }
}
