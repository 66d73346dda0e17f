// The form of a question: a control for each common field, and rows for any other one.

import { freshId, make } from "./dom";
import type { Problem } from "./engine";
import { digits } from "./format";
import type { DroppedFile, Question } from "./question";
import { text } from "./strings";
import type { Answer, Catalogue, Offers } from "./types";

/** A labelled input that shows and sets a part of the question. */
interface Control {
  /** Columns of the fields that it sets. */
  columns: string[];
  element: HTMLElement;
  input: HTMLInputElement | HTMLSelectElement;
  problem: HTMLElement;
  show: (question: Question, answer: Answer | null, offers: Offers | null) => void;
}

type Option = [value: string, label: string];

/** Most bytes of a dropped file: no configuration has so many. */
const MOST_BYTES = 1 << 20;

const fill = (select: HTMLSelectElement, options: Option[], value: string): void => {
  const all = options.some(([of]) => of === value) ? options : [...options, [value, value] as Option];
  const is = [...select.options].map((of) => `${of.value} ${of.textContent}`).join("\n");
  if (is !== all.map(([of, label]) => `${of} ${label}`).join("\n")) select.replaceChildren(...all.map(([of, label]) => make("option", { value: of }, label)));
  select.value = value;
};

export class Form {
  readonly element: HTMLElement;
  #question: Question;
  #answer: Answer | null = null;
  #offers: Offers | null = null;
  readonly #controls: Control[] = [];
  readonly #files = make("ul", { class: "files" });
  readonly #fileProblem = make("p", { class: "problem", role: "alert" });
  readonly #remarks = make("ul", { class: "quiet" });
  readonly #others = make("div");
  readonly #product = make("p", { class: "quiet" });
  readonly #catalogue: Catalogue;
  readonly #changed: () => void;

