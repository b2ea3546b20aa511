//! The texts of netplan's folders.

use std::collections::BTreeMap;
use std::fmt;

/// The base name of our file. It is read after the usual names of others, `00-` to `70-`.
pub const OWN: &str = "90-nmstated.yaml";

/// That of documents in netplan's own words.
pub const NATIVE: &str = "91-nmstated-native.yaml";

/// A folder of netplan's files. Of files with one name, only that in the highest folder counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Folder {
    /// `/lib/netplan`
    Lib,
    /// `/etc/netplan`
    Etc,
    /// `/run/netplan`
    Run,
}

impl Folder {
    /// From the lowest to the highest.
    pub const ALL: [Self; 3] = [Self::Lib, Self::Etc, Self::Run];

    pub fn path(self) -> &'static str {
        match self {
            Self::Lib => "/lib/netplan",
            Self::Etc => "/etc/netplan",
            Self::Run => "/run/netplan",
        }
    }
}

/// Which file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct File {
    pub folder: Folder,
    /// Its base name.
    pub name: String,
}

impl File {
    pub fn new(folder: Folder, name: impl Into<String>) -> Self {
        Self { folder, name: name.into() }
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.folder.path(), self.name)
    }
}

/// The texts of all files; they may hold secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<File, String>);

/// Without the texts.
impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Files {
    /// Whether netplan reads a file of that name: as glob(7) has it, not a hidden one.
    pub fn is_read(name: &str) -> bool {
        name.ends_with(".yaml") && !name.starts_with('.')
    }

    /// Adds a file. One that netplan does not read is not taken.
    pub fn insert(&mut self, file: File, text: String) {
        if Self::is_read(&file.name) {
            self.0.insert(file, text);
        }
    }

    pub fn get(&self, file: &File) -> Option<&str> {
        self.0.get(file).map(String::as_str)
    }

    /// Every file, whether it counts or not.
    pub fn iter(&self) -> impl Iterator<Item = (&File, &str)> {
        self.0.iter().map(|(file, text)| (file, text.as_str()))
    }

    /// The files that count, in the order in which netplan reads them: by the bytes of their names.
    pub fn read(&self) -> Vec<(&File, &str)> {
        let mut by_name: BTreeMap<&str, (&File, &str)> = BTreeMap::new();
        for (file, text) in &self.0 {
            let found = by_name.entry(&file.name).or_insert((file, text));
            if file.folder > found.0.folder {
                *found = (file, text);
            }
        }
        by_name.into_values().collect()
    }

    /// What others say: all but files of these names.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        let others = self.0.iter().filter(|(file, _)| !names.contains(&file.name.as_str()));
        Self(others.map(|(file, text)| (file.clone(), text.clone())).collect())
    }

    /// Only the files of that name.
    #[must_use]
    pub fn only(&self, name: &str) -> Self {
        let own = self.0.iter().filter(|(file, _)| file.name == name);
        Self(own.map(|(file, text)| (file.clone(), text.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_name_the_highest_folder_counts_and_names_give_the_order() {
        let mut files = Files::default();
        for (folder, name) in [
            (Folder::Run, "50-x.yaml"),
            (Folder::Lib, "50-x.yaml"),
            (Folder::Etc, "90-nmstated.yaml"),
            (Folder::Etc, "90-NM-1.yaml"),
            (Folder::Lib, "99-z.yaml"),
            (Folder::Etc, "10-a.yaml.orig"),
            (Folder::Etc, ".10-a.yaml"),
        ] {
            files.insert(File::new(folder, name), folder.path().to_owned());
        }
        let read: Vec<String> = files.read().into_iter().map(|(file, _)| file.to_string()).collect();
        assert_eq!(
            read,
            [
                "/run/netplan/50-x.yaml",
                "/etc/netplan/90-NM-1.yaml",
                "/etc/netplan/90-nmstated.yaml",
                "/lib/netplan/99-z.yaml",
            ]
        );
        assert_eq!(files.without(&[OWN, "50-x.yaml"]).read().len(), 2);
        assert_eq!(files.only(OWN).read().len(), 1);
    }
}
