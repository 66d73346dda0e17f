// Elements from values. Text is only ever set as text, so what a file or an address holds is never read as HTML.

type Child = Node | string | null | undefined;

type Properties = Record<string, string | number | boolean | EventListener | undefined>;

/** An element with attributes (`onclick` and the like are listeners) and children. */
export function make<K extends keyof HTMLElementTagNameMap>(tag: K, properties: Properties = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A table with a header row; the first cell of each row is its header. */
export function table(caption: string, header: Child[], rows: Child[][], properties: Properties = {}): HTMLTableElement {
  return make(
    "table",
    properties,
    make("caption", { class: "hidden" }, caption),
    make("thead", {}, make("tr", {}, ...header.map((cell) => make("th", { scope: "col" }, cell)))),
    make(
      "tbody",
      {},
      ...rows.map((row) => make("tr", {}, ...row.map((cell, at) => (at === 0 ? make("th", { scope: "row" }, cell) : make("td", {}, cell))))),
    ),
  );
}

/** A table that scrolls by itself where it is wider than the page, also by keyboard. */
export const scrolling = (label: string, child: HTMLElement): HTMLElement => make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, child);

let ids = 0;
export const freshId = (): string => `e${++ids}`;

/** Saves a text as a file. */
export function save(name: string, type: string, content: string): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  make("a", { href: url, download: name }).click();
  // the browser reads the address after the click
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
