//! The files that are written: sysctls, the resolver's configuration, the host name.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::state::DnsSettings;

/// A file system, the host's or a folder of a test.
#[derive(Clone, Debug)]
pub(super) struct Files {
    root: PathBuf,
}

/// Who writes /etc/resolv.conf, if it is not us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ResolverOwner {
    /// Nobody: it is a plain file, or not there.
    Nobody,
    /// It leads to a file of another program.
    LinksTo(PathBuf),
    /// It says that it is generated.
    Generated(&'static str),
}

/// Programs that write resolv.conf, by a word in its leading comments.
const GENERATORS: [(&str, &str); 6] = [
    ("NetworkManager", "NetworkManager"),
    ("systemd-resolved", "systemd-resolved"),
    ("resolvconf", "resolvconf"),
    ("openresolv", "openresolv"),
    ("dhcpcd", "dhcpcd"),
    ("connman", "connman"),
];
/// What of a file is looked at for such a word.
const MARK_BYTES: usize = 4096;

impl Files {
    pub(super) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub(super) fn resolv_conf(&self) -> PathBuf {
        self.at("etc/resolv.conf")
    }

    pub(super) fn hostname(&self) -> PathBuf {
        self.at("etc/hostname")
    }

    /// Writes `net.ipv6.conf.LINK.CONF`. Always the running kernel's, in the namespace of the
    /// calling thread.
    pub(super) fn set_sysctl(link: &str, conf: &str, value: &str) -> io::Result<()> {
        let path = Path::new("/proc/sys/net/ipv6/conf").join(link).join(conf);
        match fs::write(path, value) {
            // A kernel or link without IPv6 has nothing to switch off.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && conf == "disable_ipv6" && value == "1" =>
            {
                Ok(())
            }
            result => result,
        }
    }

    pub(super) fn resolver_owner(&self) -> ResolverOwner {
        let path = self.resolv_conf();
        match fs::read_link(&path) {
            Ok(target) => return ResolverOwner::LinksTo(target),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return ResolverOwner::Nobody,
            Err(_) => {} // a plain file
        }
        let Ok(bytes) = fs::read(&path) else { return ResolverOwner::Nobody };
        let head = String::from_utf8_lossy(&bytes[..bytes.len().min(MARK_BYTES)]);
        let comments: Vec<&str> = head.lines().take_while(|line| line.starts_with(['#', ';'])).collect();
        let marked = GENERATORS.iter().find(|(mark, _)| comments.iter().any(|line| line.contains(mark)));
        marked.map_or(ResolverOwner::Nobody, |(_, owner)| ResolverOwner::Generated(owner))
    }

    pub(super) fn write_resolver(&self, settings: &DnsSettings) -> io::Result<()> {
        self.replace(&self.resolv_conf(), resolv_conf(settings).as_bytes())
    }

    /// An empty name removes the file.
    /// Sets the running host name. sethostname(2) wants CAP_SYS_ADMIN; who has only the right to write
    /// the kernel's tunable (uts_kern_table, kernel/utsname_sysctl.c) may set it too.
    pub(super) fn set_hostname(name: &str) -> io::Result<()> {
        match nix::unistd::sethostname(name) {
            Err(Errno::EPERM) => fs::write("/proc/sys/kernel/hostname", name),
            other => other.map_err(io::Error::from),
        }
    }

    pub(super) fn write_hostname(&self, name: &str) -> io::Result<()> {
        match name {
            "" => match fs::remove_file(self.hostname()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                result => result,
            },
            name => self.replace(&self.hostname(), format!("{name}\n").as_bytes()),
        }
    }

    /// The bytes of a file, None if it is not there.
    pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts the bytes of before back, or removes what was not there.
    pub(super) fn put_back(&self, path: &Path, bytes: Option<&[u8]>) -> io::Result<()> {
        if Self::read(path)?.as_deref() == bytes {
            return Ok(());
        }
        match bytes {
            Some(bytes) => self.replace(path, bytes),
            None => fs::remove_file(path),
        }
    }

