// Puts the page together: `node bundle.mjs GLUE OUT`, where GLUE holds the WebAssembly and the JavaScript that loads it.
// Every file but the first and the service worker has a hash of what is in it in its name, and beside each lies what a server sends to
// browsers that take gzip. Prints the size of each file, as it is and compressed.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { bundled, hashedName, serviceWorker } from "./built.mjs";

const [glue, out] = process.argv.slice(2);
if (!glue || !out) {
  console.error("usage: node bundle.mjs GLUE OUT");
  process.exit(2);
}

/** The files by name. */
const files = new Map();

/** Adds a file whose name tells what is in it. */
function add(name, content) {
  const hashed = hashedName(name, content);
  files.set(hashed, content);
  return hashed;
}

const OPTIONS = ["-Oz", "--converge", "--strip-debug", "--strip-producers"];

/** The WebAssembly, made smaller, which takes minutes: the last one is kept beside GLUE. */
async function module() {
  const folder = dirname(glue);
  const input = join(glue, "wattlaw_page_bg.wasm");
  const smaller = join(folder, hashedName("smaller.wasm", Buffer.concat([await readFile(input), Buffer.from(OPTIONS.join())])));
  if (!existsSync(smaller)) {
    for (const old of (await readdir(folder)).filter((name) => name.startsWith("smaller-"))) await rm(join(folder, old));
    const unfinished = `${smaller}.new`;
    await promisify(execFile)("node", ["node_modules/binaryen/bin/wasm-opt", input, ...OPTIONS, "-o", unfinished]);
    await rename(unfinished, smaller);
  }
  return readFile(smaller);
}

const wasm = add("wattlaw.wasm", await module());
const alias = { "#engine": join(glue, "wattlaw_page.js") };
const worker = add("worker.js", await bundled("web/worker.ts", {}, alias));
const page = add("page.js", await bundled("web/main.ts", { WASM_FILE: wasm, WORKER_FILE: worker }, alias));
const style = add("style.css", await bundled("web/style.css"));
const icon = add("icon.svg", await readFile("web/icon.svg"));
let first = await readFile("web/index.html", "utf8");
for (const [name, is] of Object.entries({ "icon.svg": icon, "style.css": style, "page.js": page })) first = first.replaceAll(`"${name}"`, `"${is}"`);
files.set("index.html", Buffer.from(first));
files.set("offline.js", await serviceWorker(files));

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
let all = 0;
for (const [name, content] of [...files].sort()) {
  const compressed = gzipSync(content, { level: 9 });
  await writeFile(join(out, name), content);
  await writeFile(join(out, `${name}.gz`), compressed);
  all += compressed.length;
  console.log(`${String(content.length).padStart(9)} B  ${String(compressed.length).padStart(8)} B compressed  ${name}`);
}
console.log(`${String(all).padStart(22)} B compressed in all`);
