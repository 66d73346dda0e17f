//! Long calls that Ctrl-C ends.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use pyo3::prelude::*;

use crate::error::raised;

/// How often a long call looks at signals.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);

/// Computes on a thread of its own, without the interpreter's lock. After Ctrl-C the call ends at once; the thread ends by itself, and
/// what it finds is dropped.
///
/// # Errors
/// The error of the computation, and `KeyboardInterrupt`.
pub fn interruptible<T: Send + 'static>(
    py: Python<'_>,
    compute: impl FnOnce() -> wattlaw::Result<T> + Send + 'static,
) -> PyResult<T> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        // nobody waits any more after Ctrl-C
        let _ = send.send(compute());
    });
    let mut receive = receive;
    loop {
        let (found, kept) = py.detach(move || (receive.recv_timeout(SIGNALS_EVERY), receive));
        receive = kept;
        match found {
            Ok(found) => return found.map_err(raised),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => {
                let sentence = "the computation failed; please report it";
                return Err(raised(wattlaw::Error::Data(sentence.to_owned())));
            }
        }
    }
}
