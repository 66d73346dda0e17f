// The JSON of the library that the page reads. `docs/reference/json.md` describes the fields.

export interface Interval {
  estimate: number;
  lower: number;
  upper: number;
}

export type Label = "measured-near" | "fitted" | "extrapolated" | "assumed";

export interface Memory {
  peak_gib: Interval;
  capacity_gib: number;
  fits_word: string;
  parts: Record<string, number>;
  advice: string[];
}

export interface Job {
  model: Record<string, unknown>;
  workload: Record<string, unknown>;
  parallelism: Record<string, unknown>;
  system: Record<string, unknown>;
}

export interface Answer {
  energy_j: Interval | null;
  duration_s: Interval | null;
  mean_power_w: Interval | null;
  gpu_hours: Interval | null;
  tokens_per_s: Interval | null;
  mfu: Interval | null;
  energy_per_token_j: Interval | null;
  facility_energy_j: Interval | null;
  carbon_g: Interval | null;
  cost: Interval | null;
  currency: string | null;
  level: number;
  scope: string;
  confidence: { label: Label; text: string };
  memory: Memory;
  breakdown: { time: Record<string, number>; energy: Record<string, number> } | unknown[];
  warnings: { kind: string; severity: "critical" | "warning" | "info"; text: string }[];
  calibration: { name: string; rows: number };
  defaults: { field: string; value: string; source: string }[];
  job: Job;
}

export interface PlannedJob {
  rank: number;
  job: Job;
  energy_j: Interval | null;
  duration_s: Interval | null;
  gpu_hours: Interval | null;
  cost: Interval | null;
  carbon_g: Interval | null;
  memory: Memory;
  confidence: { label: Label; text: string };
  expected: { energy_j: number; duration_s: number; gpu_hours: number; cost: number | null; carbon_g: number | null };
  probability_best: number | null;
}

export interface Plans {
  plans: PlannedJob[];
  pareto: number[];
  left_out: { reason: string; count: number; example: string }[];
  evaluated: number;
  searched: number;
  global_batch: number;
}

export interface Comparison {
  rows: PlannedJob[];
  first_before_second: number | null;
}

export interface Offers {
  tp: number[];
  pp: number[];
  dp: { dp: number; gpus: number }[];
  strategy: string[];
  tdp_w: number | null;
  remarks: { warning: boolean; text: string }[];
}

export interface Catalogue {
  models: string[];
  gpus: string[];
  regions: { name: string; title: string; carbon_g_per_kwh: number; year: number; source: string }[];
  fields: { column: string; about: string }[];
  words: Record<string, string[]>;
  launchers: { name: string; title: string; framework: boolean }[];
}

export interface Limited {
  limit_w: number;
  energy_j: Interval;
  duration_s: Interval;
}

export interface Written {
  command: string;
  toml: string;
  python: string;
}

export interface LaunchFile {
  name: string;
  text: string;
  placeholders: string[];
}
