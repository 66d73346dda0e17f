// The planner: what may be chosen, the search in the background, and the plans that nothing beats.

import { badge } from "./answer";
import { Background, Stopped } from "./background";
import { chart } from "./chart";
import { freshId, make, scrolling, table } from "./dom";
import { Problem } from "./engine";
import { JOULES_PER_KWH, SECONDS_PER_HOUR, amount, digits, interval, whole } from "./format";
import type { Question } from "./question";
import { text } from "./strings";
import type { Catalogue, Job, Limited, PlannedJob, Plans } from "./types";

const PLANS = 40;

/** The power limit of a plan: a share of the TDP, to whole watts. */
const watts = (system: Job["system"]): number => Math.round(Number(system["power_limit_w"]));

/** Values of a job's parallelism that need not be stated; data parallelism is what the other degrees leave. */
const UNSTATED: Record<string, unknown> = {
  tp: 1,
  cp: 1,
  ep: 1,
  pp: 1,
  strategy: "single",
  tensor_scope: "blocks",
  schedule: "1f1b",
  virtual_stages: 1,
};

/** Fields that a framework has defaults of, and the degree without which they mean nothing. */
const OF_DEGREE: Record<string, string> = { sequence_parallel: "tp", partition: "pp", context_exchange: "cp" };

/** The question whose job is that of a plan. */
export function planned(question: Question, job: Job): Question {
  const fields = { ...question.fields };
  for (const column of ["dp", "shard_group", "global_batch", "system", "nodes", "gpus_per_node"]) delete fields[column];
  const { workload, parallelism, system } = job;
  const take = (column: string, value: unknown, without?: unknown): void => {
    if (value === undefined || value === null || value === without) delete fields[column];
    else fields[column] = String(value);
  };
  for (const [column, value] of Object.entries(parallelism)) {
    if (column === "dp" || (column === "shard_group" && parallelism["strategy"] !== "hsdp")) continue;
    const degree = OF_DEGREE[column];
    const isMeant = degree === undefined || parallelism[degree] !== 1;
    take(column, isMeant ? value : undefined, UNSTATED[column]);
  }
  take("gpu", system["gpu"]);
  take("gpus", system["gpus"]);
  take("power_limit_w", watts(system));
  take("micro_batch", workload["micro_batch"]);
  take("grad_accum", workload["grad_accum"], 1);
  take("checkpointing", workload["checkpointing"], "none");
  take("precision", workload["precision"]);
  return { ...question, fields };
}

/** What plans are ranked by. */
const expected = ({ expected: of }: PlannedJob, name: string): number | null =>
  ({ energy: of.energy_j, time: of.duration_s, cost: of.cost, carbon: of.carbon_g, "gpu-hours": of.gpu_hours })[name] ?? null;

/** A value of an objective with its unit. */
const shown = (value: number | null, name: string): string => {
  if (value === null) return "";
  const unit = ({ energy: "energy", time: "seconds", carbon: "carbon" } as const)[name];
  return unit ? amount(value, unit) : digits(value);
};

const unitOf = (name: string): { per: number; label: string } =>
  ({
    energy: { per: JOULES_PER_KWH, label: text.axes.energy },
    time: { per: SECONDS_PER_HOUR, label: text.axes.time },
    carbon: { per: 1000, label: `${text.carbon} (kg)` },
  })[name] ?? { per: 1, label: text.objectives[name] ?? name };

export class PlanView {
  readonly element: HTMLElement;
  readonly #settings: Record<string, string>;
  readonly #question: () => Question;
  readonly #use: (question: Question) => void;
  readonly #background: Background;
  readonly #result = make("div");
  readonly #curve = make("div");
  readonly #problem = make("p", { class: "problem", role: "alert" });
  readonly #progress = make("progress", { max: 1, value: 0, hidden: true, "aria-label": text.plan });
  readonly #stop: HTMLButtonElement;

