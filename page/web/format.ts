// Numbers as a person reads them: three digits, with a unit that suits.

import type { Interval } from "./types";

const PREFIXES = ["", "k", "M", "G", "T", "P", "E"];

/** Three significant digits. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "—";
  const absolute = Math.abs(value);
  if (absolute >= 1000) return Math.round(Number(value.toPrecision(3))).toLocaleString("en-US");
  if (absolute > 0 && absolute < 0.001) return value.toExponential(2);
  return String(Number(value.toPrecision(3)));
}

export const whole = (value: number): string => Math.round(value).toLocaleString("en-US");

/** A unit: what one of it is in the base unit, and its name. */
interface Unit {
  size: number;
  name: string;
}

const prefixed = (unit: string, base = 1): Unit[] => PREFIXES.map((prefix, at) => ({ size: base * 1000 ** at, name: prefix + unit }));

export const JOULES_PER_KWH = 3.6e6;
export const SECONDS_PER_HOUR = 3600;

export const UNITS = {
  energy: prefixed("Wh", JOULES_PER_KWH / 1000),
  power: prefixed("W"),
  seconds: [
    { size: 1, name: "s" },
    { size: 60, name: "min" },
    { size: SECONDS_PER_HOUR, name: "h" },
    { size: 24 * SECONDS_PER_HOUR, name: "days" },
  ],
  carbon: [...prefixed("g").slice(0, 2), ...prefixed("t", 1e6)],
  rate: [{ size: 1, name: "/s" }],
  joules: [{ size: 1e-6, name: "µJ" }, { size: 1e-3, name: "mJ" }, ...prefixed("J")],
  share: [{ size: 0.01, name: "%" }],
  gib: [{ size: 1, name: "GiB" }],
  hours: [{ size: 1, name: "h" }],
} satisfies Record<string, Unit[]>;

export type UnitName = keyof typeof UNITS;

function unitFor(value: number, units: readonly Unit[]): Unit {
  let found = units[0] ?? { size: 1, name: "" };
  for (const unit of units) if (Math.abs(value) >= unit.size) found = unit;
  return found;
}

export function amount(value: number, name: UnitName): string {
  const unit = unitFor(value, UNITS[name]);
  return `${digits(value / unit.size)} ${unit.name}`;
}

/** An interval in the unit of its estimate. */
export function interval(of: Interval, name: UnitName): string {
  const unit = unitFor(of.estimate, UNITS[name]);
  return `${digits(of.lower / unit.size)} to ${digits(of.upper / unit.size)} ${unit.name}`;
}

/** A price with its currency. */
export const price = (value: number, currency: string | null): string => `${digits(value)} ${currency ?? ""}`.trim();
