import { strict as assert } from "node:assert";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { BUILT, ROOT, WATTLAW, answered, browser, downloaded, problems, served, visit } from "./browser.mjs";
import { scores } from "./lighthouse.mjs";
import { compared, withFixedFont } from "./pictures.mjs";
import { hashedName, serviceWorker } from "../built.mjs";

const LIMIT = { timeout: 120_000 };
// times are printed, and held to their limits where the machine does nothing else
const TIMED = process.env.WATTLAW_TIMED === "1";
const FIRST_ANSWER_MS = 300;
const ANSWER_MS = 16;
const PLANS_PER_S = 50_000;
const FRAME_MS = 100;
const COMPRESSED_BYTES = 900_000;
const LIGHTHOUSE = 95;
const ROUNDING = 1e-12;

let server;
let chrome;
before(async () => {
  server = await served();
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  await server?.end();
});

test("the page is small", () => {
  const bytes = readdirSync(BUILT).filter((name) => name.endsWith(".gz")).map((name) => statSync(join(BUILT, name)).size);
  const all = bytes.reduce((sum, of) => sum + of, 0);
  console.log(`figure: ${all} bytes compressed in all`);
  assert.equal(bytes.length, readdirSync(BUILT).length / 2);
  assert.ok(all <= COMPRESSED_BYTES, all);
});

/** Opens the page, runs a check, and requires that the page did nothing that it must not do. */
async function on({ allowed, ...options }, check) {
  const opened = await visit(chrome, server.address, options);
  try {
    await check(opened.page, opened.context);
    assert.deepEqual(opened.wrong.filter((of) => !allowed?.test(of)), []);
  } finally {
    await opened.context.close();
  }
}

/** What the program prints for the fields of a question. */
function predicted(question, files = []) {
  const flags = Object.entries(question).flatMap(([name, value]) => [`--${name.replaceAll("_", "-")}`, value]);
  return execFileSync(WATTLAW, ["predict", ...files, ...flags, "--format", "json"], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] }).toString();
}

/** The largest share by which a number was off. */
let farthest = 0;

/** Requires equal JSON: every key, text and order; numbers to the rounding of the machines' own exp and ln. */
function assertEqual(found, expected, at = "answer") {
  if (typeof expected === "number" && typeof found === "number") {
    const off = found === expected ? 0 : Math.abs(found - expected) / Math.max(Math.abs(expected), 1e-300);
    farthest = Math.max(farthest, off);
    assert.ok(off <= ROUNDING, `${at}: ${found} is not ${expected}`);
  } else if (expected !== null && typeof expected === "object") {
    assert.deepEqual(Object.keys(found ?? {}), Object.keys(expected), at);
    for (const key of Object.keys(expected)) assertEqual(found[key], expected[key], `${at}.${key}`);
  } else {
    assert.equal(found, expected, at);
  }
}

const MODELS = ["llama-3.1-8b", "gpt2", "bert-base-uncased", "llama-3.1-70b", "mixtral-8x7b"];
const MACHINES = [
  { gpu: "h100-sxm5-80gb", gpus: "8" },
  { gpu: "a100-sxm4-40gb", gpus: "4", power_limit_w: "250" },
  { gpu: "a100-sxm4-80gb", gpus: "16", tp: "2", strategy: "fsdp" },
  { gpu: "v100-sxm2-32gb", gpus: "1" },
  { gpu: "h100-sxm5-80gb", gpus: "64", pp: "4", region: "france" },
];
const WAYS = [{}, { checkpointing: "full", micro_batch: "2", lora_rank: "16", lora_targets: "all-linear", quantization: "nf4" }];

