//! Scripts that NetworkManager's dispatcher runs for an interface (NetworkManager-dispatcher(8)).
//!
//! One file for each, `nmstate-LINK-up.sh` or `nmstate-LINK-down.sh`. The text of the document
//! stands between two lines that mark it (semantics T60).

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::work::{Runs, Script};
use crate::backend::Failure;
use crate::state::{Dispatch, ErrorKind, State};

/// Where the dispatcher finds them, below the root.
const FOLDER: &str = "etc/NetworkManager/dispatcher.d";
/// The lines that the peer writes, so that both read each other's.
const BEGIN: &str = "## NMSTATE DISPATCH SCRIPT START";
const END: &str = "## NMSTATE DISPATCH SCRIPT END";
/// More is not read: a document has no text of that length.
const BYTES_MAX: u64 = 1 << 20;
/// Readable by all, executable by its owner; the dispatcher refuses what others may write.
const MODE: u32 = 0o744;

/// The folder.
#[derive(Clone, Debug)]
pub(super) struct Scripts {
    folder: PathBuf,
}

/// Contents of all scripts of ours, by file name.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

impl Scripts {
    pub(super) fn below(root: &Path) -> Self {
        Self { folder: root.join(FOLDER) }
    }

    /// All that are there. Whoever has no such folder has none.
    pub(super) fn read(&self) -> Result<Files, Failure> {
        let cannot = |error: io::Error| self.cannot("read", ErrorKind::PluginFailure, &self.folder, &error);
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Files::new()),
            entries => entries.map_err(cannot)?,
        };
        let mut files = Files::new();
        for entry in entries {
            let entry = entry.map_err(cannot)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if meant(&name).is_none() || entry.metadata().map_err(cannot)?.len() > BYTES_MAX {
                continue;
            }
            match fs::read(entry.path()) {
                Ok(bytes) => files.extend([(name, bytes)]),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(cannot(error)),
            }
        }
        Ok(files)
    }

    pub(super) fn write(&self, scripts: &[Script]) -> Result<(), Failure> {
        scripts.iter().try_for_each(|script| {
            let contents = script.text.as_deref().map(|text| contents(&script.link, script.runs, text));
            self.put(&file_name(&script.link, script.runs), contents.as_deref().map(str::as_bytes))
        })
    }

    /// Puts back what was, for the links named.
    pub(super) fn restore(&self, was: &Files, may_change: impl Fn(&str) -> bool) -> Result<(), Failure> {
        let now = self.read()?;
        let names = was.keys().chain(now.keys().filter(|name| !was.contains_key(*name)));
        let ours = names.filter(|name| meant(name).is_some_and(|(link, _)| may_change(link)));
        for name in ours.filter(|name| was.get(*name) != now.get(*name)) {
            self.put(name, was.get(name).map(Vec::as_slice))?;
        }
        Ok(())
    }

    /// The dispatcher sees the old or the new file, whole; never the temporary one, whose name begins
    /// with a dot.
    fn put(&self, name: &str, contents: Option<&[u8]>) -> Result<(), Failure> {
        let path = self.folder.join(name);
        let Some(contents) = contents else {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(self.cannot("remove", ErrorKind::PermissionError, &path, &error)),
                Ok(()) => Ok(()),
            };
        };
        let temporary = self.folder.join(format!(".{name}.nmstated"));
        let write = || {
            fs::create_dir_all(&self.folder)?;
            let mut file = fs::File::create(&temporary)?;
            file.set_permissions(fs::Permissions::from_mode(MODE))?;
            file.write_all(contents)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            fs::File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error| self.cannot("write", ErrorKind::InvalidArgument, &path, &error))
    }

    fn cannot(&self, what: &str, kind: ErrorKind, path: &Path, error: &io::Error) -> Failure {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        Failure {
            kind,
            subject: meant(name).map(|(link, _)| link.to_owned()),
            message: format!("cannot {what} {}: {error}", path.display()),
        }
    }
}

/// Adds the scripts to the interfaces that have some.
pub(super) fn show(state: &mut State, files: &Files) {
    let mut of_links: BTreeMap<&str, Dispatch> = BTreeMap::new();
    for (name, bytes) in files {
        let Some((link, runs)) = meant(name) else { continue };
        let Some(text) = std::str::from_utf8(bytes).ok().and_then(text) else { continue };
        let dispatch =
            of_links.entry(link).or_insert(Dispatch { post_activation: None, post_deactivation: None });
        match runs {
            Runs::AfterUp => dispatch.post_activation = Some(text),
            Runs::AfterDown => dispatch.post_deactivation = Some(text),
        }
    }
    for interface in state.interfaces.iter_mut().flatten().filter(|one| !one.kind().is_userspace()) {
        if let Some(dispatch) = of_links.remove(interface.name.as_str()) {
            interface.dispatch = Some(dispatch);
        }
    }
}

