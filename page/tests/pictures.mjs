// Pictures of the page, which the documentation shows: what a visitor sees is compared with them.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import pixelmatch from "pixelmatch";
import { PNG } from "pngjs";
import { ROOT } from "./browser.mjs";

const KEPT = join(ROOT, "docs/img");
const FAILED = join(ROOT, "target/page-pictures");

/**
 * The share of pixels that may differ. A law that is fitted anew changes digits and the length of bars, and a plan's seconds are never the
 * same: with those about half a percent differs. A lost style, a colour or a line more moves whole blocks, many percent.
 */
const DIFFERENT = 0.02;

/** How far a colour may be off, of 1: a processor may round the edges of letters otherwise. */
const COLOUR = 0.15;

/** One font on every machine, instead of the system's own; its style needs a page that takes styles (`bypassCSP`). */
export async function withFixedFont(page) {
  const file = createRequire(import.meta.url).resolve("@fontsource-variable/inter/files/inter-latin-wght-normal.woff2");
  const font = readFileSync(file).toString("base64");
  await page.addStyleTag({
    content: `@font-face { font-family: Fixed; font-weight: 100 900; src: url(data:font/woff2;base64,${font}) } body { font-family: Fixed, sans-serif }`,
  });
  await page.evaluate(() => Promise.all([document.fonts.load("16px Fixed"), document.fonts.load("bold 16px Fixed")]));
}

/** Compares a screenshot with the picture of that name, or writes it there where WATTLAW_WRITE_DOCS is set. Returns what is wrong. */
export async function compared(page, name, options = {}) {
  const taken = PNG.sync.read(await page.screenshot({ animations: "disabled", caret: "hide", scale: "css", ...options }));
  const written = PNG.sync.write(taken, { colorType: 2, deflateLevel: 9, deflateStrategy: 0, filterType: 0 });
  const file = join(KEPT, name);
  if (process.env.WATTLAW_WRITE_DOCS) {
    writeFileSync(file, written);
    return null;
  }
  const { width, height, data } = PNG.sync.read(readFileSync(file));
  const fail = (why) => {
    mkdirSync(FAILED, { recursive: true });
    writeFileSync(join(FAILED, name), written);
    return `${name}: ${why}; see ${join(FAILED, name)}, and write the new pictures with WATTLAW_WRITE_DOCS=1`;
  };
  if (width !== taken.width || height !== taken.height) return fail(`${taken.width} × ${taken.height} pixels instead of ${width} × ${height}`);
  const different = pixelmatch(data, taken.data, undefined, width, height, { threshold: COLOUR }) / (width * height);
  console.log(`figure: ${name}: ${(100 * different).toFixed(2)} % of the pixels differ`);
  return different <= DIFFERENT ? null : fail(`${(100 * different).toFixed(1)} % of the pixels differ, but at most ${100 * DIFFERENT} % may`);
}