test("the answers are those of the program for 50 jobs", { timeout: 600_000 }, async () => {
  let compared = 0;
  for (const model of MODELS) {
    for (const machine of MACHINES) {
      for (const way of WAYS) {
        const question = { model, tokens: "100M", seq_len: "512", ...machine, ...way };
        const expected = JSON.parse(predicted(question));
        await on({ hash: new URLSearchParams(question).toString() }, async (page) => {
          const found = JSON.parse(await downloaded(page));
          // the program writes a region as the intensity that it means
          assertEqual(found, expected, JSON.stringify(question));
        });
        compared += 1;
      }
    }
  }
  assert.equal(compared, 50);
  console.log(`figure: 50 answers differ by ${farthest.toExponential(1)} at most`);
});

const AXOLOTL = join(ROOT, "crates/wattlaw-import/tests/configurations/axolotl-lora-8b.yml");

test("a dropped file is read as the program reads it", LIMIT, async () => {
  const expected = JSON.parse(predicted({ gpu: "h100-sxm5-80gb", gpus: "8", examples: "20000" }, [AXOLOTL]));
  await on({ hash: "gpu=h100-sxm5-80gb&gpus=8&model=gpt2&tokens=1M&seq_len=128" }, async (page) => {
    for (const column of ["seq_len", "tokens"]) await page.locator(`[data-column=${column}]`).fill("");
    const transfer = await page.evaluateHandle((text) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([text], "axolotl-lora-8b.yml"));
      return transfer;
    }, readFileSync(AXOLOTL, "utf8"));
    await page.locator(".drop").dispatchEvent("drop", { dataTransfer: transfer });
    await page.getByText("axolotl-lora-8b.yml").first().waitFor();
    // its epochs are of examples that it does not count
    assert.match((await problems(page)).join(), /examples is missing/);
    await page.locator("[data-column=examples]").fill("20000");
    const found = JSON.parse(await downloaded(page));
    for (const [answer, name] of [[found, "axolotl-lora-8b.yml"], [expected, AXOLOTL]]) for (const of of answer.unmodelled) assert.equal(of.file, name);
    const nameless = (answer) => ({ ...answer, unmodelled: answer.unmodelled.map((of) => ({ ...of, file: "" })) });
    assertEqual(nameless(found), nameless(expected));

    // the address holds the file
    await page.waitForFunction(() => location.hash.includes("files="));
    await page.waitForFunction(() => location.hash.includes("examples=20000"));
    await page.reload();
    await answered(page);
    assert.equal(JSON.parse(await downloaded(page)).energy_j.estimate, found.energy_j.estimate);
    await page.getByRole("button", { name: "Remove axolotl-lora-8b.yml" }).click();
    assert.match((await problems(page)).join(" "), /No model/);
  });
});

test("a model's config.json is taken as the program takes it", LIMIT, async () => {
  const config = { model_type: "llama", architectures: ["LlamaForCausalLM"], hidden_size: 1024, num_hidden_layers: 12, num_attention_heads: 16, intermediate_size: 4096, vocab_size: 32000, max_position_embeddings: 2048 };
  const file = join(ROOT, "target/page-config.json");
  writeFileSync(file, JSON.stringify(config));
  const question = { tokens: "1B", seq_len: "1024", gpu: "a100-sxm4-80gb", gpus: "8" };
  const expected = JSON.parse(predicted({ ...question, config: file }));
  await on({ hash: new URLSearchParams({ ...question, model: "gpt2" }).toString() }, async (page) => {
    await page.locator("input[type=file]").setInputFiles(file);
    await page.getByText("page-config.json").first().waitFor();
    const found = JSON.parse(await downloaded(page));
    assertEqual(found.energy_j, expected.energy_j);
    assertEqual(found.memory, expected.memory);
  });
});

