//! Device settings of ethtool, kept by category. A category that a link's driver does not support
//! is asked once and then not again.

use super::image::Image;
use crate::kernel::netlink::ethtool::{
    self, Category, Coalesce, FAMILY, Features, Fec, LinkModes, MONITOR, Pause, Rings,
};
use crate::kernel::netlink::{
    Attrs, Connection, Event, Family, FamilyError, Message, NetlinkError, Protocol, Request, Subscription,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

/// Device settings of one link; `None` where the driver has nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ethtool {
    pub features: Option<Features>,
    pub rings: Option<Rings>,
    pub coalesce: Option<Box<Coalesce>>,
    pub pause: Option<Pause>,
    pub link_modes: Option<LinkModes>,
    pub fec: Option<Fec>,
}

impl Ethtool {
    fn read(&mut self, category: Category, attrs: Attrs<'_>) {
        match category {
            Category::Coalesce => self.coalesce = Some(Box::new(Coalesce::read(attrs))),
            Category::Features => self.features = Some(Features::read(attrs)),
            Category::Fec => self.fec = Some(Fec::read(attrs)),
            Category::LinkModes => self.link_modes = Some(LinkModes::read(attrs)),
            Category::Pause => self.pause = Some(Pause::read(attrs)),
            Category::Rings => self.rings = Some(Rings::read(attrs)),
        }
    }
}

/// Returns what is kept for a kind of link. A virtual link has only features of its own; its speed,
/// where it tells one, is made up or that of the links below.
fn categories(kind: &str) -> &'static [Category] {
    match kind {
        "" | "tun" => &Category::ALL,
        _ => &[Category::Features],
    }
}

/// Settings by link, as a dump or a batch of questions gathers them.
type Settings = BTreeMap<u32, Ethtool>;

/// Asks the ethtool family, and listens to it.
#[derive(Debug)]
pub(super) struct EthtoolReader {
    family: u16,
    connection: Connection,
    events: Subscription,
    /// Settings to be asked for.
    pub(super) doubts: BTreeSet<(u32, Category)>,
}

impl EthtoolReader {
    /// Opens it; `None` on kernels before 5.6, which have no such family.
    pub(super) async fn open() -> Result<Option<Self>, NetlinkError> {
        let mut connection = Connection::open(Protocol::Generic)?;
        let family = match Family::resolve(&mut connection, FAMILY).await {
            Ok(family) => family,
            Err(FamilyError::Missing(_)) => return Ok(None),
            Err(FamilyError::Lookup { source, .. }) => return Err(source),
        };
        let groups: Vec<u32> = family.groups.get(MONITOR).copied().into_iter().collect();
        Ok(Some(Self {
            family: family.id,
            connection,
            events: Subscription::open(Protocol::Generic, &groups)?,
            doubts: BTreeSet::new(),
        }))
    }

