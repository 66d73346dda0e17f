"""When to stop: after the job's steps, or a time that was given."""

import re
import time

from .refused import Refused

UNITS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """A time as `30s`, `500ms`, `2min` or `1.5h`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h)", text.strip())
    if match is None or float(match[1]) == 0:
        raise Refused(f"`{text}` is no time; give one like 30s, 500ms, 2min or 1.5h")
    return float(match[1]) * UNITS[match[2]]


class Budget:
    """The end of a run, from the moment it is made."""

    def __init__(self, steps: int, time_s: float | None):
        self.steps = steps
        self.until = None if time_s is None else time.monotonic() + time_s

    def spent(self, done: int, agree) -> bool:
        """Whether `done` steps are the last; `agree` tells all ranks what the first one's clock says."""
        if done >= self.steps:
            return True
        # at least one step is done, so that there is something to tell
        return self.until is not None and done > 0 and agree(time.monotonic() >= self.until)
