// The page in a real browser, served by the program that users run.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const WATTLAW = process.env.WATTLAW ?? join(ROOT, "target/debug/wattlaw");
export const CHROMIUM = process.env.CHROME_PATH ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

export const BUILT = join(ROOT, "target/page");

/** Serves a built page; gives its address and how to end it. */
export async function served(folder = BUILT, port = 0) {
  const process = spawn(WATTLAW, ["page", "--dir", folder, "--port", String(port)], { stdio: ["ignore", "pipe", "inherit"] });
  const [printed] = await once(process.stdout, "data");
  const ended = once(process, "exit");
  const end = () => {
    process.kill();
    return ended;
  };
  return { address: String(printed).trim(), end };
}

/** A browser whose every request, refusal and error is kept. */
export async function browser() {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

/** A page of its own, and what it did that it must not do. Only where `serviceWorkers` is "allow" the browser keeps it for later visits. */
export async function visit(browser, address, { hash = "", ready = true, script, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true, serviceWorkers: "block", ...options });
  const page = await context.newPage();
  const wrong = [];
  await page.exposeFunction("refused", (what) => wrong.push(`refused by the policy: ${what}`));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => globalThis.refused(`${event.violatedDirective} ${event.blockedURI}`));
    globalThis.longTasks = [];
    new PerformanceObserver((list) => globalThis.longTasks.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: "longtask" });
  });
  if (script) await page.addInitScript(script);
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== new URL(address).origin && protocol !== "blob:") wrong.push(`asked ${request.url()}`);
  });
  page.on("pageerror", (error) => wrong.push(`failed: ${error.message}`));
  page.on("console", (message) => message.type() === "error" && wrong.push(`console: ${message.text()} ${message.location().url}`));
  page.on("dialog", (dialog) => {
    wrong.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(address + (hash && `#${hash}`));
  if (ready) await answered(page);
  return { page, context, wrong };
}

/** Waits until the page shows an answer, or why there is none, and answers changes at once. */
export async function answered(page) {
  await page.waitForFunction(() => performance.getEntriesByName("first answer").length > 0);
  await page.locator("main").dispatchEvent("pointerover");
  await page.waitForFunction(() => performance.getEntriesByName("ready").length > 0);
}

/** The JSON that the page's answer is downloaded as. */
export async function downloaded(page, name = "JSON") {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: `Download ${name}`, exact: true }).click()]);
  const chunks = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** What the page says is wrong. */
export const problems = (page) => page.locator(".problem").evaluateAll((all) => all.map((of) => of.textContent).filter(Boolean));