  constructor(catalogue: Catalogue, background: Background, settings: Record<string, string>, question: () => Question, use: (question: Question) => void, changed: () => void) {
    this.#background = background;
    this.#settings = settings;
    this.#question = question;
    this.#use = use;
    const field = (name: string, label: string, input: HTMLInputElement | HTMLSelectElement, initial = ""): HTMLElement => {
      const id = freshId();
      input.id = id;
      input.dataset["plan"] = name;
      input.value = settings[name] ?? initial;
      input.addEventListener("input", () => {
        if (input.value.trim() === "" || input.value === initial) delete settings[name];
        else settings[name] = input.value.trim();
        changed();
      });
      return make("div", { class: "field" }, make("label", { for: id }, label), input);
    };
    const typed = (properties: Record<string, string> = {}): HTMLInputElement => make("input", { type: "text", autocomplete: "off", spellcheck: "false", ...properties });
    const objectives = (): HTMLSelectElement => make("select", {}, ...(catalogue.words["objective"] ?? []).map((of) => make("option", { value: of }, text.objectives[of] ?? of)));
    this.#stop = make("button", { type: "button", disabled: true, onclick: () => this.#background.stop() }, text.stopPlan);
    this.element = make(
      "section",
      { class: "wide", "aria-labelledby": "plan" },
      make("h2", { id: "plan" }, text.plan),
      make("p", { class: "quiet" }, text.planHint),
      make(
        "div",
        { class: "two no-print" },
        field("gpus", text.planGpus, typed({ placeholder: "a100-sxm4-80gb, h100-sxm5-80gb" })),
        field("counts", text.planCounts, typed({ placeholder: "8..64" })),
        field("minimise", text.planMinimise, objectives(), "energy"),
        field("against", text.planAgainst, objectives(), "time"),
        field("deadline", text.planDeadline, typed({ inputmode: "decimal" })),
        field("budget", text.planBudget, typed({ inputmode: "decimal" })),
        field("carbon", text.planCarbon, typed({ inputmode: "decimal" })),
      ),
      make(
        "div",
        { class: "buttons" },
        make("button", { type: "button", class: "main", onclick: () => void this.#search() }, text.startPlan),
        this.#stop,
        make("button", { type: "button", onclick: () => void this.#showCurve() }, text.showCurve),
      ),
      this.#progress,
      this.#problem,
      this.#result,
      this.#curve,
    );
  }

  #number(name: string, per = 1): number | undefined {
    const value = this.#settings[name];
    if (value === undefined) return undefined;
    const number = Number(value);
    if (!Number.isFinite(number) || number <= 0) throw new Problem(`${name} is ${value}, but it must be a number above 0`, null);
    return number * per;
  }

  async #search(): Promise<void> {
    const { minimise = "energy", against = "time" } = this.#settings;
    await this.#shown(async () => {
      const gpus = (this.#settings["gpus"] ?? "").split(",").map((of) => of.trim()).filter(Boolean);
      const request = {
        question: this.#question(),
        gpus,
        counts: this.#settings["counts"],
        objective: minimise,
        pareto_with: against,
        deadline_s: this.#number("deadline", SECONDS_PER_HOUR),
        budget: this.#number("budget"),
        max_carbon_g: this.#number("carbon", 1000),
        top: PLANS,
      };
      this.#progress.hidden = false;
      this.#progress.value = 0;
      this.#stop.disabled = false;
      const found = await this.#background.ask<Plans>({ kind: "plan", body: JSON.stringify(request) }, (share) => (this.#progress.value = share));
      this.#showPlans(found.answer, found.seconds, minimise, against);
    });
  }

  /** Runs a request, and shows its problem. */
  async #shown(run: () => Promise<void>): Promise<void> {
    this.#problem.textContent = "";
    try {
      await run();
    } catch (error) {
      if (error instanceof Stopped) this.#problem.textContent = text.stopped;
      else if (error instanceof Problem) this.#problem.textContent = text.problem(error.message);
      else throw error;
    } finally {
      this.#progress.hidden = true;
      this.#stop.disabled = true;
    }
  }