test("an invalid combination is said in place, and nothing typed is lost", LIMIT, async () => {
  await on({ hash: "model=gpt2&tokens=1B&seq_len=1024&gpu=a100-sxm4-80gb&gpus=8&tp=5" }, async (page) => {
    const said = await problems(page);
    assert.equal(said.length, 1, said);
    assert.match(said[0], /5/);
    assert.equal(await page.locator("#body").isVisible(), false);
    assert.equal(await page.locator("[data-column=model]").inputValue(), "gpt2");
  });
  await on({ hash: "model=gpt2&tokens=1B&seq_len=1024&gpu=a100-sxm4-80gb&gpus=8" }, async (page) => {
    const model = page.locator("[data-column=model]");
    await model.fill("gtp2");
    assert.deepEqual(await problems(page), ["Unknown model `gtp2`; did you mean `gpt2`?"]);
    assert.equal(await model.getAttribute("aria-invalid"), "true");
    await model.fill("gpt2");
    assert.deepEqual(await problems(page), []);
    assert.equal(await page.locator("#body").isVisible(), true);
    for (const gpus of ["0", "-8", "1e99", "99999999999999999999"]) {
      await page.locator("[data-column=gpus]").fill(gpus);
      assert.equal((await problems(page)).length, 1, gpus);
    }
  });
});

test("sliders offer what divides", LIMIT, async () => {
  await on({ hash: "model=gpt2&tokens=1B&seq_len=1024&gpu=a100-sxm4-80gb&gpus=24" }, async (page) => {
    // 12 heads: 1, 2, 3, 4, 6 and 12
    const slider = page.locator("[data-column=tp]");
    assert.equal(await slider.getAttribute("max"), "5");
    await slider.focus();
    for (const expected of ["2", "3", "4"]) {
      await page.keyboard.press("ArrowRight");
      assert.equal(await slider.getAttribute("aria-valuetext"), expected);
      assert.deepEqual(await problems(page), []);
    }
    assert.equal(JSON.parse(await downloaded(page)).job.parallelism.dp, 6);

    // data parallelism changes how many accelerators there are, and nothing else
    const ranks = page.locator("[data-column=dp]");
    assert.equal(await ranks.getAttribute("aria-valuetext"), "6");
    await page.getByText("24 accelerators = 6 data parallel × 4 tensor parallel × 1 stage").waitFor();
    await ranks.focus();
    for (const [key, dp] of [["ArrowRight", 8], ["ArrowLeft", 6], ["ArrowLeft", 4]]) {
      await page.keyboard.press(key);
      assert.equal(await ranks.getAttribute("aria-valuetext"), String(dp));
      assert.equal(await page.locator("[data-column=gpus]").inputValue(), String(4 * dp));
      assert.deepEqual(await problems(page), []);
    }
    const { parallelism, system } = JSON.parse(await downloaded(page)).job;
    assert.deepEqual([parallelism.dp, parallelism.tp, system.gpus], [4, 4, 16]);
    await page.getByText("16 accelerators = 4 data parallel × 4 tensor parallel × 1 stage").waitFor();
  });
});

