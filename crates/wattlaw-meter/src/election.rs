//! Who counts a device: if several wattlaw processes run on a machine, such as the ranks of torchrun, each device counts in one record
//! at a time.
//!
//! Each device has an advisory lock in the user's folder of locks; the system releases it when the holder dies. The lock file names the record that holds the device and, once that record's command has ended, when. A global lock is held during an election,
//! so that the first process gets all devices. When a holder ends, the device is handed over to a process that still runs.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use wattlaw::base::units::Seconds;
use wattlaw::record::{Channel, Instrument};

use crate::locks::{lock_briefly, open};

/// Longest lock file that is read.
const MAX_LOCK_BYTES: u64 = 1 << 13;

/// The devices of a process, each counted by it or by another record.
#[derive(Debug, Default)]
pub(crate) struct Election {
    devices: Vec<Device>,
    /// The record that counts with this process.
    record: String,
    /// Messages for the user.
    pub notes: Vec<String>,
}

#[derive(Debug)]
struct Device {
    path: PathBuf,
    claim: Claim,
}

/// Who counts a device.
#[derive(Debug)]
enum Claim {
    /// This process, with its lock where the file system has locks.
    Ours(Option<File>),
    /// Another record, which held the lock at this time of the monotonic clock.
    Held { by: String, seen: Seconds },
}

/// A device that another record counted until now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct HandedOver {
    /// Index of its channel.
    pub channel: usize,
    /// When the other record stopped counting, on the monotonic clock.
    pub from: Seconds,
}

/// What a lock file states.
struct Holder {
    record: String,
    /// When its command ended, on the monotonic clock.
    ended: Option<Seconds>,
}

/// Claims the devices of `channels` for `record`, except those that another process holds at `now` on the monotonic clock;
/// `folder` is that of the locks, or why there is none.
pub(crate) fn elect(
    folder: io::Result<PathBuf>,
    channels: &[Channel],
    record: &str,
    now: Seconds,
) -> Election {
    let mut election = Election { record: record.to_owned(), ..Election::default() };
    let opened = folder.and_then(|folder| {
        let everything = open(&folder.join("election.lock"))
            .and_then(|file| lock_briefly(&file).map(|()| file))
            .map_err(|error| io::Error::other(format!("{}: {error}", folder.display())))?;
        Ok((folder, everything))
    });
    let (folder, _everything) = match opened {
        Ok((folder, everything)) => (folder, everything),
        Err(error) => {
            election.notes.push(format!(
                "cannot detect other wattlaw processes on this machine, so a device may be in several records: {error}"
            ));
            let unlocked = |_| Device { path: PathBuf::new(), claim: Claim::Ours(None) };
            election.devices = channels.iter().map(unlocked).collect();
            return election;
        }
    };
    for channel in channels {
        let path = folder.join(format!("{}.lock", key(channel)));
        let claim = match claim(&path, record) {
            Ok((file, _)) => Claim::Ours(Some(file)),
            Err(Some(by)) => Claim::Held { by: by.record, seen: now },
            Err(None) => Claim::Ours(None),
        };
        election.devices.push(Device { path, claim });
    }
    election
}

impl Election {
    /// The record that holds the device of a channel; `None` if this process counts it.
    pub(crate) fn holder(&self, channel: usize) -> Option<&str> {
        match &self.devices.get(channel)?.claim {
            Claim::Ours(_) => None,
            Claim::Held { by, .. } => Some(by),
        }
    }

    /// States another name of this process's record: its folder may get a number if the name exists.
    pub(crate) fn rename(&mut self, record: &str) {
        if self.record == record {
            return;
        }
        record.clone_into(&mut self.record);
        for device in &mut self.devices {
            if let Claim::Ours(Some(file)) = &mut device.claim {
                // with the old name the device is held all the same
                let _ = state(file, &format!("{record}\n"));
            }
        }
    }

    /// Takes the devices over whose holders have ended; `now` is the time on the monotonic clock.
    pub(crate) fn take_over(&mut self, now: Seconds) -> Vec<HandedOver> {
        let mut taken = Vec::new();
        for (channel, device) in self.devices.iter_mut().enumerate() {
            let Claim::Held { by, seen } = &mut device.claim else { continue };
            match claim(&device.path, &self.record) {
                Ok((file, before)) => {
                    // a killed holder states no end: its last readings are about as old as the last look at its lock
                    let ended = before.and_then(|holder| holder.ended).filter(|end| *end <= now);
                    taken.push(HandedOver { channel, from: ended.unwrap_or(*seen) });
                    device.claim = Claim::Ours(Some(file));
                }
                Err(Some(holder)) => (*by, *seen) = (holder.record, now),
                Err(None) => *seen = now,
            }
        }
        taken
    }

