//! `nmctl persist-nic-names`: pins the names of network cards, and lets go of those that udev gives anyway.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::arguments::{Current, NicNames};
use super::daemon::{Daemon, options, when};
use super::failure::Failure;
use super::output::Output;
use super::tools;
use crate::state::{ErrorKind, State};
use crate::tools::nic_names::{FOLDER, STAMP, has_early_network, has_kernel_names, pinned, pins, predicted};

/// Files are small, and so is what udev prints; more than this is something else.
const BYTES_MAX: usize = 1 << 16;

pub fn run(
    daemon: impl FnOnce() -> Result<Daemon, Failure>,
    arguments: &NicNames,
    output: &mut Output,
) -> Result<(), Failure> {
    let command_line = read(Path::new("/proc/cmdline"))?;
    if has_kernel_names(&command_line) {
        output.note("`net.ifnames=0`: cards have the names that the kernel gives; there is nothing to pin");
        return Ok(());
    }
    let work = Work { folder: arguments.root.join(FOLDER), arguments, command_line };
    if arguments.cleanup || arguments.inspect { work.clean_up(output) } else { work.pin(daemon, output) }
}

struct Work<'a> {
    folder: PathBuf,
    arguments: &'a NicNames,
    command_line: String,
}

impl Work<'_> {
    fn is_dry(&self) -> bool {
        self.arguments.dry_run || self.arguments.inspect
    }

    fn stamp(&self) -> PathBuf {
        self.folder.join(STAMP)
    }

    fn pin(
        &self,
        daemon: impl FnOnce() -> Result<Daemon, Failure>,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let stamp = self.stamp();
        if stamp.exists() {
            output.note(&format!("{} is there: names are pinned already", stamp.display()));
            return Ok(());
        }
        let state = state(daemon, &self.arguments.current, output)?;
        let (cards, unknown) = pinned(&state, &self.files()?);
        for name in unknown {
            output.note(&format!("`{name}` is not pinned: it has no MAC address of its own, or an odd name"));
        }
        let will = if self.is_dry() { "would pin" } else { "pins" };
        if !self.is_dry() {
            fs::create_dir_all(&self.folder).map_err(|error| failed(&self.folder, &error))?;
        }
        for card in &cards {
            let path = self.folder.join(&card.file);
            output.note(&format!("{} {will} {}", path.display(), card.argument));
            if !self.is_dry() {
                create(&path, &card.text)?;
            }
        }
        self.tell_arguments(cards.iter().map(|card| card.argument.as_str()).collect(), output)?;
        if self.is_dry() { Ok(()) } else { create(&stamp, "") }
    }

    fn clean_up(&self, output: &mut Output) -> Result<(), Failure> {
        let stamp = self.stamp();
        if !stamp.exists() {
            output.note(&format!("{} is not there: no names were pinned", stamp.display()));
            return Ok(());
        }
        let will = if self.is_dry() { "would be removed" } else { "is removed" };
        let mut gone = Vec::new();
        for file in self.files()? {
            let path = self.folder.join(&file);
            if !file.ends_with(".link") {
                continue;
            }
            let text = read(&path)?;
            let Some((name, argument)) = pins(&file, &text) else { continue };
            match self.udev_name(name)? {
                Some(found) if found == name => {
                    output.note(&format!("{} {will}: udev gives that name, too", path.display()));
                    if !self.is_dry() {
                        fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
                    }
                    gone.extend(argument);
                }
                Some(found) => output.note(&format!("`{name}` stays pinned: udev would call it `{found}`")),
                None => output.note(&format!("`{name}` stays pinned: udev has no name for it")),
            }
        }
        self.tell_arguments(gone.iter().map(String::as_str).collect(), output)?;
        if self.is_dry() { Ok(()) } else { fs::remove_file(&stamp).map_err(|error| failed(&stamp, &error)) }
    }

    /// The names of the files that are there.
    fn files(&self) -> Result<BTreeSet<String>, Failure> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            entries => entries.map_err(|error| failed(&self.folder, &error))?,
        };
        let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name());
        let names: Result<Vec<_>, _> = entries.map(name).collect();
        let names = names.map_err(|error| failed(&self.folder, &error))?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    /// Arguments that the kernel needs, or no longer needs.
    fn tell_arguments(&self, arguments: Vec<&str>, output: &mut Output) -> Result<(), Failure> {
        let Some(file) = &self.arguments.kargs_out else { return Ok(()) };
        if arguments.is_empty() || !has_early_network(&self.command_line) {
            return Ok(());
        }
        let text = arguments.join(" ");
        output.note(&format!("{}: {text}", file.display()));
        if self.is_dry() { Ok(()) } else { super::files::write_private(file, text.as_bytes()) }
    }

    /// What the udev below the root would call a card. It only looks.
    fn udev_name(&self, name: &str) -> Result<Option<String>, Failure> {
        let device = format!("/sys/class/net/{name}");
        let mut command = match self.arguments.root.as_path() {
            root if root == Path::new("/") => Command::new("udevadm"),
            root => {
                let mut command = Command::new("chroot");
                command.arg(root).arg("udevadm");
                command
            }
        };
        command.args(["test-builtin", "net_id", &device]).stdin(Stdio::null()).stderr(Stdio::null());
        let printed = command.output().map_err(|error| failed(Path::new("udevadm"), &error))?;
        let mut bytes = printed.stdout;
        bytes.truncate(BYTES_MAX);
        Ok(predicted(&String::from_utf8_lossy(&bytes)).map(str::to_owned))
    }
}

fn state(
    daemon: impl FnOnce() -> Result<Daemon, Failure>,
    current: &Current,
    output: &mut Output,
) -> Result<State, Failure> {
    let kernel_only = options([("kernel_only", when(true))]);
    tools::Present { file: current.current.as_deref(), daemon, options: kernel_only }.state(output)
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut bytes = fs::read(path).map_err(|error| failed(path, &error))?;
    bytes.truncate(BYTES_MAX);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A new file, which everybody may read as udev does. One that is there is somebody else's.
fn create(path: &Path, text: &str) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::error(ErrorKind::StorageError, format!("{}: {error}", path.display()))
}
