"""Predictions as HTML, for notebooks."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from math import isfinite, log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .prediction import Interval, Prediction

#: Quantities of the table: label, name, unit, and factor from the attribute's unit to that one.
_ROWS: tuple[tuple[str, str, str, float], ...] = (
    ("energy", "energy", "kWh", 1 / 3.6e6),
    ("time", "duration", "h", 1 / 3600),
    ("GPU-hours", "gpu_hours", "h", 1.0),
    ("tokens a second", "tokens_per_s", "1/s", 1.0),
    ("mean power", "mean_power", "kW", 1e-3),
    ("MFU", "mfu", "%", 100.0),
    ("memory a GPU", "memory", "GiB", 1.0),
    ("carbon", "carbon", "kg CO₂e", 1e-3),
    ("price", "cost", "", 1.0),
)

#: Size of a row's chart in pixels.
_WIDTH, _HEIGHT = 160, 14

#: The chart's ends, as factors of the estimate.
_SPAN = 2.0


def prediction_html(prediction: Prediction) -> str:
    """A table of estimates and intervals with a chart in each row, and the warnings below it."""
    rows = []
    for label, quantity, unit, factor in _ROWS:
        interval = prediction.interval(quantity)
        if interval is None:
            continue
        of_unit = unit or prediction.currency or ""
        estimate, lower, upper = (f"{value * factor:,.4g}" for value in interval)
        rows.append(
            f"<tr><th style='text-align:left'>{escape(label)}</th><td>{estimate} {escape(of_unit)}</td>"
            f"<td>{lower} to {upper}</td><td>{_chart(interval)}</td></tr>"
        )
    job = prediction.job
    title = f"{job['model'].get('name', 'model')} on {job['system']['gpus']} × {job['system']['gpu']}"
    sentences = [warning.text for warning in prediction.warnings if warning.severity != "info"]
    listed = "".join(f"<li>{escape(text)}</li>" for text in sentences)
    return (
        f"<div><strong>{escape(title)}</strong> (energy of {escape(prediction.scope)}, confidence {escape(prediction.confidence)})"
        f"<table><thead><tr><th></th><th>estimate</th><th>{100 * prediction.level:g} % interval</th>"
        f"<th>×/÷ {_SPAN:g}</th></tr></thead><tbody>{''.join(rows)}</tbody></table>{f'<ul>{listed}</ul>' if listed else ''}</div>"
    )


def _chart(interval: Interval) -> str:
    """The interval as a bar on a logarithmic axis around the estimate, cut at the axis' ends."""
    at = _axis(interval.estimate)
    left, right = at(interval.lower), at(interval.upper)
    middle = _HEIGHT / 2
    return (
        f"<svg width='{_WIDTH}' height='{_HEIGHT}' role='img' aria-label='interval'>"
        f"<line x1='{left:.1f}' x2='{right:.1f}' y1='{middle}' y2='{middle}' stroke='#4c78a8' stroke-width='6'/>"
        f"<circle cx='{at(interval.estimate):.1f}' cy='{middle}' r='4' fill='#f58518'/></svg>"
    )


def _axis(estimate: float) -> Callable[[float], float]:
    def at(value: float) -> float:
        if value <= 0 or estimate <= 0:
            return 0.0 if value < estimate else _WIDTH / 2
        share = log(value / estimate) / log(_SPAN) if isfinite(value) else 1.0
        return _WIDTH / 2 * (1 + min(1.0, max(-1.0, share)))

    return at