  /** `changed` is called after each change of the question, which the form changes in place. */
  constructor(catalogue: Catalogue, question: Question, changed: () => void) {
    this.#catalogue = catalogue;
    this.#question = question;
    this.#changed = changed;
    const words = (column: string): Option[] => [["", this.#open(column)], ...(catalogue.words[column] ?? []).map((word): Option => [word, word])];
    const regions: Option[] = [["", text.noRegion], ...catalogue.regions.map((of): Option => [of.name, `${of.title} (${digits(of.carbon_g_per_kwh)} g/kWh)`])];
    this.element = make(
      "section",
      { "aria-labelledby": "ask" },
      make("h2", { id: "ask" }, text.ask),
      make(
        "fieldset",
        {},
        make("legend", {}, text.model),
        this.#typed("model", text.model, { placeholder: text.modelHint }, catalogue.models),
        this.#drop(),
        this.#files,
        this.#fileProblem,
        this.#remarks,
      ),
      make(
        "fieldset",
        {},
        make("legend", {}, text.data),
        this.#amount(),
        this.#typed("examples", text.examples),
        this.#typed("seq_len", text.sequence, { inputmode: "numeric" }),
        this.#typed("micro_batch", text.microBatch, { inputmode: "numeric" }, [], () => this.#open("micro_batch")),
        this.#typed("global_batch", text.globalBatch, { inputmode: "numeric" }, [], () => this.#globalBatch()),
      ),
      make(
        "fieldset",
        {},
        make("legend", {}, text.machine),
        this.#typed("gpu", text.gpu, { placeholder: text.gpuHint }, catalogue.gpus),
        this.#typed("gpus", text.gpus, { type: "number", min: 1, inputmode: "numeric" }),
        this.#powerLimit(),
        this.#select("region", text.region, () => regions),
        this.#typed("price_per_gpu_hour", text.price, { inputmode: "decimal", placeholder: text.notStated }),
        this.#typed("pue", text.pue, { inputmode: "decimal", placeholder: text.notStated }),
      ),
      make(
        "fieldset",
        {},
        make("legend", {}, text.how),
        this.#method(),
        this.#typed("lora_rank", text.rank, { inputmode: "numeric" }),
        this.#select("strategy", text.strategy, () => [["", this.#open("strategy")], ...(this.#offers?.strategy ?? []).map((of): Option => [of, of])]),
        this.#sharing("tp", text.tp),
        this.#sharing("pp", text.pp),
        this.#dataParallel(),
        this.#product,
        this.#select("precision", text.precision, () => words("precision")),
        this.#select("checkpointing", text.checkpointing, () => words("checkpointing")),
        this.#select("optimizer", text.optimizer, () => words("optimizer")),
        this.#select("framework", text.framework, () => words("framework")),
      ),
      make(
        "fieldset",
        {},
        make("legend", {}, text.shown),
        this.#select("scope", text.covers, () => (catalogue.words["scope"] ?? []).map((of): Option => [of, text.scopes[of] ?? of])),
        this.#select("level", text.level, () => ["0.5", "0.8", "0.9", "0.95", "0.99"].map((of): Option => [of, `${100 * Number(of)} %`])),
      ),
      make("details", {}, make("summary", {}, text.more), this.#others, this.#add()),
    );
    this.show(question);
  }

  /** Shows another question. */
  show(question: Question): void {
    this.#question = question;
    this.#refresh();
  }

  /** Shows what was answered, where the question leaves a field open, and what may be chosen. */
  answered(answer: Answer | null, offers: Offers | null): void {
    this.#answer = answer;
    this.#offers = offers ?? this.#offers;
    this.#remarks.replaceChildren(...(offers?.remarks ?? []).map((of) => make("li", {}, of.text)));
    this.#refresh();
  }

  /** Puts a problem beside its field. Returns whether there is such a field. */
  problem(problem: Problem | null): boolean {
    let placed = false;
    for (const control of this.#controls) {
      const isHere: boolean = problem !== null && problem.field !== null && control.columns.includes(problem.field) && !placed;
      placed ||= isHere;
      control.problem.textContent = isHere ? text.problem(problem?.message ?? "") : "";
      if (isHere) control.input.setAttribute("aria-invalid", "true");
      else control.input.removeAttribute("aria-invalid");
    }
    return placed;
  }

  /** Takes files, by dropping or by choosing. */
  async take(files: Iterable<File>): Promise<void> {
    this.#fileProblem.textContent = "";
    const taken: DroppedFile[] = [];
    for (const file of files) {
      if (file.size > MOST_BYTES) {
        this.#fileProblem.textContent = text.problem(text.fileTooLarge(file.name));
        continue;
      }
      try {
        taken.push({ name: file.name, text: new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer()) });
      } catch {
        this.#fileProblem.textContent = text.problem(text.notText(file.name));
      }
    }
    if (taken.length === 0) return;
    const kept = (this.#question.files ?? []).filter((old) => !taken.some((of) => of.name === old.name));
    this.#question.files = [...kept, ...taken];
    // the model is the files' now; its field would go before it
    delete this.#question.fields["model"];
    this.#refresh();
    this.#changed();
  }

  #refresh(): void {
    for (const control of this.#controls) control.show(this.#question, this.#answer, this.#offers);
    this.#showProduct();
    const files = this.#question.files ?? [];
    this.#files.replaceChildren(
      ...files.map((file) =>
        make(
          "li",
          {},
          file.name,
          make("button", {
            type: "button",
            "aria-label": text.remove(file.name),
            onclick: () => {
              this.#question.files = files.filter((of) => of !== file);
              if (this.#question.files.length === 0) delete this.#question.files;
              this.#refresh();
              this.#changed();
            },
          }, "×"),
        ),
      ),
    );
    this.#showOthers();
  }

  /** What is taken where the question leaves a field open. */
  #open(column: string): string {
    const taken = this.#answer?.defaults.find((of) => of.field === column);
    return taken ? text.taken(taken.value, taken.source) : text.open;
  }

  #globalBatch(): string {
    const { micro_batch, grad_accum } = this.#answer?.job.workload ?? {};
    const sequences = Number(micro_batch) * Number(grad_accum) * Number(this.#answer?.job.parallelism["dp"]);
    return Number.isFinite(sequences) ? text.sequences(sequences) : "";
  }

  #set(column: string, value: string): void {
    const trimmed = value.trim();
    if (trimmed === "") delete this.#question.fields[column];
    else this.#question.fields[column] = trimmed;
  }

  #control(columns: string[], label: string, input: Control["input"], show: Control["show"], beside?: HTMLElement): HTMLElement {
    const id = freshId();
    const problem = make("p", { class: "problem", id: `${id}p`, "aria-live": "polite" });
    input.id = id;
    input.setAttribute("aria-describedby", problem.id);
    input.dataset["column"] = columns[0] ?? "";
    const element = make("div", { class: "field" }, make("label", { for: id }, label), beside ?? input, problem);
    this.#controls.push({ columns, element, input, problem, show });
    return element;
  }

