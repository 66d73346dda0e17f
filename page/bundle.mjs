// Puts the page together: `node bundle.mjs GLUE OUT`, where GLUE holds the WebAssembly and the JavaScript that loads it.
// Prints the size of each file, as it is and compressed.
import { copyFile, mkdir, readFile, readdir, rm } from "node:fs/promises";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const [glue, out] = process.argv.slice(2);
if (!glue || !out) {
  console.error("usage: node bundle.mjs GLUE OUT");
  process.exit(2);
}
await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });

await build({
  entryPoints: { page: "web/main.ts", worker: "web/worker.ts", style: "web/style.css" },
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  alias: { "#engine": join(glue, "wattlaw_page.js") },
  logLevel: "warning",
});
for (const file of ["index.html", "icon.svg"]) await copyFile(join("web", file), join(out, file));

const wasm = join(out, "wattlaw.wasm");
await promisify(execFile)("node", [
  "node_modules/binaryen/bin/wasm-opt",
  join(glue, "wattlaw_page_bg.wasm"),
  ...["-Oz", "--converge", "--strip-debug", "--strip-producers", "-o", wasm],
]);

let all = 0;
for (const file of (await readdir(out)).sort()) {
  const bytes = await readFile(join(out, file));
  const compressed = gzipSync(bytes, { level: 9 }).length;
  all += compressed;
  console.log(`${String(bytes.length).padStart(9)} B  ${String(compressed).padStart(8)} B compressed  ${file}`);
}
console.log(`${String(all).padStart(22)} B compressed in all`);
