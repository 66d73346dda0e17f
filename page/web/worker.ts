// The first answer and long ones, in a thread of their own. The page sends the compiled library and requests, in any order.

import { Problem, answered, start } from "./engine";
import type { Request } from "./engine";

export type Told =
  | { kind: "progress"; done: number; total: number }
  | { kind: "answer"; answer: unknown; seconds: number }
  | { kind: "problem"; sentence: string; field: string | null };

/** What this thread has; the compiler is told of a page's globals, which a worker's differ from. */
const scope = globalThis as unknown as {
  planProgress: (done: number, total: number) => void;
  onmessage: (event: MessageEvent<WebAssembly.Module | Request>) => void;
  postMessage: (told: Told) => void;
};

const tell = (told: Told): void => scope.postMessage(told);

// the page shows at most so many steps a second
const BETWEEN_MS = 50;
let last = 0;
scope.planProgress = (done, total) => {
  const now = performance.now();
  if (now - last < BETWEEN_MS) return;
  last = now;
  tell({ kind: "progress", done, total });
};

let compiled: (module: WebAssembly.Module) => void;
const started = new Promise<WebAssembly.Module>((resolve) => (compiled = resolve)).then(start);

scope.onmessage = async ({ data }) => {
  if (data instanceof WebAssembly.Module) {
    compiled(data);
    return;
  }
  await started;
  const from = performance.now();
  try {
    const answer = answered(data);
    tell({ kind: "answer", answer, seconds: (performance.now() - from) / 1000 });
  } catch (error) {
    const field = error instanceof Problem ? error.field : null;
    tell({ kind: "problem", sentence: error instanceof Error ? error.message : String(error), field });
  }
};