    /// Releases the devices; `ended` is when this process stopped counting, on the monotonic clock.
    pub(crate) fn release(self, ended: Seconds) {
        for device in self.devices {
            if let Claim::Ours(Some(mut file)) = device.claim {
                // whoever takes over then counts from the last time that it saw the lock held
                let _ = state(&mut file, &format!("{}\n{}\n", self.record, ended.value()));
            }
        }
    }
}

/// Locks a device's file and names the record in it; returns what it stated before.
///
/// # Errors
/// The holder, if another process holds the lock; `None` if the file cannot be opened.
fn claim(path: &Path, record: &str) -> Result<(File, Option<Holder>), Option<Holder>> {
    let mut file = open(path).map_err(|_| None)?;
    let locked = file.try_lock();
    let before = read(&mut file);
    match locked {
        Err(TryLockError::WouldBlock) => {
            Err(Some(before.unwrap_or(Holder { record: String::new(), ended: None })))
        }
        Ok(()) | Err(TryLockError::Error(_)) => {
            // a lock file that cannot be written can be locked all the same
            let _ = state(&mut file, &format!("{record}\n"));
            Ok((file, before))
        }
    }
}

/// Reads a lock file: the record, and its end.
fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(MAX_LOCK_BYTES).read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    let record = lines.next()?.trim().to_owned();
    let ended = lines.next().and_then(|line| line.parse().ok()).map(Seconds::new);
    Some(Holder { record, ended })
}

/// Writes a lock file's text.
fn state(file: &mut File, text: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())
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

#[cfg(test)]
mod tests {
    use super::*;
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

    fn at(folder: &Path, channels: &[Channel], record: &str, now: f64) -> Election {
        elect(Ok(folder.to_owned()), channels, record, Seconds::new(now))
    }

    fn holders(election: &Election) -> Vec<Option<&str>> {
        (0..election.devices.len()).map(|channel| election.holder(channel)).collect()
    }

    #[test]
    fn a_device_is_claimed_once_and_handed_over_when_its_holder_ends() {
        let folder = tempfile::tempdir().unwrap();
        let gpus = ["GPU-1", "GPU-2", "GPU-3"].map(|d| channel(d, Instrument::Counter));
        let mut first = at(folder.path(), &gpus[..2], "/runs", 1.0);
        first.rename("/runs/a");
        assert_eq!(holders(&first), [None, None]);
        let mut second = at(folder.path(), &gpus, "/runs/b", 2.0);
        assert_eq!(holders(&second), [Some("/runs/a"), Some("/runs/a"), None]);
        assert_eq!(second.take_over(Seconds::new(3.0)), []);
        first.release(Seconds::new(4.0));
        let taken = second.take_over(Seconds::new(5.0));
        let from = Seconds::new(4.0);
        assert_eq!(taken, [0, 1].map(|channel| HandedOver { channel, from }));
        assert_eq!(holders(&second), [None; 3]);
        let third = at(folder.path(), &gpus, "/runs/c", 6.0);
        assert_eq!(holders(&third), [Some("/runs/b"); 3]);
    }

    #[test]
    fn a_killed_holder_is_followed_from_when_it_was_last_seen() {
        let folder = tempfile::tempdir().unwrap();
        let gpu = [channel("GPU-1", Instrument::Counter)];
        let first = at(folder.path(), &gpu, "/runs/a", 1.0);
        let mut second = at(folder.path(), &gpu, "/runs/b", 2.0);
        assert_eq!(second.take_over(Seconds::new(3.0)), []);
        drop(first);
        let taken = second.take_over(Seconds::new(3.1));
        assert_eq!(taken, [HandedOver { channel: 0, from: Seconds::new(3.0) }]);
    }

    #[test]
    fn an_assumed_power_is_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        let assumed = [channel("assumption", Instrument::Assumed)];
        let _first = at(folder.path(), &assumed, "/runs/a", 1.0);
        assert_eq!(holders(&at(folder.path(), &assumed, "/runs/b", 1.0)), [Some("/runs/a")]);
    }

    #[test]
    fn symbolic_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let precious = folder.path().join("precious");
        std::fs::write(&precious, "content").unwrap();
        std::os::unix::fs::symlink(&precious, folder.path().join("GPU-1.lock")).unwrap();
        let gpu = [channel("GPU-1", Instrument::Counter)];
        assert_eq!(holders(&at(folder.path(), &gpu, "/runs/a", 1.0)), [None]);
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "content");
    }

    #[test]
    fn without_locks_the_devices_are_measured_with_a_note() {
        let gpu = [channel("GPU-1", Instrument::Counter)];
        let election = at(Path::new("/nowhere"), &gpu, "/runs/a", 1.0);
        assert_eq!((holders(&election), election.notes.len()), (vec![None], 1));
    }
}
