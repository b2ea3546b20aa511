//! What NetworkManager's configuration files (NetworkManager.conf(5)) decide, and no call can change.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Folders of further files, below the root. One hides those of its name in the folders behind it.
const FOLDERS: [&str; 3] =
    ["etc/NetworkManager/conf.d", "run/NetworkManager/conf.d", "usr/lib/NetworkManager/conf.d"];
/// The main file.
const MAIN: &str = "etc/NetworkManager/NetworkManager.conf";
/// More is not read.
const BYTES_MAX: u64 = 1 << 20;
const FILES_MAX: usize = 256;

/// The file that sets global name servers, if one does: NetworkManager then takes none from calls, and
/// those of profiles do not count. What cannot be read sets none as far as we know: NetworkManager
/// refuses what it does not take.
pub(super) fn sets_global_dns(root: &Path) -> Option<PathBuf> {
    let mut hidden = BTreeSet::new();
    let mut files = vec![root.join(MAIN)];
    for folder in FOLDERS {
        let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten().take(FILES_MAX);
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        names.sort();
        let configuration = names.into_iter().filter(|name| name.to_string_lossy().ends_with(".conf"));
        let first = configuration.filter(|name| hidden.insert(name.clone()));
        files.extend(first.map(|name| root.join(folder).join(name)));
    }
    files.into_iter().find(|file| read(file).is_some_and(|text| has_global_dns(&text)))
}

fn read(file: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    fs::File::open(file).ok()?.take(BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn has_global_dns(text: &str) -> bool {
    let sections = text.lines().filter_map(|line| line.trim().strip_prefix('[')?.strip_suffix(']'));
    sections.into_iter().any(|section| section == "global-dns" || section.starts_with("global-dns-domain-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_sets_global_name_servers_is_found() {
        let root = tempfile::tempdir().expect("a folder is made");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
            fs::write(&path, text).expect("it is written");
            path
        };
        write(MAIN, "[main]\nplugins=keyfile\n# [global-dns]\n");
        assert_eq!(sets_global_dns(root.path()), None);
        let servers = "[global-dns-domain-*]\nservers=192.0.2.1\n";
        let file = write("usr/lib/NetworkManager/conf.d/10-dns.conf", servers);
        write("run/NetworkManager/conf.d/10-dns.conf.bak", servers);
        assert_eq!(sets_global_dns(root.path()), Some(file));
        let hides = write("etc/NetworkManager/conf.d/10-dns.conf", "");
        assert_eq!(sets_global_dns(root.path()), None, "an empty file hides the other");
        fs::write(&hides, "[global-dns]\nsearches=example.org\n").expect("it is written");
        assert_eq!(sets_global_dns(root.path()), Some(hides));
    }
}
