//! A disk that forgets what was not synced, and fails where it is told to.
//!
//! The model: a file has what readers see and what is on the medium; a directory likewise. A sync
//! copies the one to the other. A sync that fails does not, and a later sync of the same content
//! does not either, though it reports success (as Linux does: fsync(2), "EIO"). When power is
//! lost, unsynced content becomes nothing, the old, a prefix or the new, and of the unsynced
//! changes of the directory a prefix survives.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use nmstated::system::Disk;

use crate::world::{Dice, Verdict, World};

pub struct FakeDisk {
    world: Arc<World>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    files: Vec<File>,
    seen: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    /// Changes of the directory that no sync has reached.
    pending: Vec<Link>,
}

#[derive(Default)]
struct File {
    seen: Vec<u8>,
    durable: Vec<u8>,
    is_dirty: bool,
}

#[derive(Clone)]
struct Link {
    sets: Vec<(String, Option<usize>)>,
    /// A sync of it has failed: later ones pass over it.
    is_lost: bool,
}

impl FakeDisk {
    pub fn new(world: Arc<World>) -> Self {
        Self { world, inner: Mutex::default() }
    }

    /// What the medium holds now.
    pub fn durable(&self, name: &str) -> Option<Vec<u8>> {
        let inner = self.inner.lock().expect("no test panics with it");
        inner.durable.get(name).map(|file| inner.files[*file].durable.clone())
    }

    pub fn names(&self) -> Vec<String> {
        self.inner.lock().expect("no test panics with it").seen.keys().cloned().collect()
    }

    /// Changes a file behind everybody's back, as damage does.
    pub fn damage(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut inner = self.inner.lock().expect("no test panics with it");
        let file = *inner.seen.get(name).expect("the file to damage is there");
        let file = &mut inner.files[file];
        edit(&mut file.seen);
        file.durable.clone_from(&file.seen);
    }

    pub fn lose_power(&self, dice: &mut Dice) {
        let mut inner = self.inner.lock().expect("no test panics with it");
        let survive = dice.below(inner.pending.len() + 1);
        let pending: Vec<Link> = inner.pending.drain(..).take(survive).collect();
        for link in pending {
            set(&mut inner.durable, &link);
        }
        inner.seen = inner.durable.clone();
        for file in &mut inner.files {
            if file.is_dirty {
                file.durable = match dice.below(4) {
                    0 => Vec::new(),
                    1 => file.durable.clone(),
                    2 => file.seen[..dice.below(file.seen.len() + 1)].to_vec(),
                    _ => file.seen.clone(),
                };
            }
            file.seen.clone_from(&file.durable);
            file.is_dirty = false;
        }
    }

    fn act<T>(
        &self,
        what: &'static str,
        name: &str,
        effect: impl FnOnce(&mut Inner, &Verdict) -> io::Result<T>,
    ) -> io::Result<T> {
        let verdict = self.world.at_disk(what, name);
        let failed = || io::Error::other(format!("simulated fault: {what} {name}"));
        let mut inner = self.inner.lock().expect("no test panics with it");
        match verdict {
            Verdict::Before => Err(failed()),
            Verdict::Go => effect(&mut inner, &verdict),
            Verdict::After | Verdict::Torn => {
                effect(&mut inner, &verdict)?;
                Err(failed())
            }
        }
    }
}

fn set(names: &mut BTreeMap<String, usize>, link: &Link) {
    for (name, file) in &link.sets {
        match file {
            Some(file) => names.insert(name.clone(), *file),
            None => names.remove(name),
        };
    }
}

impl Inner {
    fn link(&mut self, sets: Vec<(String, Option<usize>)>) {
        let link = Link { sets, is_lost: false };
        set(&mut self.seen, &link);
        self.pending.push(link);
    }

    fn open(&mut self, name: &str) -> usize {
        if let Some(file) = self.seen.get(name) {
            return *file;
        }
        self.files.push(File::default());
        let file = self.files.len() - 1;
        self.link(vec![(name.to_owned(), Some(file))]);
        file
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.seen.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for FakeDisk {
    fn read(&self, name: &str, _max: usize) -> io::Result<Option<Vec<u8>>> {
        self.act("read", name, |inner, _| {
            Ok(inner.seen.get(name).map(|file| inner.files[*file].seen.clone()))
        })
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.act("write", name, |inner, verdict| {
            let length = if *verdict == Verdict::Torn { bytes.len() / 2 } else { bytes.len() };
            let file = inner.open(name);
            let file = &mut inner.files[file];
            file.seen = bytes[..length].to_vec();
            file.is_dirty = true;
            Ok(())
        })
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<u64> {
        self.act("append", name, |inner, verdict| {
            let length = if *verdict == Verdict::Torn { bytes.len() / 2 } else { bytes.len() };
            let file = inner.open(name);
            let file = &mut inner.files[file];
            file.seen.extend_from_slice(&bytes[..length]);
            file.is_dirty = true;
            Ok(file.seen.len() as u64)
        })
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.act("sync", name, |inner, verdict| {
            let file = inner.find(name)?;
            let file = &mut inner.files[file];
            if *verdict == Verdict::Go && file.is_dirty {
                file.durable.clone_from(&file.seen);
            }
            // Even after a failure the pages count as clean.
            if *verdict == Verdict::Go || *verdict == Verdict::After {
                file.is_dirty = *verdict != Verdict::Go && file.is_dirty;
            }
            Ok(())
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.act("rename", from, |inner, _| {
            let file = inner.find(from)?;
            inner.link(vec![(to.to_owned(), Some(file)), (from.to_owned(), None)]);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.act("remove", name, |inner, _| {
            if inner.seen.contains_key(name) {
                inner.link(vec![(name.to_owned(), None)]);
            }
            Ok(())
        })
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.act("sync_dir", "", |inner, verdict| {
            if *verdict != Verdict::Go {
                inner.pending.iter_mut().for_each(|link| link.is_lost = true);
                return Ok(());
            }
            // What an earlier sync has lost stays lost, though readers see it.
            let (lost, reached): (Vec<_>, Vec<_>) = inner.pending.drain(..).partition(|link| link.is_lost);
            for link in &reached {
                set(&mut inner.durable, link);
            }
            inner.pending = lost
                .into_iter()
                .filter(|link| {
                    link.sets.iter().all(|(name, _)| {
                        !reached.iter().any(|later| later.sets.iter().any(|(other, _)| other == name))
                    })
                })
                .collect();
            Ok(())
        })
    }
}
