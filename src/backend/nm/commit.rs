//! Makes what is in memory survive a reboot: profiles go to disk, what was deleted is deleted there.

use std::collections::BTreeSet;
use std::path::PathBuf;

use futures_util::future::join_all;

use super::execute::refused;
use super::reapply::is_same;
use super::snapshot::{Private, Was};
use super::touch::Touch;
use crate::backend::Failure;
use crate::nm::image::{Image, ObjectPath};
use crate::nm::{Call, Client, Error, Profile};

const TO_DISK: u32 = 0x1;
const BLOCK_AUTOCONNECT: u32 = 0x20;

/// What is to be kept.
#[derive(Default)]
pub(super) struct Keep {
    /// Profiles that go to disk as they are.
    pub save: Vec<ObjectPath>,
    /// Profiles that are gone but for their files.
    pub forget: Vec<Was>,
}

impl Keep {
    /// The files of what is gone.
    pub(super) fn files(&self) -> BTreeSet<PathBuf> {
        self.forget.iter().map(|was| PathBuf::from(&was.filename)).collect()
    }
}

/// Of the profiles that are ours to keep by `touched`; what was in memory before and is the same
/// stays there.
pub(super) fn keep(was: &Private, image: &Image, touched: &Touch<'_>) -> Keep {
    let is_as_before = |uuid: &str, profile: &Profile| {
        let was = was.profiles.get(uuid);
        was.is_some_and(|was| !was.is_on_disk() && is_same(&was.profile, profile))
    };
    let save = image.profiles.iter().filter(|(_, stored)| {
        let uuid = stored.profile.uuid().unwrap_or_default();
        let is_ours = stored.is_kept() && !stored.is_default() && !stored.is_on_disk();
        is_ours && touched.holds(uuid) && !is_as_before(uuid, &stored.profile)
    });
    let save = save.map(|(path, _)| path.clone()).collect();
    let gone = was
        .profiles
        .iter()
        .filter(|(uuid, was)| was.is_on_disk() && touched.holds(uuid) && image.stored(uuid).is_none());
    Keep { save, forget: gone.map(|(_, was)| was.clone()).collect() }
}

/// All at once. `client`: for the image that it was decided on.
pub(super) async fn commit(keep: Keep, client: &Client) -> Result<(), Failure> {
    let flags = TO_DISK | BLOCK_AUTOCONNECT;
    let cannot = |error: &Error| refused("write a profile of NetworkManager to disk", error);
    let save = keep.save.into_iter().map(|path| {
        client.start(Call::Update { path, profile: Profile::default(), flags, version_id: None })
    });
    let saved: Vec<_> = save.collect();
    // A profile of the same UUID takes over the file that is hidden; then it goes with its file.
    let adopt =
        keep.forget.into_iter().map(|was| client.start(Call::AddConnection { profile: was.profile, flags }));
    let adopt: Vec<_> = adopt.collect();
    let (saved, adopted) = tokio::join!(join_all(saved), join_all(adopt));
    let mut delete = Vec::new();
    for answer in adopted {
        match answer {
            Ok(answer) => delete.extend(answer.profile().cloned()),
            // Somebody has made it again meanwhile: it is theirs.
            Err(error) if error.is_uuid_taken() => {}
            Err(error) => return Err(cannot(&error)),
        }
    }
    let deleted = delete.into_iter().map(|path| client.start(Call::Delete { path }));
    let deleted: Vec<_> = deleted.collect();
    for answer in saved.into_iter().chain(join_all(deleted).await) {
        match answer {
            // Somebody has deleted it meanwhile.
            Err(error) if error.is_gone() => {}
            Err(error) => return Err(cannot(&error)),
            Ok(_) => {}
        }
    }
    Ok(())
}
