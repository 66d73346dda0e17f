// What leaves the page: copies, downloads, a print, and the files that start the run.

import { breakdowns, rows } from "./answer";
import { freshId, make, save } from "./dom";
import { Problem, launch, written } from "./engine";
import { amount } from "./format";
import type { Question } from "./question";
import { citation, text } from "./strings";
import type { Answer, Catalogue } from "./types";

const quoted = (cell: string): string => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

/** The answer as a table: a quantity a row, in base units. */
export function csv(answer: Answer): string {
  const { energy_j, duration_s, cost, carbon_g } = answer;
  const all = [
    { label: "energy_j", of: energy_j },
    { label: "duration_s", of: duration_s },
    { label: "cost", of: cost },
    { label: "carbon_g", of: carbon_g },
    ...rows(answer),
  ];
  const lines = all.flatMap(({ label, of }) => (of ? [[quoted(label), of.estimate, of.lower, of.upper].join(",")] : []));
  return ["quantity,estimate,lower,upper", ...lines].join("\n") + "\n";
}

/** Where time, energy and memory go, as a picture. */
export function svg(answer: Answer): string {
  const [width, row, left, right] = [640, 22, 170, 90];
  const escaped = (of: string): string => of.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  let y = 10;
  const drawn = breakdowns(answer).flatMap(({ title, unit, parts }) => {
    const most = Math.max(...parts.map((part) => part.value));
    y += 2 * row;
    const heading = `<text x="0" y="${y - 8}" font-weight="bold">${escaped(title)}</text>`;
    const bars = parts.map(({ name, value }) => {
      y += row;
      const long = ((width - left - right) * value) / most;
      return (
        `<text x="0" y="${y - 6}">${escaped(name)}</text><rect x="${left}" y="${y - 17}" width="${long.toFixed(1)}" height="13" fill="#5c6fdc"/>` +
        `<text x="${width}" y="${y - 6}" text-anchor="end">${escaped(amount(value, unit))}</text>`
      );
    });
    return [heading, ...bars];
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y + 10}" font-family="system-ui, sans-serif" font-size="13" fill="#1b1d24"><rect width="100%" height="100%" fill="#fff"/>${drawn.join("")}</svg>\n`;
}

export class ShareView {
  readonly element: HTMLElement;
  readonly #status = make("p", { class: "quiet", role: "status" });
  readonly #text = make("textarea", { rows: 6, readonly: true, hidden: true, "aria-label": text.share });
  readonly #problem = make("p", { class: "problem", role: "alert" });
  readonly #files = make("ul", { class: "files" });
  readonly #question: () => Question;
  readonly #ready: () => Promise<void>;

  constructor(catalogue: Catalogue, question: () => Question, answer: () => { answer: Answer; json: string } | null, ready: () => Promise<void>) {
    this.#question = question;
    this.#ready = ready;
    const copies: Record<string, () => string> = {
      link: () => location.href,
      command: () => written(question()).command,
      toml: () => written(question()).toml,
      python: () => written(question()).python,
      citation: () => citation,
    };
    const downloads: [string, string, string, (of: { answer: Answer; json: string }) => string][] = [
      ["JSON", "wattlaw.json", "application/json", (of) => of.json],
      ["CSV", "wattlaw.csv", "text/csv", (of) => csv(of.answer)],
      ["SVG", "wattlaw.svg", "image/svg+xml", (of) => svg(of.answer)],
    ];
    const download = (name: string, type: string, content: (of: { answer: Answer; json: string }) => string): void => {
      const of = answer();
      if (of) save(name, type, content(of));
    };
    const [frameworkId, clusterId] = [freshId(), freshId()];
    const framework = make("select", { id: frameworkId }, make("option", { value: "" }, text.none), ...this.#launchers(catalogue, true));
    const cluster = make("select", { id: clusterId }, ...this.#launchers(catalogue, false));
    this.element = make(
      "section",
      { class: "wide no-print", "aria-labelledby": "share" },
      make("h2", { id: "share" }, text.share),
      make(
        "div",
        { class: "buttons" },
        ...Object.entries(copies).map(([name, content]) => make("button", { type: "button", "data-copy": name, onclick: () => void this.#copy(text.copies[name] ?? name, content) }, text.copy(text.copies[name] ?? name))),
        ...downloads.map(([title, name, type, content]) => make("button", { type: "button", onclick: () => download(name, type, content) }, text.download(title))),
        make("button", { type: "button", onclick: () => window.print() }, text.print),
      ),
      this.#status,
      this.#text,
      make("h3", {}, text.launch),
      make("div", { class: "buttons" }, make("label", { for: frameworkId }, text.launchFor), framework, make("label", { for: clusterId }, text.launchOn), cluster, make("button", { type: "button", onclick: () => void this.#launch([framework.value, cluster.value].filter(Boolean)) }, text.showLaunch)),
      this.#problem,
      this.#files,
    );
  }

  #launchers(catalogue: Catalogue, framework: boolean): HTMLOptionElement[] {
    return catalogue.launchers.filter((of) => of.framework === framework).map((of) => make("option", { value: of.name }, of.title));
  }

  async #copy(what: string, content: () => string): Promise<void> {
    this.#problem.textContent = "";
    await this.#ready();
    try {
      const copied = content();
      this.#text.value = copied;
      this.#text.hidden = false;
      await navigator.clipboard.writeText(copied);
      this.#status.textContent = text.copied(what);
    } catch (error) {
      if (error instanceof Problem) this.#problem.textContent = text.problem(error.message);
      else this.#status.textContent = text.copyFailed;
    }
  }

  async #launch(launchers: string[]): Promise<void> {
    await this.#ready();
    this.#problem.textContent = "";
    this.#files.replaceChildren();
    try {
      const files = launch(this.#question(), launchers);
      this.#files.replaceChildren(
        ...files.map(({ name, text: content, placeholders }) =>
          make(
            "li",
            {},
            make("span", {}, make("code", {}, name), " ", make("span", { class: "quiet" }, ...placeholders.map((of) => text.setThis(of) + ". "))),
            make("button", { type: "button", "aria-label": text.download(name), onclick: () => save(name, "text/plain", content) }, text.download("")),
          ),
        ),
      );
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#problem.textContent = text.problem(error.message);
    }
  }
}