test("a plan of 100,000 configurations leaves the page responsive", LIMIT, async () => {
  await on({ hash: "model=llama-3.1-8b&tokens=1B&seq_len=4096&gpu=h100-sxm5-80gb&gpus=8&plan.gpus=a100-sxm4-80gb,h100-sxm5-80gb&plan.counts=8..64" }, async (page) => {
    // long tasks are seen at all
    await page.evaluate(() => setTimeout(() => {
      const end = performance.now() + 150;
      while (performance.now() < end);
    }));
    await page.waitForFunction((most) => Math.max(0, ...globalThis.longTasks) > most, FRAME_MS);
    await page.evaluate(() => globalThis.longTasks.splice(0));
    await page.getByRole("button", { name: "Find plans" }).click();
    const status = page.locator("[data-searched]");
    await status.waitFor();
    const [searched, seconds] = await status.evaluate((of) => [Number(of.dataset.searched), Number(of.dataset.seconds)]);
    await page.waitForTimeout(300);
    const longest = Math.max(0, ...(await page.evaluate(() => globalThis.longTasks)));
    console.log(`figure: plan ${searched} configurations in ${seconds.toFixed(2)} s: ${Math.round(searched / seconds)} a second; longest task of the page ${longest} ms`);
    assert.ok(searched >= 100_000, searched);
    const { workload, parallelism } = JSON.parse(await downloaded(page)).job;
    const batch = String(workload.micro_batch * workload.grad_accum * parallelism.dp);
    const flags = ["--model", "llama-3.1-8b", "--tokens", "1B", "--seq-len", "4096", "--global-batch", batch, "--gpu", "a100-sxm4-80gb,h100-sxm5-80gb", "--gpus", "8..64"];
    const ran = execFileSync(WATTLAW, ["plan", ...flags, "--pareto", "energy,time", "--top", "40", "--format", "json"]);
    const expected = JSON.parse(ran.toString());
    assert.equal(searched, expected.searched);
    if (TIMED) {
      assert.ok(searched / seconds >= PLANS_PER_S, searched / seconds);
      assert.ok(longest <= FRAME_MS, longest);
    }
    const rows = await page.locator("section[aria-labelledby=plan] .scroll tbody tr").count();
    assert.ok(rows > 2);
    assert.equal(rows, expected.plans.length + expected.left_out.length);
    const energy = await page.locator("section[aria-labelledby=plan] .scroll tbody tr").first().locator("td").nth(7).textContent();
    await page.getByRole("button", { name: "Use 1", exact: true }).click();
    assert.deepEqual(await problems(page), []);
    // the form's answer is the plan's
    const used = JSON.parse(await downloaded(page)).job;
    assert.deepEqual(used.parallelism, expected.plans[0].job.parallelism);
    assert.equal(used.workload.micro_batch * used.workload.grad_accum, Number(batch) / used.parallelism.dp);
    assert.ok(energy.startsWith(await page.locator(".tiles .value").first().textContent()), energy);
    // a click on the chart takes another
    const before = await page.locator("[data-column=gpus]").inputValue();
    const over = page.locator(".u-over").first();
    const box = await over.boundingBox();
    await over.click({ position: { x: 5, y: box.height / 2 } });
    assert.notEqual(await page.locator("[data-column=gpus]").inputValue(), before);
  });
});

test("a plan of a mixture is used with its context- and expert-parallel ranks", LIMIT, async () => {
  await on({ hash: "model=mixtral-8x7b&tokens=1B&seq_len=8192&global_batch=64&gpu=h100-sxm5-80gb&gpus=64" }, async (page) => {
    await page.getByRole("button", { name: "Find plans" }).click();
    const row = page.locator("section[aria-labelledby=plan] .scroll tbody tr").first();
    await row.waitFor();
    const degrees = (await row.locator("td").nth(2).textContent()).split(" × ").map(Number);
    await page.getByRole("button", { name: "Use 1", exact: true }).click();
    assert.deepEqual(await problems(page), []);
    const { parallelism } = JSON.parse(await downloaded(page)).job;
    assert.deepEqual(["dp", "tp", "pp", "cp", "ep"].map((of) => parallelism[of]), degrees);
    assert.ok(parallelism.cp * parallelism.ep > 1, degrees);
  });
});

test("the power-limit curve has a point a limit", LIMIT, async () => {
  await on({}, async (page) => {
    await page.getByRole("button", { name: "Show energy and time by power limit" }).click();
    await page.getByRole("heading", { name: "Power-limit curve" }).waitFor();
    assert.ok((await page.locator("section[aria-labelledby=plan] .scroll tbody tr").count()) > 6);
  });
});

