// The page's side of the worker: one request at a time, with progress, and an end before its time.

import { Problem } from "./engine";
import type { Request } from "./engine";
import type { Told } from "./worker";

export class Stopped extends Error {}

export class Background {
  #worker: Worker;
  readonly #module: Promise<WebAssembly.Module>;
  #reject: ((reason: Error) => void) | null = null;

  /** Starts the worker, which gets the library once it is compiled. */
  constructor(module: Promise<WebAssembly.Module>) {
    this.#module = module;
    this.#worker = this.#start();
  }

  /** The answer of the worker, and its seconds. Rejects with a {@link Problem}, or {@link Stopped}. */
  ask<T>(request: Request, progress: (share: number) => void = () => {}): Promise<{ answer: T; seconds: number }> {
    this.stop();
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#reject = null;
      };
      this.#reject = reject;
      this.#worker.onmessage = ({ data }: MessageEvent<Told>) => {
        if (data.kind === "progress") progress(data.done / data.total);
        else if (data.kind === "answer") {
          end();
          resolve({ answer: data.answer as T, seconds: data.seconds });
        } else {
          end();
          reject(new Problem(data.sentence, data.field));
        }
      };
      this.#worker.onerror = (event) => {
        end();
        reject(new Problem(event.message, null));
      };
      this.#worker.postMessage(request);
    });
  }

  /** Ends the request that is under way. */
  stop(): void {
    if (!this.#reject) return;
    this.#reject(new Stopped());
    this.#reject = null;
    // a computing worker hears nothing, so another takes its place
    this.#worker.terminate();
    this.#worker = this.#start();
  }

  #start(): Worker {
    const worker = new Worker(WORKER_FILE, { type: "module" });
    // where it cannot be compiled, the page says why
    this.#module.then((module) => worker.postMessage(module), () => {});
    return worker;
  }
}
