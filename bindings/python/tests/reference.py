"""Writes the page of the Python package from the docstrings and the types of what is public."""

from __future__ import annotations

import inspect
import re
from typing import Any

import wattlaw

HEAD = """# Python package

<!-- Written from the package by `WATTLAW_WRITE_DOCS=1 pytest bindings/python/tests/test_reference.py`. -->

`import wattlaw as wl` gives the names below. [Predict and plan from Python](../how-to/python.md) shows their use.
"""

#: Sections of a docstring whose lines are `name: text`.
SECTIONS = ("Args:", "Raises:")


def page() -> str:
    """The page."""
    public = [(name, getattr(wattlaw, name)) for name in wattlaw.__all__ if not name.startswith("__")]
    functions = [(name, of) for name, of in public if inspect.isfunction(of)]
    classes = [(name, of) for name, of in public if inspect.isclass(of) and not issubclass(of, Exception)]
    errors = [(name, of) for name, of in public if inspect.isclass(of) and issubclass(of, Exception)]
    parts = [HEAD, "## Functions\n"]
    for name, of in functions:
        parts.append(f"### {name}\n\n{signature(name, of)}\n\n{text(of)}\n")
    parts.append("## Classes\n")
    for name, of in classes:
        parts.append(class_of(name, of))
    parts.append("## Errors\n\n| class | what |\n|---|---|")
    parts += [f"| `{name}` | {text(of)} |" for name, of in errors]
    parts.append("\nAll are subclasses of `Error`, which is a `ValueError`.\n")
    return "\n".join(parts)


def class_of(name: str, of: type) -> str:
    """A class with its attributes and methods."""
    fields = of._fields if issubclass(of, tuple) else ()
    parts = [f"### {name}\n"]
    if not fields and "__init__" in vars(of) and not of.__init__.__doc__ and "/" not in str(inspect.signature(of)):
        parts.append(f"{signature(name, of)}\n")
    parts.append(f"{text(of)}\n")
    members = [(key, member) for key, member in vars(of).items() if not key.startswith("_")]
    rows = [(key, text(member)) for key, member in members if not inspect.isfunction(member) and inspect.getdoc(member)]
    if fields:
        described = dict(re.findall(r'    (\w+): [^\n]+\n    """(.+?)"""', inspect.getsource(of)))
        rows = [(field, described[field]) for field in fields]
    if rows:
        parts.append("| attribute | what |\n|---|---|")
        parts += [f"| `{key}` | {' '.join(what.split())} |" for key, what in rows]
        parts.append("")
    for key, member in members:
        if inspect.isfunction(member):
            parts.append(f"{signature(f'{name}.{key}', member)}\n\n{text(member)}\n")
    return "\n".join(parts)


def signature(name: str, of: Any) -> str:
    """A call as code, a parameter a line where there are several."""
    found = inspect.signature(of)
    parameters = [parameter for key, parameter in found.parameters.items() if key != "self"]
    written, starred = [], False
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            written.append("*")
            starred = True
        if parameter.kind is parameter.VAR_POSITIONAL:
            starred = True
        written.append(declared(parameter))
    returned = found.return_annotation
    arrow = "" if returned is inspect.Signature.empty or inspect.isclass(of) else f" -> {returned}".replace("'", "")
    lines = ",\n    ".join(written)
    inside = f"\n    {lines},\n" if len(written) > 2 else ", ".join(written)
    return f"```python\n{name}({inside}){arrow}\n```"


def declared(parameter: inspect.Parameter) -> str:
    """A parameter with its type, as it is written, and its default."""
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
    return f"{stars}{parameter.name}: {parameter.annotation}{default}"


def text(of: Any) -> str:
    """A docstring as Markdown, without its examples."""
    doc = (inspect.getdoc(of) or "").split(">>>")[0].rstrip()
    doc = re.sub(r":\w+:`(?:wattlaw\.)?([^`]+)`", r"`\1`", doc).replace("``", "`")
    lines: list[str] = []
    listed = False
    for line in doc.splitlines():
        if line in SECTIONS or line == "Returns:":
            listed = line in SECTIONS
            lines += [f"**{line[:-1]}**", ""]
        elif line.startswith("    ") and listed and (found := re.match(r"    (\w+): (.*)", line)):
            lines.append(f"- `{found[1]}`: {found[2]}")
        else:
            lines.append(f"  {line.strip()}" if line.startswith("    ") and listed else line.strip())
    return "\n".join(lines)