test("the address holds the whole question", LIMIT, async () => {
  await on({}, async (page) => {
    await page.locator("[data-column=gpus]").fill("16");
    await page.locator("[data-column=region]").selectOption("germany");
    await page.locator("[data-column=lora_targets]").selectOption("qlora");
    await page.locator("[data-column=level]").selectOption("0.8");
    await page.locator("[data-plan=counts]").fill("8..32");
    await page.getByRole("button", { name: "Keep this run as an alternative" }).click();
    await page.locator("[data-column=gpus]").fill("8");
    await page.getByRole("button", { name: "Keep this run as an alternative" }).click();
    assert.equal(await page.locator("section[aria-labelledby=compare] thead th").count(), 3);
    await page.waitForFunction(() => location.hash.split("alt=").length === 3 && location.hash.includes("gpus=8"));
    const json = await downloaded(page);
    const body = (await page.locator("main").innerText()).replace(/\d+ %/g, "");
    const values = await page.locator("[data-column], [data-plan]").evaluateAll((all) => all.map((of) => of.value));
    await page.reload();
    await answered(page);
    assert.equal(await downloaded(page), json);
    assert.equal((await page.locator("main").innerText()).replace(/\d+ %/g, ""), body);
    assert.deepEqual(await page.locator("[data-column], [data-plan]").evaluateAll((all) => all.map((of) => of.value)), values);
  });
});

test("after it is loaded the page needs no network", LIMIT, async () => {
  // a browser asks for the icon anew with each address
  await on({ allowed: /INTERNET_DISCONNECTED.*\/icon.svg$/ }, async (page, context) => {
    // the worker has loaded its script
    await page.waitForLoadState("networkidle");
    await context.setOffline(true);
    const before = await page.locator(".tiles .value").first().textContent();
    await page.locator("[data-column=gpus]").fill("16");
    assert.notEqual(await page.locator(".tiles .value").nth(1).textContent(), before);
    await page.getByRole("button", { name: "Find plans" }).click();
    await page.locator("[data-searched]").waitFor();
  });
});

/** Waits until the browser keeps all files of so many versions of the page, and the newest answers. */
const kept = (page, versions = 1) => page.evaluate(async (versions) => {
  const isDone = async () => {
    const { installing, waiting, active } = (await navigator.serviceWorker.getRegistration()) ?? {};
    return !installing && !waiting && active?.state === "activated" && (await caches.keys()).length === versions;
  };
  while (!(await isDone())) await new Promise((resolve) => setTimeout(resolve, 20));
}, versions);

test("a page that was loaded once opens without a network", LIMIT, async () => {
  const own = await served();
  const opened = await visit(chrome, own.address, { serviceWorkers: "allow" });
  try {
    const { page, wrong } = opened;
    await kept(page);
    await own.end();
    for (const gpus of ["16", "32"]) {
      await page.reload();
      await answered(page);
      await page.locator("[data-column=gpus]").fill(gpus);
      assert.equal(JSON.parse(await downloaded(page)).job.system.gpus, Number(gpus));
      await page.getByRole("button", { name: "Find plans" }).click();
      await page.locator("[data-searched]").waitFor();
    }
    const icon = await page.evaluate(async () => (await fetch(document.querySelector("link[rel=icon]").href)).ok);
    assert.ok(icon);
    // a browser looks for a newer service worker, and finds no host
    assert.deepEqual(wrong.filter((of) => !/ERR_CONNECTION_REFUSED.*offline.js$/.test(of)), []);
  } finally {
    await opened.context.close();
    await own.end();
  }
});

/** A copy of the built page whose script says more: another version. */
async function nextVersion() {
  const files = new Map(readdirSync(BUILT).filter((name) => !name.endsWith(".gz") && name !== "offline.js").map((name) => [name, readFileSync(join(BUILT, name))]));
  const old = [...files.keys()].find((name) => /^page-.*\.js$/.test(name));
  const script = `${files.get(old)}\ndocument.documentElement.dataset.version = "next";\n`;
  const next = hashedName("page.js", script);
  files.delete(old);
  files.set(next, script);
  files.set("index.html", String(files.get("index.html")).replaceAll(old, next));
  files.set("offline.js", await serviceWorker(files));
  const folder = mkdtempSync(join(tmpdir(), "page-"));
  for (const [name, content] of files) writeFileSync(join(folder, name), content);
  return folder;
}