  #showPlans({ plans, searched, evaluated, left_out }: Plans, seconds: number, minimise: string, against: string): void {
    const use = (plan: PlannedJob): void => this.#use(planned(this.#question(), plan.job));
    const row = (plan: PlannedJob): (Node | string)[] => {
      const { system, parallelism, workload } = plan.job;
      const price = plan.cost ? digits(plan.cost.estimate) : "";
      return [
        String(plan.rank),
        `${system["gpus"]} × ${system["gpu"]}`,
        String(parallelism["strategy"]),
        ["dp", "tp", "pp", "cp", "ep"].map((degree) => parallelism[degree] ?? 1).join(" × "),
        `${workload["micro_batch"]} × ${workload["grad_accum"]}`,
        String(workload["checkpointing"]),
        `${watts(system)} W`,
        shown(expected(plan, minimise), minimise),
        plan.energy_j ? `${amount(plan.energy_j.estimate, "energy")} (${interval(plan.energy_j, "energy")})` : "",
        plan.duration_s ? amount(plan.duration_s.estimate, "seconds") : "",
        price,
        plan.carbon_g ? amount(plan.carbon_g.estimate, "carbon") : "",
        `${digits(plan.memory.peak_gib.estimate)} GiB`,
        badge(plan.confidence.label),
        make("button", { type: "button", onclick: () => use(plan), "aria-label": `${text.use} ${plan.rank}` }, text.use),
      ];
    };
    const header = ["", text.gpu, text.strategy, "dp × tp × pp × cp × ep", `${text.microBatch} × steps`, text.checkpointing, text.powerLimit, text.expected(text.objectives[minimise] ?? minimise), text.energy, text.time, text.cost, text.carbon, text.memory, text.basis, ""];
    const into = make("div", { class: "chart", role: "img", "aria-label": `${text.objectives[minimise]} × ${text.objectives[against]}` });
    this.#result.replaceChildren(
      make("p", { role: "status", "data-searched": searched, "data-seconds": seconds }, text.planned(whole(evaluated), whole(searched), amount(seconds, "seconds"), whole(searched / seconds))),
      into,
      scrolling(text.plan, table(text.plan, header, plans.map(row))),
      left_out.length === 0
        ? ""
        : make("details", {}, make("summary", {}, text.leftOut), scrolling(text.leftOut, table(text.leftOut, [text.reason, text.number, text.first], left_out.map((of) => [of.reason, whole(of.count), of.example])))),
    );
    const [across, up] = [unitOf(against), unitOf(minimise)];
    const points = plans
      .flatMap((plan) => {
        const [x, y] = [expected(plan, against), expected(plan, minimise)];
        return x && y ? [{ plan, x: x / across.per, y: y / up.per }] : [];
      })
      .sort((a, b) => a.x - b.x);
    chart(into, across.label, points.map((of) => of.x), [{ label: up.label, values: points.map((of) => of.y), scale: "y", points: true }], (at) => {
      const point = points[at];
      if (point) use(point.plan);
    });
  }

  async #showCurve(): Promise<void> {
    await this.#shown(async () => {
      const { answer: curve } = await this.#background.ask<Limited[]>({ kind: "powerCurve", body: JSON.stringify(this.#question()) });
      const into = make("div", { class: "chart", role: "img", "aria-label": text.curve });
      const energy = curve.map((of) => of.energy_j.estimate / JOULES_PER_KWH);
      const time = curve.map((of) => of.duration_s.estimate / SECONDS_PER_HOUR);
      const rows = curve.map((of) => [`${Math.round(of.limit_w)} W`, amount(of.energy_j.estimate, "energy"), amount(of.duration_s.estimate, "seconds")]);
      this.#curve.replaceChildren(
        make("h3", {}, text.curve),
        into,
        scrolling(text.curve, table(text.curve, [text.powerLimit, text.energy, text.time], rows)),
      );
      chart(into, text.axes.limit, curve.map((of) => of.limit_w), [
        { label: text.axes.energy, values: energy, scale: "energy", points: true },
        { label: text.axes.time, values: time, scale: "time", points: true },
      ]);
    });
  }
}
