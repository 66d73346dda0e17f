//! One reader a device: of several wattlaws on a machine, such as torchrun's ranks, one measures what they share.
//!
//! Advisory locks, one a device, in the folder of temporary files; the system lets go of them when their holder dies. The
//! lock's file says which record holds the device. One more lock is held while devices are taken, so that the first who comes
//! gets all of them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use wattlaw::record::{Channel, Instrument};

/// What an election came to.
#[derive(Debug, Default)]
pub struct Election {
    /// For each channel whether it is ours to measure.
    pub ours: Vec<bool>,
    /// The record that measures what is not.
    pub holder: Option<String>,
    /// Sentences for the user.
    pub notes: Vec<String>,
    /// Held as long as we measure.
    locks: Vec<File>,
}

/// Takes the devices of `channels` for `record`, as far as nobody else has them.
pub fn elect(folder: &Path, channels: &[Channel], record: &str) -> Election {
    let mut election = Election::default();
    let everything =
        open(&folder.join("wattlaw-election.lock")).and_then(|file| file.lock().map(|()| file));
    if let Err(error) = &everything {
        election.notes.push(format!(
            "other wattlaws on this machine cannot be told apart, which may count it twice: {}: {error}",
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
                    // another user's file can be locked but not written
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

/// What names a device on this machine.
fn key(channel: &Channel) -> String {
    let device = match channel.instrument {
        Instrument::Assumed => format!("assumed-{}", channel.component),
        _ => channel.device.clone(),
    };
    let plain: String =
        device.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    plain.chars().take(180).collect()
}

/// Opens a lock's file; not through a link, which anybody may have put there.
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
    fn a_device_is_taken_once_and_free_again_after() {
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
    fn an_assumed_machine_is_assumed_once() {
        let folder = tempfile::tempdir().unwrap();
        let assumed = [channel("assumption", Instrument::Assumed)];
        let _first = elect(folder.path(), &assumed, "/runs/a");
        assert_eq!(elect(folder.path(), &assumed, "/runs/b").ours, [false]);
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let precious = folder.path().join("precious");
        std::fs::write(&precious, "content").unwrap();
        std::os::unix::fs::symlink(&precious, folder.path().join("wattlaw-GPU-1.lock")).unwrap();
        let election = elect(folder.path(), &[channel("GPU-1", Instrument::Counter)], "/runs/a");
        assert_eq!(election.ours, [true]);
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "content");
    }

    #[test]
    fn without_a_folder_for_locks_one_measures_and_says_so() {
        let election =
            elect(Path::new("/nowhere"), &[channel("GPU-1", Instrument::Counter)], "/runs/a");
        assert_eq!((election.ours.as_slice(), election.notes.len()), (&[true][..], 1));
    }
}
