"""``python -m wattlaw`` runs the program ``wattlaw``."""

import signal
import sys

from . import _core


def main() -> None:
    """Runs the program with the words of the command line, and exits with its code."""
    # the program handles Ctrl-C itself, and a closed pipe ends it
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(_core.run(["wattlaw", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
