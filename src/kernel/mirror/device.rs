//! Devices: what netlink does not tell about the hardware behind a link.

use super::Paths;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// The device behind a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Name of the kernel driver; for a virtual link that of its kind, as the driver spells it.
    pub driver: Option<Box<str>>,
    /// Where it is on its bus, such as `0000:0a:09.7`.
    pub bus_address: Option<Box<str>>,
    /// `None` for a device without virtual functions.
    pub sriov: Option<Box<Sriov>>,
}

/// The virtual functions a device can have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sriov {
    /// Present number.
    pub vfs: u32,
    pub max_vfs: u32,
    pub drivers_autoprobe: Option<bool>,
    /// Links of the functions, by number of the function.
    pub links: BTreeMap<u32, Box<str>>,
}

/// Asks the kernel about devices.
#[derive(Debug)]
pub(super) struct Devices {
    /// Any socket will do for an ioctl on a link's name.
    socket: OwnedFd,
}

/// `ETHTOOL_GDRVINFO` and the fields read of `struct ethtool_drvinfo`, linux/ethtool.h.
const GET_DRIVER_INFO: u32 = 3;
const DRIVER_INFO_LENGTH: usize = 196;
const DRIVER: std::ops::Range<usize> = 4..36;
const BUS_INFO: std::ops::Range<usize> = 100..132;

impl Devices {
    pub(super) fn open() -> io::Result<Self> {
        let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None);
        // Without IPv4 in the kernel a unix socket serves as well.
        let socket = socket.or_else(|_| {
            nix::sys::socket::socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        });
        Ok(Self { socket: socket? })
    }

    /// Describes the device of a link. What cannot be read is left out: the link may be gone.
    pub(super) fn describe(&self, link: &str, paths: &Paths) -> Device {
        let mut device = Device::default();
        if let Ok(info) = self.driver_info(link) {
            device.driver = text(&info[DRIVER]);
            device.bus_address = text(&info[BUS_INFO]).filter(|address| is_pci(address));
        }
        if device.bus_address.is_some() {
            device.sriov = read_sriov(&paths.sys_class_net.join(link).join("device"));
        }
        device
    }

    fn driver_info(&self, link: &str) -> nix::Result<[u8; DRIVER_INFO_LENGTH]> {
        let mut info = [0; DRIVER_INFO_LENGTH];
        info[..4].copy_from_slice(&GET_DRIVER_INFO.to_ne_bytes());
        // SAFETY: all bytes zero is a valid ifreq: an empty name and a null pointer.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        if link.len() >= request.ifr_name.len() {
            return Err(Errno::ENODEV);
        }
        for (to, from) in request.ifr_name.iter_mut().zip(link.bytes()) {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        request.ifr_ifru.ifru_data = info.as_mut_ptr().cast();
        // SAFETY: the request names a NUL-terminated link and points to a buffer of the size of
        // `struct ethtool_drvinfo`, both alive during the call.
        let result = unsafe {
            libc::ioctl(self.socket.as_raw_fd(), libc::SIOCETHTOOL, std::ptr::from_mut(&mut request))
        };
        Errno::result(result)?;
        Ok(info)
    }
}

fn text(bytes: &[u8]) -> Option<Box<str>> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    (!text.is_empty()).then(|| text.into())
}

/// Returns whether a bus address has the form `0000:0a:09.7`.
fn is_pci(address: &str) -> bool {
    let digits =
        |text: &str, length: usize| text.len() >= length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let Some((slot, function)) = address.split_once('.') else {
        return false;
    };
    let parts: Vec<&str> = slot.split(':').collect();
    matches!(parts.as_slice(), [domain, bus, device]
        if digits(domain, 4) && digits(bus, 2) && digits(device, 2))
        && digits(function, 1)
}

/// Reads Documentation/ABI/testing/sysfs-bus-pci: `sriov_*` and `virtfn*`.
fn read_sriov(device: &Path) -> Option<Box<Sriov>> {
    let number = |name: &str| -> Option<u32> {
        let text = fs::read_to_string(device.join(name)).ok()?;
        text.trim().parse().ok()
    };
    let max_vfs = number("sriov_totalvfs")?;
    let vfs = number("sriov_numvfs").unwrap_or_default();
    let links = (0..vfs)
        .filter_map(|id| {
            let mut names = fs::read_dir(device.join(format!("virtfn{id}/net"))).ok()?;
            let name = names.next()?.ok()?.file_name().into_string().ok()?;
            Some((id, name.into()))
        })
        .collect();
    Some(Box::new(Sriov {
        vfs,
        max_vfs,
        drivers_autoprobe: number("sriov_drivers_autoprobe").map(|value| value != 0),
        links,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pci_addresses_are_taken_for_one() {
        assert!(is_pci("0000:0a:09.7"));
        assert!(is_pci("10000:0a:09.7"));
        for other in ["", "usb-0000:00:14.0-2", "tap", "N/A", "virtio0", "0000:0a:09"] {
            assert!(!is_pci(other), "{other}");
        }
    }

    #[test]
    fn virtual_functions_are_found_in_sysfs() {
        let sys = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, text: &str| {
            fs::write(sys.path().join(name), text).expect("a file is written");
        };
        assert_eq!(read_sriov(sys.path()), None);
        write("sriov_totalvfs", "7\n");
        write("sriov_numvfs", "2\n");
        write("sriov_drivers_autoprobe", "1\n");
        fs::create_dir_all(sys.path().join("virtfn1/net/eth0v1")).expect("a folder is made");
        let sriov = read_sriov(sys.path()).expect("there are functions");
        assert_eq!((sriov.vfs, sriov.max_vfs), (2, 7));
        assert_eq!(sriov.drivers_autoprobe, Some(true));
        assert_eq!(sriov.links.get(&1).map(|name| &**name), Some("eth0v1"));
    }
}