    /// Reads all settings of all links, by one dump for each category.
    pub(super) async fn load(&mut self) -> Result<Loaded, NetlinkError> {
        self.doubts.clear();
        let names = ethtool::feature_names(self.family);
        let names = self.connection.get(&names, ethtool::read_feature_names);
        let names = names.await?.unwrap_or_default();
        let mut settings = Settings::new();
        for category in Category::ALL {
            let request = category.get(self.family, None);
            let add = |part: &mut Settings, message: &Message<'_>| {
                if let Some((link, attrs)) = ethtool::read_answer(message) {
                    part.entry(link).or_default().read(category, attrs);
                }
            };
            match self.connection.dump(&request, add).await {
                Ok(part) => merge(&mut settings, part, category),
                // A category that this kernel does not have.
                Err(NetlinkError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Loaded { names, settings })
    }

    /// Waits for notifications.
    pub(super) async fn ready(&self) -> io::Result<()> {
        self.events.ready().await
    }

    /// Notes which settings notifications make doubtful. They are asked for, since notifications
    /// carry their bit sets in a form of its own.
    pub(super) fn drain(&mut self) -> io::Result<Event> {
        const DATAGRAMS: usize = 1024;
        let doubts = &mut self.doubts;
        self.events.drain(DATAGRAMS, |message| {
            doubts.extend(ethtool::read_notification(message));
        })
    }

    /// Makes a link's settings doubtful.
    pub(super) fn doubt(&mut self, index: u32, kind: &str) {
        let doubts = categories(kind).iter().map(|category| (index, *category));
        self.doubts.extend(doubts);
    }

    /// Asks for everything doubtful, in batches.
    pub(super) async fn settle(&mut self) -> Result<Vec<Answer>, NetlinkError> {
        let asked: Vec<(u32, Category)> = std::mem::take(&mut self.doubts).into_iter().collect();
        let requests: Vec<Request> =
            asked.iter().map(|(link, category)| category.get(self.family, Some(*link))).collect();
        let mut settings: Vec<Option<Ethtool>> = vec![None; asked.len()];
        let part = |index: usize, message: &Message<'_>| {
            if let Some((_, attrs)) = ethtool::read_answer(message) {
                let slot = settings[index].get_or_insert_default();
                slot.read(asked[index].1, attrs);
            }
        };
        // A refusal means that the driver does not support it, or that the link is gone.
        let _refusals = self.connection.exchange(&requests, part).await?;
        Ok(asked
            .into_iter()
            .zip(settings)
            .map(|((link, category), settings)| Answer { link, category, settings })
            .collect())
    }
}

/// All settings of all links.
#[derive(Debug)]
pub(super) struct Loaded {
    names: Vec<Box<str>>,
    settings: Settings,
}

/// What was found out about one category of a link's settings.
#[derive(Debug)]
pub(super) struct Answer {
    link: u32,
    category: Category,
    settings: Option<Ethtool>,
}

fn merge(settings: &mut Settings, part: Settings, category: Category) {
    for (link, mut part) in part {
        take(settings.entry(link).or_default(), &mut part, category);
    }
}

/// Moves one category.
fn take(into: &mut Ethtool, from: &mut Ethtool, category: Category) {
    match category {
        Category::Coalesce => into.coalesce = from.coalesce.take(),
        Category::Features => into.features = from.features.take(),
        Category::Fec => into.fec = from.fec.take(),
        Category::LinkModes => into.link_modes = from.link_modes.take(),
        Category::Pause => into.pause = from.pause.take(),
        Category::Rings => into.rings = from.rings.take(),
    }
}

impl Image {
    pub(super) fn put_ethtool(&mut self, loaded: Loaded) -> bool {
        let settings: BTreeMap<u32, Arc<Ethtool>> = loaded
            .settings
            .into_iter()
            .filter_map(|(index, mut settings)| {
                let mut kept = Ethtool::default();
                for category in categories(self.links.get(&index)?.kind()) {
                    take(&mut kept, &mut settings, *category);
                }
                Some((index, Arc::new(kept)))
            })
            .collect();
        let changed = *self.ethtool != settings || *self.feature_names != loaded.names;
        self.ethtool = Arc::new(settings);
        self.feature_names = Arc::new(loaded.names);
        changed
    }

    pub(super) fn put_ethtool_answers(&mut self, answers: Vec<Answer>) -> bool {
        let mut changed = false;
        for Answer { link, category, settings } in answers {
            let kind = self.links.get(&link).map(|link| link.kind());
            if !kind.is_some_and(|kind| categories(kind).contains(&category)) {
                continue;
            }
            let old = self.ethtool.get(&link);
            let mut new = old.map(|old| Ethtool::clone(old)).unwrap_or_default();
            take(&mut new, &mut settings.unwrap_or_default(), category);
            if old.is_none_or(|old| **old != new) {
                Arc::make_mut(&mut self.ethtool).insert(link, Arc::new(new));
                changed = true;
            }
        }
        changed
    }
}