test("a new version takes the place of the kept one at the next load", LIMIT, async () => {
  const version = (page) => page.evaluate(() => document.documentElement.dataset.version);
  let own = await served();
  const { port } = new URL(own.address);
  const folder = await nextVersion();
  const opened = await visit(chrome, own.address, { serviceWorkers: "allow" });
  try {
    const { page, wrong } = opened;
    await kept(page);
    assert.equal(await version(page), undefined);
    await own.end();
    own = await served(folder, port);
    await page.reload();
    await answered(page);
    assert.equal(await version(page), "next");
    // also without a network, once the browser has taken it
    await page.evaluate(() => navigator.serviceWorker.getRegistration().then((of) => of.update()));
    await kept(page, 2);
    await own.end();
    await page.reload();
    await answered(page);
    assert.equal(await version(page), "next");
    assert.deepEqual(wrong.filter((of) => !/ERR_CONNECTION_REFUSED.*offline.js$/.test(of)), []);
  } finally {
    await opened.context.close();
    await own.end();
    rmSync(folder, { recursive: true });
  }
});

test("files that were not built together are not kept", LIMIT, async () => {
  const folder = await nextVersion();
  const style = readdirSync(folder).find((name) => name.endsWith(".css"));
  writeFileSync(join(folder, style), "/* another one */");
  const own = await served(folder);
  const opened = await visit(chrome, own.address, { serviceWorkers: "allow" });
  try {
    const state = await opened.page.evaluate(async () => {
      const { installing } = await navigator.serviceWorker.register("offline.js");
      while (installing.state === "installing") await new Promise((resolve) => setTimeout(resolve, 20));
      return installing.state;
    });
    assert.equal(state, "redundant");
    // the page that the host sends is used all the same
    assert.equal(await opened.page.locator("#body").isVisible(), true);
    assert.deepEqual(opened.wrong, []);
  } finally {
    await opened.context.close();
    await own.end();
    rmSync(folder, { recursive: true });
  }
});

test("a change before the page's own thread has the library is answered", LIMIT, async () => {
  await on({ ready: false }, async (page) => {
    await page.waitForFunction(() => performance.getEntriesByName("first answer").length > 0);
    assert.deepEqual(await page.evaluate(() => performance.getEntriesByName("ready").length), 0);
    // as by a key, without a pointer
    const time = page.locator(".tiles .value").nth(1);
    const before = await time.textContent();
    await page.evaluate(() => {
      const gpus = document.querySelector("[data-column=gpus]");
      gpus.value = "16";
      gpus.dispatchEvent(new Event("input"));
    });
    await page.waitForFunction((before) => document.querySelectorAll(".tiles .value")[1].textContent !== before, before);
    await page.getByText("16 accelerators = 16 data parallel").waitFor();
  });
});

test("the command that is copied gives the same answer", LIMIT, async () => {
  await on({ permissions: ["clipboard-read", "clipboard-write"] }, async (page) => {
    await page.getByRole("button", { name: "Copy Command" }).click();
    const command = await page.locator("textarea").inputValue();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), command);
    const ran = spawnSync("sh", ["-c", `${command.replace(/^wattlaw/, WATTLAW)} --format json`], { encoding: "utf8" });
    assertEqual(JSON.parse(await downloaded(page)), JSON.parse(ran.stdout));
    await page.getByRole("button", { name: "Copy job.toml" }).click();
    const file = join(ROOT, "target/page-job.toml");
    writeFileSync(file, await page.locator("textarea").inputValue());
    assertEqual(JSON.parse(await downloaded(page)).energy_j, JSON.parse(predicted({}, [file])).energy_j);
    assert.match(await downloaded(page, "CSV"), /^quantity,estimate,lower,upper\nenergy_j,/);
    assert.match(await downloaded(page, "SVG"), /^<svg .*Where the time goes/);
  });
});

