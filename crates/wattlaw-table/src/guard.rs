//! The readers of Parquet and Arrow assert what a sound file has. A file that is not sound must not end the program.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether an assertion of this thread is answered here.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What a reader gives; `None` where an assertion of its own failed, after which it must not be asked again.
pub(crate) fn guarded<T>(read: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        // the sentence of the error says what the user needs
        set_hook(Box::new(move |panic| {
            if !IS_GUARDED.try_with(Cell::get).unwrap_or(false) {
                before(panic);
            }
        }));
    });
    let outer = IS_GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(read));
    IS_GUARDED.set(outer);
    done.ok()
}