    /// Readers see the old or the new file, whole, also after a power cut. Where the file is a
    /// mount of its own (in containers) it cannot be replaced, and is overwritten.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let directory = path.parent().unwrap_or(&self.root);
        let mode = fs::metadata(path).map_or(0o644, |metadata| metadata.mode() & 0o7777);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = directory.join(format!(".{name}.nmstated"));
        let mut file = fs::File::create(&temporary)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        match fs::rename(&temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                fs::remove_file(&temporary)?;
                let mut file = fs::OpenOptions::new().write(true).truncate(true).open(path)?;
                file.write_all(bytes)?;
                file.sync_all()
            }
            Err(error) => Err(error),
            Ok(()) => fs::File::open(directory)?.sync_all(),
        }
    }
}

/// The file of resolv.conf(5).
fn resolv_conf(settings: &DnsSettings) -> String {
    let mut text = String::new();
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let mut line = |word: &str, values: &[String]| {
        if !values.is_empty() {
            writeln!(text, "{word} {}", values.join(" ")).expect("writing to a string cannot fail");
        }
    };
    line("options", &list(&settings.options));
    line("search", &list(&settings.search));
    for server in list(&settings.server) {
        line("nameserver", &[server]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> (tempfile::TempDir, Files) {
        let root = tempfile::tempdir().expect("a folder is made");
        fs::create_dir(root.path().join("etc")).expect("a folder is made");
        let files = Files::new(root.path());
        (root, files)
    }

    #[test]
    fn the_resolver_is_written_as_resolv_conf_wants_it() {
        let (_root, files) = files();
        let settings = DnsSettings {
            server: Some(vec!["192.0.2.53".into(), "2001:db8::53".into()]),
            search: Some(vec!["example.com".into(), "example.org".into()]),
            options: Some(vec!["rotate".into()]),
        };
        files.write_resolver(&settings).expect("it is written");
        let text = fs::read_to_string(files.resolv_conf()).expect("it is there");
        assert_eq!(
            text,
            "options rotate\nsearch example.com example.org\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n"
        );
        assert_eq!(fs::read_dir(files.at("etc")).expect("it lists").count(), 1, "no temporary file stays");
    }

    #[test]
    fn others_files_are_recognised() {
        let (_root, files) = files();
        assert_eq!(files.resolver_owner(), ResolverOwner::Nobody);
        fs::write(files.resolv_conf(), "# mine\nnameserver 192.0.2.1\n").expect("it is written");
        assert_eq!(files.resolver_owner(), ResolverOwner::Nobody);
        fs::write(files.resolv_conf(), "# Generated by NetworkManager\n").expect("it is written");
        assert_eq!(files.resolver_owner(), ResolverOwner::Generated("NetworkManager"));
        fs::remove_file(files.resolv_conf()).expect("it goes");
        let stub = "../run/systemd/resolve/stub-resolv.conf";
        std::os::unix::fs::symlink(stub, files.resolv_conf()).expect("it is linked");
        assert_eq!(files.resolver_owner(), ResolverOwner::LinksTo(stub.into()));
    }

    #[test]
    fn an_empty_host_name_removes_the_file_and_bytes_come_back() {
        let (_root, files) = files();
        files.write_hostname("north").expect("it is written");
        assert_eq!(Files::read(&files.hostname()).expect("it reads"), Some(b"north\n".to_vec()));
        files.write_hostname("").expect("it goes");
        files.write_hostname("").expect("gone is gone");
        assert_eq!(Files::read(&files.hostname()).expect("it reads"), None);
        files.put_back(&files.hostname(), Some(b"south")).expect("it comes back");
        assert_eq!(Files::read(&files.hostname()).expect("it reads"), Some(b"south".to_vec()));
        files.put_back(&files.hostname(), None).expect("it goes");
        assert_eq!(Files::read(&files.hostname()).expect("it reads"), None);
    }
}
