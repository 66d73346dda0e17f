// Charts on a canvas, in the colours of the page.

import uPlot from "uplot";

const colour = (name: string): string => {
  // a custom property keeps `light-dark()`; a used colour does not
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
};

export interface Line {
  label: string;
  values: (number | null)[];
  /** The scale of its values; lines of one scale share an axis. */
  scale: string;
  points?: boolean;
}

/** Draws lines over `x`. `clicked` is called with the position of the point that was clicked. */
export function chart(into: HTMLElement, xLabel: string, x: number[], lines: Line[], clicked?: (at: number) => void): uPlot {
  const [ink, quiet, rule] = [colour("--text"), colour("--quiet"), colour("--line")];
  const strokes = [colour("--bar"), colour("--bad")];
  const axis = (label: string, scale: string, side: uPlot.Axis.Side, grid: boolean): uPlot.Axis => ({
    label,
    scale,
    side,
    stroke: quiet,
    grid: { stroke: rule, show: grid },
    ticks: { stroke: rule },
    size: 64,
  });
  const plot = new uPlot(
    {
      width: Math.max(280, Math.min(into.clientWidth, 760)),
      height: 320,
      scales: { x: { time: false } },
      axes: [{ label: xLabel, stroke: ink, grid: { stroke: rule }, ticks: { stroke: rule } }, ...lines.map((line, at) => axis(line.label, line.scale, at === 0 ? 3 : 1, at === 0))],
      series: [
        { label: xLabel },
        ...lines.map(
          (line, at): uPlot.Series => ({
            label: line.label,
            scale: line.scale,
            stroke: strokes[at % strokes.length],
            width: 2,
            points: { show: line.points ?? false, size: 10, fill: strokes[at % strokes.length] },
          }),
        ),
      ],
      cursor: { drag: { x: false, y: false } },
    },
    [x, ...lines.map((line) => line.values)],
    into,
  );
  if (clicked) {
    plot.over.addEventListener("click", () => {
      if (plot.cursor.idx !== null && plot.cursor.idx !== undefined) clicked(plot.cursor.idx);
    });
  }
  return plot;
}
