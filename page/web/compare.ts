// Up to six runs side by side.

import { badge } from "./answer";
import { make, scrolling, table } from "./dom";
import { Problem, answer, compare } from "./engine";
import { amount, digits, interval } from "./format";
import type { UnitName } from "./format";
import { MOST_ALTERNATIVES } from "./question";
import type { Question } from "./question";
import { text } from "./strings";
import type { Answer, Interval, PlannedJob } from "./types";

export class CompareView {
  readonly element: HTMLElement;
  readonly #alternatives: Question[];
  readonly #question: () => Question;
  readonly #load: (question: Question) => void;
  readonly #changed: () => void;
  readonly #ready: () => Promise<void>;
  readonly #problem = make("p", { class: "problem", role: "alert" });
  readonly #body = make("div");

  constructor(alternatives: Question[], question: () => Question, load: (question: Question) => void, changed: () => void, ready: () => Promise<void>) {
    this.#alternatives = alternatives;
    this.#question = question;
    this.#load = load;
    this.#changed = changed;
    this.#ready = ready;
    this.element = make(
      "section",
      { class: "wide", "aria-labelledby": "compare" },
      make("h2", { id: "compare" }, text.compare),
      make("p", { class: "quiet no-print" }, text.keepHint),
      make("div", { class: "buttons" }, make("button", { type: "button", onclick: () => void this.#keep() }, text.keep)),
      this.#problem,
      this.#body,
    );
    this.show();
  }

  async #keep(): Promise<void> {
    await this.#ready();
    this.#problem.textContent = "";
    if (this.#alternatives.length >= MOST_ALTERNATIVES) {
      this.#problem.textContent = text.full;
      return;
    }
    const question = structuredClone(this.#question());
    try {
      answer(question);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#problem.textContent = text.problem(error.message);
      return;
    }
    this.#alternatives.push(question);
    this.show();
    this.#changed();
  }

  #remove(question: Question): void {
    this.#alternatives.splice(this.#alternatives.indexOf(question), 1);
    this.show();
    this.#changed();
  }

  show(): void {
    const found: { question: Question; answer: Answer | null; problem: string }[] = this.#alternatives.map((question) => {
      try {
        return { question, answer: answer(question), problem: "" };
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        return { question, answer: null, problem: text.problem(error.message) };
      }
    });
    if (found.length === 0) {
      this.#body.replaceChildren();
      return;
    }
    const ranked = this.#ranked(found.every((of) => of.answer));
    const of = (label: string, value: (answer: Answer) => Interval | null, unit: UnitName): (Node | string)[] => [
      label,
      ...found.map(({ answer }) => {
        const is = answer && value(answer);
        return is ? make("span", {}, amount(is.estimate, unit), make("br"), make("span", { class: "quiet" }, interval(is, unit))) : text.notComputed;
      }),
    ];
    const names = found.map(({ question, answer, problem }) => {
      const fields = answer?.job;
      const named = fields ? `${fields.model["name"]}, ${fields.system["gpus"]} × ${fields.system["gpu"]}, ${fields.parallelism["strategy"]}` : (question.fields["model"] ?? text.run);
      return make("span", {}, named, problem ? make("span", { class: "problem" }, problem) : null);
    });
    const share = (answer: Answer): string => {
      const row = ranked.find((row) => JSON.stringify(row.job) === JSON.stringify(answer.job));
      return row?.probability_best === null || row === undefined ? text.notComputed : `${Math.round(100 * row.probability_best)} %`;
    };
    const rows = [
      of(text.energy, (a) => a.energy_j, "energy"),
      of(text.time, (a) => a.duration_s, "seconds"),
      of(text.carbon, (a) => a.carbon_g, "carbon"),
      [text.cost, ...found.map(({ answer }) => (answer?.cost ? `${digits(answer.cost.estimate)} ${answer.currency ?? ""}` : text.notComputed))],
      of(text.gpuHours, (a) => a.gpu_hours, "hours"),
      of(text.throughput, (a) => a.tokens_per_s, "rate"),
      of(text.mfu, (a) => a.mfu, "share"),
      [text.memory, ...found.map(({ answer }) => (answer ? `${digits(answer.memory.peak_gib.estimate)} GiB, ${answer.memory.fits_word}` : text.notComputed))],
      [text.basis, ...found.map(({ answer }) => (answer ? badge(answer.confidence.label) : text.notComputed))],
      [text.best, ...found.map(({ answer }) => (answer ? share(answer) : text.notComputed))],
      [
        "",
        ...found.map(({ question }, at) =>
          make(
            "span",
            { class: "buttons" },
            make("button", { type: "button", "aria-label": `${text.load} ${at + 1}`, onclick: () => this.#load(structuredClone(question)) }, text.load),
            make("button", { type: "button", "aria-label": `${text.removeAlternative} ${at + 1}`, onclick: () => this.#remove(question) }, text.removeAlternative),
          ),
        ),
      ],
    ];
    this.#body.replaceChildren(scrolling(text.compare, table(text.compare, [text.quantity, ...names], rows)));
  }

  #ranked(valid: boolean): PlannedJob[] {
    return valid && this.#alternatives.length > 1 ? compare(this.#alternatives).rows : [];
  }
}
