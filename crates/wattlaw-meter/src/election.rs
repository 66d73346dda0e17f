//! One reader per device: if several wattlaw processes run on a machine, such as the ranks of torchrun, only one measures a device.
//!
//! Each device has an advisory lock in the folder of temporary files; the system releases it when the holder dies. The lock file
//! names the record that holds the device. A global lock is held during an election, so that the first process gets all devices.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use wattlaw::record::{Channel, Instrument};

/// Result of an election.
#[derive(Debug, Default)]
pub(crate) struct Election {
    /// For each channel, whether this process measures it.
    pub ours: Vec<bool>,
    /// The record that measures the other channels.
    pub holder: Option<String>,
    /// Messages for the user.
    pub notes: Vec<String>,
    /// Locks, held until the end of the measurement.
    locks: Vec<File>,
}

/// Locks the devices of `channels` for `record`, except those that another process holds.
pub(crate) fn elect(folder: &Path, channels: &[Channel], record: &str) -> Election {
    let mut election = Election::default();
    let everything =
        open(&folder.join("wattlaw-election.lock")).and_then(|file| file.lock().map(|()| file));
    if let Err(error) = &everything {
        election.notes.push(format!(
            "cannot detect other wattlaw processes on this machine, so energy may be counted twice: {}: {error}",
            folder.display()
        ));
    }
    for channel in channels {
        let path = folder.join(format!("wattlaw-{}.lock", key(channel)));
        let ours = match open(&path) {
            Err(_) => true,
            Ok(mut file) => match file.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    let _ = file.take(4096).read_to_string(&mut holder);
                    election.holder.get_or_insert(holder.trim().to_owned());
                    false
                }
                Ok(()) | Err(TryLockError::Error(_)) => {
                    // a lock file of another user can be locked but not written
                    let _ = file.set_len(0).and_then(|()| writeln!(file, "{record}"));
                    election.locks.push(file);
                    true
                }
            },
        };
        election.ours.push(ours);
    }
    election
}

/// The lock name of a device.
fn key(channel: &Channel) -> String {
    let device = match channel.instrument {
        Instrument::Assumed => format!("assumed-{}", channel.component),
        _ => channel.device.clone(),
    };
    let plain: String =
        device.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    plain.chars().take(180).collect()
}

/// Opens a lock file. Does not follow symbolic links, which any user could create in the shared folder.
fn open(path: &Path) -> io::Result<File> {
    let no_link = OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(no_link);
    let all = options.clone().write(true).create(true).truncate(false).open(path);
    all.or_else(|_| options.open(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wattlaw::base::units::Seconds;
    use wattlaw::record::Component;

    fn channel(device: &str, instrument: Instrument) -> Channel {
        Channel {
            name: device.to_owned(),
            component: Component::Gpu,
            device: device.to_owned(),
            model: None,
            instrument,
            update: Seconds::ZERO,
            averaging: Seconds::ZERO,
            systematic: None,
        }
    }

    #[test]
    fn a_device_is_locked_once_and_released() {
        let folder = tempfile::tempdir().unwrap();
        let gpus = ["GPU-1", "GPU-2", "GPU-3"].map(|d| channel(d, Instrument::Counter));
        let first = elect(folder.path(), &gpus[..2], "/runs/a");
        assert_eq!((first.ours.as_slice(), first.holder.as_deref()), (&[true, true][..], None));
        let second = elect(folder.path(), &gpus, "/runs/b");
        assert_eq!(second.ours, [false, false, true]);
        assert_eq!(second.holder.as_deref(), Some("/runs/a"));
        drop(first);
        let third = elect(folder.path(), &gpus, "/runs/c");
        assert_eq!(third.ours, [true, true, false]);
        assert_eq!(third.holder.as_deref(), Some("/runs/b"));
    }

    #[test]
    fn an_assumed_power_is_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        let assumed = [channel("assumption", Instrument::Assumed)];
        let _first = elect(folder.path(), &assumed, "/runs/a");
        assert_eq!(elect(folder.path(), &assumed, "/runs/b").ours, [false]);
    }

    #[test]
    fn symbolic_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let precious = folder.path().join("precious");
        std::fs::write(&precious, "content").unwrap();
        std::os::unix::fs::symlink(&precious, folder.path().join("wattlaw-GPU-1.lock")).unwrap();
        let election = elect(folder.path(), &[channel("GPU-1", Instrument::Counter)], "/runs/a");
        assert_eq!(election.ours, [true]);
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "content");
    }

    #[test]
    fn without_locks_the_devices_are_measured_with_a_note() {
        let election =
            elect(Path::new("/nowhere"), &[channel("GPU-1", Instrument::Counter)], "/runs/a");
        assert_eq!((election.ours.as_slice(), election.notes.len()), (&[true][..], 1));
    }
}