test("launch files are written, and what a framework cannot express is said", LIMIT, async () => {
  await on({}, async (page) => {
    await page.getByLabel("Framework", { exact: true }).last().selectOption("accelerate");
    await page.getByLabel("Started by").selectOption("slurm");
    await page.getByRole("button", { name: "Write the files" }).click();
    assert.deepEqual(await page.locator("section[aria-labelledby=share] code").allTextContents(), ["job.toml", "accelerate.yaml", "arguments.yaml", "train.sh", "job.sbatch"]);
    await page.getByLabel("Framework", { exact: true }).last().selectOption("nanotron");
    await page.locator("[data-column=lora_targets]").selectOption("qlora");
    await page.getByRole("button", { name: "Write the files" }).click();
    assert.equal((await problems(page)).length, 1);
  });
});

test("hostile files and addresses give a sentence", LIMIT, async () => {
  await on({}, async (page) => {
    const files = page.locator("input[type=file]");
    const name = "<img src=x onerror=alert(1)>.yml";
    await files.setInputFiles({ name, mimeType: "text/yaml", buffer: Buffer.from("base_model: <script>alert(1)</script>\n") });
    await page.getByText(name).first().waitFor();
    assert.match((await problems(page)).join(" "), /onerror/);
    await page.getByRole("button", { name: `Remove ${name}` }).click();
    await files.setInputFiles({ name: "large.json", mimeType: "text/plain", buffer: Buffer.alloc((1 << 20) + 1, 32) });
    await page.getByText("large.json has more than 1 MiB").waitFor();
    await files.setInputFiles({ name: "binary.json", mimeType: "text/plain", buffer: Buffer.from([0xff, 0xfe, 0x00]) });
    await page.getByText("binary.json is not a text").waitFor();
    await files.setInputFiles({ name: "deep.json", mimeType: "text/plain", buffer: Buffer.from("[".repeat(500_000)) });
    await page.getByText("deep.json").first().waitFor();
    assert.equal((await problems(page)).length, 1);
    await page.getByRole("button", { name: "Remove deep.json" }).click();
    await files.setInputFiles({ name: "aliases.yml", mimeType: "text/plain", buffer: Buffer.from(`base_model: &a [x]\n${Array.from({ length: 30 }, (_, at) => `b${at}: &b${at} [*${at ? `b${at - 1}` : "a"}, *${at ? `b${at - 1}` : "a"}]`).join("\n")}\n`) });
    await page.getByText("aliases.yml").first().waitFor();
    assert.equal((await problems(page)).length, 1);
  });
  // 4 MiB of spaces, in a few kilobytes
  const { deflateRawSync } = await import("node:zlib");
  const bomb = deflateRawSync(Buffer.alloc(4 << 20, 32)).toString("base64url");
  for (const hash of ["level=7", "files=zzz", `files=${bomb}`, "nonsense=1&model=gpt2", "gpus=1e99", "model=%00%ff", "region=atlantis", "scope=moon", `x=${"y".repeat(1_600_000)}`, "alt=gpus%3D-1&model=gpt2", "plan.deadline=x"]) {
    await on({ hash }, async (page) => {
      if (hash.startsWith("plan.")) await page.getByRole("button", { name: "Find plans" }).click();
      const said = await problems(page);
      assert.ok(said.length >= 1 && said.every((of) => of.length < 1000 && of.endsWith(".") || of.endsWith("?")), `${hash.slice(0, 30)}: ${said}`);
    });
  }
});

test("without WebAssembly the page says so", LIMIT, async () => {
  await on({ ready: false, script: "delete globalThis.WebAssembly" }, async (page) => {
    await page.getByText("This browser runs no WebAssembly").waitFor();
  });
});