  /** A field that is typed, with suggestions, and what is taken where it is empty. */
  #typed(column: string, label: string, properties: Record<string, string | number> = {}, suggestions: string[] = [], open?: () => string): HTMLElement {
    const list = suggestions.length > 0 ? freshId() : undefined;
    const input = make("input", { type: "text", autocomplete: "off", spellcheck: "false", list, ...properties });
    input.addEventListener("input", () => {
      this.#set(column, input.value);
      this.#changed();
    });
    const show: Control["show"] = (question) => {
      // what is being typed stays as it is
      const value = question.fields[column] ?? "";
      if (input.value.trim() !== value) input.value = value;
      if (open) input.placeholder = open();
      const isWrong = input.getAttribute("aria-invalid") === "true";
      if (column === "examples") field.hidden = question.fields["epochs"] === undefined && value === "" && !isWrong;
      if (column === "lora_rank") field.hidden = value === "" && !isWrong;
    };
    const field = this.#control([column], label, input, show);
    if (list) field.append(make("datalist", { id: list }, ...suggestions.map((of) => make("option", { value: of }))));
    return field;
  }

  #select(column: string, label: string, options: () => Option[]): HTMLElement {
    const input = make("select");
    const value = (question: Question): string => {
      if (column === "region") return question.region ?? "";
      if (column === "scope") return question.scope ?? "gpu";
      if (column === "level") return String(question.level ?? 0.95);
      return question.fields[column] ?? "";
    };
    input.addEventListener("change", () => {
      if (column === "region") this.#question.region = input.value || undefined;
      else if (column === "scope") this.#question.scope = input.value === "gpu" ? undefined : input.value;
      else if (column === "level") this.#question.level = input.value === "0.95" ? undefined : Number(input.value);
      else this.#set(column, input.value);
      this.#changed();
    });
    return this.#control([column], label, input, (question) => fill(input, options(), value(question)));
  }

  #amount(): HTMLElement {
    const kinds = ["tokens", "steps", "epochs"];
    const input = make("input", { type: "text", autocomplete: "off", spellcheck: "false" });
    const kind = make("select", { "aria-label": text.amount }, ...kinds.map((of) => make("option", { value: of }, text.amountOf[of] ?? of)));
    const set = (): void => {
      for (const of of kinds) delete this.#question.fields[of];
      this.#set(kind.value, input.value);
      this.#refresh();
      this.#changed();
    };
    input.addEventListener("input", set);
    kind.addEventListener("change", set);
    const show: Control["show"] = (question) => {
      const stated = kinds.find((of) => question.fields[of] !== undefined);
      if (stated !== undefined) kind.value = stated;
      const value = stated === undefined ? "" : (question.fields[stated] ?? "");
      if (input.value.trim() !== value) input.value = value;
    };
    return this.#control(kinds, text.amount, input, show, make("span", { class: "pair" }, input, kind));
  }

  #slider(columns: string[], label: string, set: (at: number) => void, show: (slider: HTMLInputElement, output: HTMLOutputElement) => void): HTMLElement {
    const slider = make("input", { type: "range", min: 0, max: 0, step: 1 });
    const output = make("output");
    slider.addEventListener("input", () => {
      set(Number(slider.value));
      show(slider, output);
      this.#changed();
    });
    return this.#control(columns, label, slider, () => show(slider, output), make("span", { class: "slider" }, slider, output));
  }

  /** A degree of parallelism: a slider over the values that are valid beside the rest. */
  #degree(column: "tp" | "pp" | "dp", label: string, values: () => number[], now: () => number, set: (value: number) => void): HTMLElement {
    return this.#slider([column], label, (at) => set(values()[at] ?? 1), (slider, output) => {
      const value = this.#question.fields[column] ?? String(now());
      const offered = values();
      slider.max = String(Math.max(0, offered.length - 1));
      slider.value = String(Math.max(0, offered.indexOf(Number(value))));
      slider.disabled = offered.length < 2;
      slider.setAttribute("aria-valuetext", value);
      output.textContent = value;
    });
  }

  /** Tensor or pipeline parallelism, which share the accelerators out. */
  #sharing(column: "tp" | "pp", label: string): HTMLElement {
    const set = (value: number): void => {
      if (value === 1) delete this.#question.fields[column];
      else this.#question.fields[column] = String(value);
      // data parallelism takes what is left
      delete this.#question.fields["dp"];
    };
    return this.#degree(column, label, () => this.#offers?.[column] ?? [1], () => Number(this.#answer?.job.parallelism[column] ?? 1), set);
  }

  /** Data parallelism, which changes how many accelerators there are. */
  #dataParallel(): HTMLElement {
    const offered = (): Offers["dp"] => this.#offers?.dp ?? [];
    const now = (): number => {
      const gpus = Number(this.#question.fields["gpus"]);
      return offered().find((of) => of.gpus === gpus)?.dp ?? Number(this.#answer?.job.parallelism["dp"] ?? 1);
    };
    const set = (value: number): void => {
      const found = offered().find((of) => of.dp === value);
      if (found) this.#question.fields["gpus"] = String(found.gpus);
      delete this.#question.fields["dp"];
    };
    return this.#degree("dp", text.dp, () => offered().map((of) => of.dp), now, set);
  }

  #showProduct(): void {
    const { gpus } = this.#answer?.job.system ?? {};
    const { dp, tp, pp, cp } = this.#answer?.job.parallelism ?? {};
    this.#product.textContent = this.#answer ? text.product(Number(gpus), [dp, tp, pp, cp].map(Number)) : "";
  }

  #powerLimit(): HTMLElement {
    const tdp = (): number => Math.round(this.#offers?.tdp_w ?? 0);
    const set = (watts: number): void => {
      if (watts >= tdp()) delete this.#question.fields["power_limit_w"];
      else this.#question.fields["power_limit_w"] = String(watts);
    };
    return this.#slider(["power_limit_w"], text.powerLimit, set, (slider, output) => {
      const watts = Number(this.#question.fields["power_limit_w"] ?? tdp());
      slider.min = String(Math.min(watts, Math.round(0.4 * tdp())));
      slider.max = String(Math.max(watts, tdp()));
      slider.value = String(watts);
      slider.disabled = tdp() === 0;
      output.textContent = `${watts} W`;
      slider.setAttribute("aria-valuetext", output.textContent);
    });
  }

  #method(): HTMLElement {
    const input = make("select", {}, ...Object.entries(text.methods).map(([value, label]) => make("option", { value }, label)));
    input.addEventListener("change", () => {
      const { fields } = this.#question;
      for (const column of ["quantization", ...(input.value === "full" ? ["lora_rank", "lora_targets"] : [])]) delete fields[column];
      if (input.value !== "full") {
        fields["lora_rank"] ??= "16";
        fields["lora_targets"] ??= "all-linear";
      }
      if (input.value === "qlora") fields["quantization"] = "nf4";
      this.#refresh();
      this.#changed();
    });
    return this.#control(["lora_targets", "quantization"], text.method, input, ({ fields }) => {
      const quantized = fields["quantization"] !== undefined && fields["quantization"] !== "none";
      input.value = fields["lora_rank"] === undefined ? "full" : quantized ? "qlora" : "lora";
    });
  }

  #drop(): HTMLElement {
    const input = make("input", { type: "file", multiple: true, class: "hidden" });
    input.addEventListener("change", () => {
      void this.take(input.files ?? []);
      input.value = "";
    });
    const zone = make("label", { class: "drop" }, `${text.files} — ${text.drop}`, input);
    zone.addEventListener("dragover", (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
    zone.addEventListener("dragleave", () => zone.classList.remove("over"));
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      void this.take(event.dataTransfer?.files ?? []);
    });
    return zone;
  }

  /** Rows for fields that have no control of their own. */
  #showOthers(): void {
    const own = new Set(this.#controls.flatMap((control) => (control.element.parentElement === this.#others ? [] : control.columns)));
    const wanted = Object.keys(this.#question.fields).filter((column) => !own.has(column));
    const there = this.#controls.filter((control) => control.element.parentElement === this.#others);
    for (const control of there) {
      if (wanted.includes(control.columns[0] ?? "")) continue;
      control.element.remove();
      this.#controls.splice(this.#controls.indexOf(control), 1);
    }
    for (const column of wanted.filter((of) => !there.some((control) => control.columns[0] === of))) this.#other(column);
  }

  #other(column: string): HTMLElement {
    const about = this.#catalogue.fields.find((field) => field.column === column)?.about;
    const element = this.#typed(column, column, about ? { title: about } : {});
    this.#others.append(element);
    const control = this.#controls.find((of) => of.element === element);
    control?.show(this.#question, this.#answer, this.#offers);
    return element;
  }

  #add(): HTMLElement {
    const own = new Set(this.#controls.flatMap((control) => control.columns));
    const columns = this.#catalogue.fields.filter((field) => !own.has(field.column));
    const select = make("select", { "aria-label": text.moreField }, ...columns.map((field) => make("option", { value: field.column, title: field.about }, field.column)));
    const add = (): void => {
      const there = this.#controls.find((control) => control.columns.includes(select.value));
      (there?.element ?? this.#other(select.value)).querySelector("input")?.focus();
    };
    return make("div", { class: "pair" }, select, make("button", { type: "button", onclick: add }, text.moreAdd));
  }
}
