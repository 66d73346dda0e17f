// Lighthouse's judgement of the page, as on a phone with a slow network and as on a desk.

import { launch } from "chrome-launcher";
import lighthouse, { desktopConfig } from "lighthouse";
import { CHROMIUM } from "./browser.mjs";

const CATEGORIES = ["performance", "accessibility"];

/** Scores from 0 to 100 by device and category, and what was found wanting. */
export async function scores(address) {
  const chrome = await launch({ chromePath: CHROMIUM, chromeFlags: ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"] });
  try {
    const found = {};
    for (const [device, config] of [["phone", undefined], ["desk", desktopConfig]]) {
      const { lhr } = await lighthouse(address, { port: chrome.port, onlyCategories: CATEGORIES, logLevel: "error" }, config);
      const scored = Object.fromEntries(CATEGORIES.map((name) => [name, Math.round(100 * lhr.categories[name].score)]));
      const wanting = Object.values(lhr.audits).filter((audit) => audit.score !== null && audit.score < 0.9);
      found[device] = { ...scored, wanting: wanting.map((audit) => `${audit.id} ${audit.displayValue ?? audit.score}`) };
    }
    return found;
  } finally {
    await chrome.kill();
  }
}