test("assistive technology finds nothing serious to miss", LIMIT, async () => {
  const axe = readFileSync(join(ROOT, "page/tests/node_modules/axe-core/axe.min.js"), "utf8");
  for (const options of [{ colorScheme: "light" }, { colorScheme: "dark" }, { viewport: { width: 360, height: 740 } }]) {
    await on(options, async (page) => {
      await page.getByRole("button", { name: "Keep this run as an alternative" }).click();
      await page.getByRole("button", { name: "Find plans" }).click();
      await page.locator("[data-searched]").waitFor();
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      const serious = violations.filter((of) => ["serious", "critical"].includes(of.impact));
      assert.deepEqual(serious.map((of) => `${of.id}: ${of.nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`), []);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "the page is wider than the window");
    });
  }
});

/** The middle of a list of numbers. */
const median = (of) => [...of].sort((a, b) => a - b)[Math.floor(of.length / 2)];

test("answers come at once", LIMIT, async () => {
  const first = [];
  for (let visit = 0; visit < 5; visit++) {
    await on({}, async (page) => {
      first.push(await page.evaluate(() => performance.getEntriesByName("first answer")[0].startTime - performance.getEntriesByType("navigation")[0].loadEventEnd));
    });
  }
  await on({}, async (page) => {
    const answers = await page.evaluate(async () => {
      const slider = document.querySelector("[data-column=power_limit_w]");
      const found = [];
      for (let watts = 690; watts > 490; watts -= 10) {
        slider.value = watts;
        slider.dispatchEvent(new Event("input"));
        await new Promise((resolve) => setTimeout(resolve, 20));
        found.push(performance.getEntriesByName("answer").at(-1).duration);
      }
      return found;
    });
    console.log(`figure: first answer ${median(first).toFixed(0)} ms after load; answer to a slider ${median(answers).toFixed(1)} ms, at most ${Math.max(...answers).toFixed(1)} ms`);
    if (TIMED) {
      assert.ok(median(first) <= FIRST_ANSWER_MS, first);
      assert.ok(median(answers) <= ANSWER_MS, answers);
    }
  });
});

test("the page looks as its pictures show", LIMIT, async () => {
  const fixed = { bypassCSP: true, deviceScaleFactor: 1, reducedMotion: "reduce", locale: "en-US" };
  const wide = { viewport: { width: 1100, height: 980 } };
  const wrong = [];
  const looks = [
    ["page.png", { ...wide, colorScheme: "light" }],
    ["page-dark.png", { ...wide, colorScheme: "dark" }],
    ["page-phone.png", { viewport: { width: 360, height: 740 }, colorScheme: "light" }],
  ];
  for (const [name, options] of looks) {
    await on({ ...fixed, ...options }, async (page) => {
      await withFixedFont(page);
      wrong.push(await compared(page, name));
    });
  }
  await on({ ...fixed, ...wide, colorScheme: "dark", hash: "model=llama-3.1-8b&tokens=1B&seq_len=4096&gpu=h100-sxm5-80gb&gpus=8&plan.gpus=a100-sxm4-80gb,h100-sxm5-80gb&plan.counts=8..64" }, async (page) => {
    await withFixedFont(page);
    await page.getByRole("button", { name: "Find plans" }).click();
    await page.locator("[data-searched]").waitFor();
    const box = await page.locator("section[aria-labelledby=plan]").evaluate((section) => {
      const { left, top, width } = section.getBoundingClientRect();
      return { x: left + scrollX, y: top + scrollY, width };
    });
    wrong.push(await compared(page, "page-plan.png", { fullPage: true, clip: { ...box, height: 900 } }));
  });
  assert.deepEqual(wrong.filter(Boolean), []);
});

test("Lighthouse finds the page accessible and fast", { timeout: 300_000 }, async () => {
  for (const [device, { performance, accessibility, wanting }] of Object.entries(await scores(server.address))) {
    console.log(`figure: Lighthouse on a ${device}: performance ${performance}, accessibility ${accessibility}; wanting: ${wanting.join(", ")}`);
    assert.ok(accessibility >= LIGHTHOUSE, accessibility);
    if (TIMED) assert.ok(performance >= LIGHTHOUSE, performance);
  }
});
