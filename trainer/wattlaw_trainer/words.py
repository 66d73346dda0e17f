"""Words and numbers as wattlaw's job files write them."""

import contextlib
import math
import re

from .refused import Refused

SUFFIXES = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}


def word(what: str, given: object, names: dict[str, tuple[str, ...]]) -> str:
    """The name that `given` stands for; `names` maps each name to its aliases. Case and `_` do not matter."""
    if isinstance(given, str):
        plain = given.strip().lower().replace("_", "-")
        for name, aliases in names.items():
            if plain == name or plain in aliases:
                return name
    raise Refused(f"{what} is {shown(given)}, but it must be one of {', '.join(names)}")


def whole(what: str, given: object, least: int = 1) -> int:
    """A whole number of at least `least`."""
    if isinstance(given, bool) or not isinstance(given, int) or given < least:
        raise Refused(f"{what} is {shown(given)}, but it must be a whole number from {least}")
    return given


def count(what: str, given: object) -> int:
    """A whole number of things, which may be written `10M`, `1.5B`, `300_000` or 1e6."""
    number = math.nan
    if isinstance(given, str):
        text = given.strip().replace("_", "")
        factor = SUFFIXES.get(text[-1:].lower(), 1.0)
        digits = text[:-1] if factor > 1.0 else text
        # a comma sets thousands apart; a decimal one would be read as ten times the number
        digits = re.sub(r",(?=\d{3}(?!\d))", "", digits)
        with contextlib.suppress(ValueError):
            number = float(digits) * factor
    elif isinstance(given, (int, float)) and not isinstance(given, bool):
        number = given
    if not 1 <= number <= 1e18 or abs(number - round(number)) > 1e-9 * number:
        raise Refused(f"{what} is {shown(given)}, but it must be a whole number from 1, like 300000, 10M or 1.5B")
    return round(number)


def number(what: str, given: object) -> float:
    """A finite number."""
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not math.isfinite(given):
        raise Refused(f"{what} is {shown(given)}, but it must be a number")
    return float(given)


def flag(what: str, given: object) -> bool:
    """True or false."""
    if not isinstance(given, bool):
        raise Refused(f"{what} is {shown(given)}, but it must be true or false")
    return given


def text(what: str, given: object) -> str:
    """Some text."""
    if not isinstance(given, str):
        raise Refused(f"{what} is {shown(given)}, but it must be text in quotes")
    return given


def shown(given: object) -> str:
    """A value as an error shows it."""
    if isinstance(given, bool):
        return str(given).lower()
    return f"`{given}`" if isinstance(given, str) else str(given)