fn file_name(link: &str, runs: Runs) -> String {
    let when = match runs {
        Runs::AfterUp => "up",
        Runs::AfterDown => "down",
    };
    format!("nmstate-{link}-{when}.sh")
}

/// What a file of that name is for.
fn meant(name: &str) -> Option<(&str, Runs)> {
    let rest = name.strip_prefix("nmstate-")?.strip_suffix(".sh")?;
    let up = rest.strip_suffix("-up").map(|link| (link, Runs::AfterUp));
    up.or_else(|| rest.strip_suffix("-down").map(|link| (link, Runs::AfterDown)))
}

/// The dispatcher gives the interface and the event as arguments.
fn contents(link: &str, runs: Runs, text: &str) -> String {
    let events = match runs {
        Runs::AfterUp => "up|reapply",
        Runs::AfterDown => "down",
    };
    let link = link.replace('\'', r"'\''");
    format!(
        "#!/bin/sh\n[ \"$1\" = '{link}' ] || exit 0\ncase \"$2\" in {events}) ;; *) exit 0 ;; esac\n{BEGIN}\n{text}\n{END}\n"
    )
}

/// The text of the document.
fn text(contents: &str) -> Option<String> {
    let (_, rest) = contents.split_once(&format!("\n{BEGIN}\n"))?;
    let (text, _) = rest.rsplit_once(&format!("\n{END}\n"))?;
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(link: &str, runs: Runs, text: Option<&str>) -> Script {
        Script { link: link.into(), runs, text: text.map(str::to_owned) }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let root = tempfile::tempdir().expect("a folder is made");
        let scripts = Scripts::below(root.path());
        assert!(scripts.read().expect("it reads").is_empty());
        let up = "echo up\n## NMSTATE DISPATCH SCRIPT END\necho on";
        scripts
            .write(&[
                script("br-a", Runs::AfterUp, Some(up)),
                script("br-a", Runs::AfterDown, Some("echo down")),
            ])
            .expect("it is written");
        let files = scripts.read().expect("it reads");
        assert_eq!(files.keys().collect::<Vec<_>>(), ["nmstate-br-a-down.sh", "nmstate-br-a-up.sh"]);
        let mut state = crate::state::Document::from_text("{interfaces: [{name: br-a, type: linux-bridge}]}")
            .and_then(|document| document.state())
            .expect("a state")
            .0;
        show(&mut state, &files);
        let dispatch = state.interfaces()[0].dispatch.clone().expect("scripts");
        assert_eq!(dispatch.post_activation.as_deref(), Some(up));
        assert_eq!(dispatch.post_deactivation.as_deref(), Some("echo down"));

        scripts.write(&[script("br-a", Runs::AfterUp, None)]).expect("it goes");
        scripts.write(&[script("br-b", Runs::AfterUp, Some("echo new"))]).expect("it is written");
        scripts.write(&[script("br-c", Runs::AfterUp, Some("echo other"))]).expect("it is written");
        scripts.restore(&files, |link| link != "br-c").expect("it is put back");
        let mut again = scripts.read().expect("it reads");
        assert!(again.remove("nmstate-br-c-up.sh").is_some(), "what is not touched stays");
        assert_eq!(again, files);
    }

    #[test]
    fn the_peers_scripts_are_read() {
        let script = "#!/usr/bin/bash\nif [ \"$1\" == \"eth1\" ]; then\n## NMSTATE DISPATCH SCRIPT START\n\
                      echo one\necho two\n## NMSTATE DISPATCH SCRIPT END\nfi\n";
        assert_eq!(text(script).as_deref(), Some("echo one\necho two"));
    }

    #[test]
    fn a_script_runs_for_its_interface_and_events_only() {
        let root = tempfile::tempdir().expect("a folder is made");
        let scripts = Scripts::below(root.path());
        scripts.write(&[script("it's", Runs::AfterUp, Some("echo ran"))]).expect("it is written");
        let file = scripts.folder.join("nmstate-it's-up.sh");
        for (link, event, output) in
            [("it's", "up", "ran\n"), ("it's", "reapply", "ran\n"), ("it's", "down", ""), ("its", "up", "")]
        {
            let ran = std::process::Command::new(&file).args([link, event]).output().expect("it runs");
            assert!(ran.status.success(), "{ran:?}");
            assert_eq!(String::from_utf8_lossy(&ran.stdout), output, "{link} {event}");
        }
    }
}
