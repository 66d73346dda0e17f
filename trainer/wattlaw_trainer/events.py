"""What wattlaw is told while the run goes on: lines of JSON, appended to the file that WATTLAW_EVENTS names."""

import json
import os
import time

from .refused import Refused


class Events:
    """The events of a run, told by one rank of each node and by none where wattlaw does not listen."""

    def __init__(self, telling: bool):
        path = os.environ.get("WATTLAW_EVENTS") if telling else None
        try:
            # a line a write, so that it is whole or not there
            self.file = open(path, "a", buffering=1, encoding="utf-8") if path else None
        except OSError as error:
            raise Refused(f"{path}, which WATTLAW_EVENTS names: {error.strerror}") from None

    def _tell(self, event: dict) -> None:
        if self.file is not None:
            self.file.write(json.dumps(event | {"t_monotonic_s": time.monotonic()}) + "\n")

    def begin(self, name: str) -> None:
        self._tell({"event": "window_begin", "name": name})

    def step(self, tokens: int) -> None:
        self._tell({"event": "step", "tokens": tokens})

    def end(self, name: str) -> None:
        self._tell({"event": "window_end", "name": name})
