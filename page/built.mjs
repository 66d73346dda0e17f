// How files of the page are built: scripts with what they import, names that tell the content, and the service worker.

import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const digest = (content, encoding) => createHash("sha256").update(content).digest(encoding);

/** A name with a hash of the content: `wattlaw page` lets browsers keep such a file without asking again. */
export function hashedName(name, content) {
  const dot = name.lastIndexOf(".");
  return `${name.slice(0, dot)}-${digest(content, "hex").slice(0, 16)}${name.slice(dot)}`;
}

/** A script or a style sheet with all that it imports, and values for the constants that `web/built.d.ts` declares. */
export async function bundled(entry, constants = {}, alias = {}) {
  const { outputFiles } = await build({
    entryPoints: [entry],
    absWorkingDir: fileURLToPath(new URL(".", import.meta.url)),
    write: false,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    alias,
    define: Object.fromEntries(Object.entries(constants).map(([name, value]) => [name, JSON.stringify(value)])),
    logLevel: "warning",
  });
  return Buffer.from(outputFiles[0].contents);
}

/** The service worker of files by name: it keeps each, and has the browser check its content. */
export function serviceWorker(files) {
  const KEPT = [...files].map(([name, content]) => ({ name, integrity: `sha256-${digest(content, "base64")}` }));
  return bundled("web/offline.ts", { KEPT, VERSION: digest(JSON.stringify(KEPT), "hex").slice(0, 16) });
}
