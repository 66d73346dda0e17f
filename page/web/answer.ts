// The answer: what a run takes, how sure that is, and where it goes.

import { make, scrolling, table } from "./dom";
import { amount, digits, interval, price } from "./format";
import type { UnitName } from "./format";
import { parts as partNames, text } from "./strings";
import type { Answer, Interval, Label } from "./types";

export const badge = (label: Label): HTMLElement => make("span", { class: `badge ${label}`, title: text.labelHints[label] }, text.labels[label]);

/** A part of a whole, in the unit of the whole. */
export interface Part {
  name: string;
  value: number;
}

/** Parts above half a percent, the largest first. */
export function partsOf(of: Record<string, number>, suffix: string): Part[] {
  const total = `total${suffix}`;
  const parts = Object.entries(of)
    .filter(([name]) => name !== total && name.endsWith(suffix))
    .map(([name, value]) => ({ name: partNames[name.slice(0, -suffix.length)] ?? name, value }));
  const sum = parts.reduce((all, part) => all + part.value, 0);
  return parts.filter((part) => part.value / sum >= 0.005).sort((a, b) => b.value - a.value);
}

/** Where the time and the energy go, and the memory, each with the unit of its values. */
export function breakdowns(answer: Answer): { title: string; unit: UnitName; parts: Part[] }[] {
  const { breakdown } = answer;
  const memory = { title: text.memoryParts, unit: "gib" as const, parts: partsOf(answer.memory.parts, "_gib") };
  if (Array.isArray(breakdown)) return [memory];
  return [
    { title: text.timeParts, unit: "seconds", parts: partsOf(breakdown.time, "_s") },
    { title: text.energyParts, unit: "energy", parts: partsOf(breakdown.energy, "_j") },
    memory,
  ];
}

function bars(title: string, unit: UnitName, parts: Part[]): HTMLElement {
  const most = Math.max(...parts.map((part) => part.value));
  const item = ({ name, value }: Part): HTMLElement => {
    const bar = make("span", { class: "bar" });
    bar.style.width = `${(100 * value) / most}%`;
    return make("li", {}, make("span", {}, name), bar, make("span", { class: "value" }, amount(value, unit)));
  };
  return make("div", {}, make("h3", {}, title), make("ul", { class: "bars" }, ...parts.map(item)));
}

interface Row {
  label: string;
  of: Interval | null;
  unit: UnitName;
  note?: string;
}

export function rows(answer: Answer): Row[] {
  return [
    { label: text.gpuHours, of: answer.gpu_hours, unit: "hours" },
    { label: text.throughput, of: answer.tokens_per_s, unit: "rate" },
    { label: text.mfu, of: answer.mfu, unit: "share" },
    { label: text.energyPerToken, of: answer.energy_per_token_j, unit: "joules" },
    { label: text.power, of: answer.mean_power_w, unit: "power" },
    {
      label: text.memory,
      of: answer.memory.peak_gib,
      unit: "gib",
      note: text.ofCapacity(answer.memory.fits_word, `${digits(answer.memory.capacity_gib)} GiB`),
    },
  ];
}

function tile(label: string, value: string | null, range: string | null, absent = ""): HTMLElement {
  return make(
    "div",
    {},
    make("dt", {}, label),
    make("dd", {}, make("div", { class: "value" }, value ?? text.notComputed), make("div", { class: "quiet" }, range ?? absent)),
  );
}

function tiles(answer: Answer): HTMLElement {
  const of = (label: string, found: Interval | null, unit: UnitName, absent = ""): HTMLElement =>
    tile(label, found && amount(found.estimate, unit), found && interval(found, unit), absent);
  const { cost, currency } = answer;
  return make(
    "dl",
    { class: "tiles" },
    of(text.energy, answer.energy_j, "energy"),
    of(text.time, answer.duration_s, "seconds"),
    tile(text.cost, cost && price(cost.estimate, currency), cost && `${digits(cost.lower)} to ${price(cost.upper, currency)}`, text.needsPrice),
    of(text.carbon, answer.carbon_g, "carbon", text.needsRegion),
  );
}

export class AnswerView {
  readonly element: HTMLElement;
  /** The answer in a line, for a narrow window where it is far below what is being changed; a click goes to it. */
  readonly glance = make("button", { type: "button", class: "glance no-print", onclick: () => this.element.scrollIntoView({ block: "start" }) });
  readonly #body = make("div", { id: "body" });
  readonly #problem = make("p", { class: "problem", role: "alert" });
  readonly #spoken = make("p", { class: "hidden", role: "status" });
  #speaking = 0;

  constructor() {
    this.element = make("section", { "aria-labelledby": "answer" }, make("h2", { id: "answer" }, text.answer), this.#problem, this.#spoken, this.#body);
    new IntersectionObserver(([seen]) => (this.glance.hidden = seen?.isIntersecting ?? false)).observe(this.element);
  }

  show(answer: Answer): void {
    this.#problem.textContent = "";
    this.#body.hidden = false;
    const { confidence, memory, warnings, defaults } = answer;
    const listed = (items: string[]): HTMLElement => make("ul", {}, ...items.map((of) => make("li", {}, of)));
    this.#body.replaceChildren(
      make("p", {}, badge(confidence.label), " ", text.sentence(confidence.text)),
      tiles(answer),
      make("p", { class: "quiet" }, text.below(answer.level)),
      scrolling(
        text.answer,
        table(
          text.answer,
          [text.quantity, text.estimate, text.interval(answer.level), ""],
          rows(answer).map(({ label, of, unit, note }) => [label, of ? amount(of.estimate, unit) : text.notComputed, of ? interval(of, unit) : "", note ?? ""]),
        ),
      ),
      memory.advice.length > 0 ? make("div", {}, make("h3", {}, text.advice), listed(memory.advice)) : "",
      make("div", { class: "two" }, ...breakdowns(answer).map((of) => bars(of.title, of.unit, of.parts))),
      warnings.length > 0 ? make("div", {}, make("h3", {}, text.notes), listed(warnings.map((of) => text.sentence(of.text)))) : "",
      make("details", {}, make("summary", {}, text.defaults), listed(defaults.map((of) => `${of.field}: ${of.value} (${of.source})`))),
    );
    const { energy_j: energy, duration_s: time, carbon_g: carbon } = answer;
    const glanced = [energy && amount(energy.estimate, "energy"), time && amount(time.estimate, "seconds"), carbon && amount(carbon.estimate, "carbon")];
    this.glance.textContent = glanced.filter(Boolean).join(" · ");
    // a screen reader hears the answer when the changes pause
    clearTimeout(this.#speaking);
    this.#speaking = window.setTimeout(() => {
      const said = [energy && `${text.energy} ${amount(energy.estimate, "energy")}`, time && `${text.time} ${amount(time.estimate, "seconds")}`];
      this.#spoken.textContent = said.filter(Boolean).join(", ");
    }, 800);
  }

  /** Says why there is no answer; `sentence` is empty where the form says it beside the field. */
  problem(sentence: string): void {
    clearTimeout(this.#speaking);
    this.#body.hidden = true;
    this.glance.textContent = text.noAnswer;
    this.#problem.textContent = text.problem(sentence);
  }
}
