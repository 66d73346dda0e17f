// The library: answers as typed values, problems as errors.

import init, * as wasm from "#engine";
import type { Answer, Catalogue, Comparison, LaunchFile, Limited, Offers, Plans, Written } from "./types";
import type { Question } from "./question";
import { text } from "./strings";

/** Why a question has no answer. */
export class Problem extends Error {
  constructor(
    sentence: string,
    readonly field: string | null,
  ) {
    super(sentence);
  }
}

/** What the worker is asked; the body is JSON. */
export type Request = { kind: "plan" | "powerCurve" | "first"; body: string };

/** What a page shows first: the form's lists, and the answer to its question, or why there is none. */
export interface First {
  catalogue: Catalogue;
  answered: { json: string } | { sentence: string; field: string | null };
  offers: Offers | null;
}

/** Fetches and compiles the library. Throws a {@link Problem} where that is impossible. */
export async function compiled(): Promise<WebAssembly.Module> {
  if (typeof WebAssembly === "undefined") throw new Problem(text.noWebAssembly, null);
  const response = await fetch(WASM_FILE);
  if (!response.ok) throw new Problem(text.noModule(response.status), null);
  try {
    // a host may not know the type, which streaming needs
    const streams = response.headers.get("Content-Type") === "application/wasm";
    return await (streams ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer()));
  } catch (error) {
    throw new Problem(text.notCompiled(error instanceof Error ? error.message : String(error)), null);
  }
}

/** Whether the library answers in this thread. */
export let isReady = false;

let starting: Promise<void> | undefined;

/** Starts the library in this thread, once, and lets it read the law that every answer rests on. */
export function start(module: WebAssembly.Module): Promise<void> {
  starting ??= init({ module_or_path: module }).then(() => {
    wasm.catalogue();
    isReady = true;
    performance.mark("ready");
  });
  return starting;
}

function asked(answer: () => string): string {
  try {
    return answer();
  } catch (thrown) {
    if (typeof thrown === "string") {
      const { sentence, field } = JSON.parse(thrown) as { sentence: string; field: string | null };
      throw new Problem(sentence, field);
    }
    throw thrown;
  }
}

/** The text of an answer: that of `wattlaw predict --format json`. */
export const answerText = (question: Question): string => asked(() => wasm.answer(JSON.stringify(question)));
export const answer = (question: Question): Answer => JSON.parse(answerText(question)) as Answer;
export const offers = (question: Question): Offers => JSON.parse(asked(() => wasm.offers(JSON.stringify(question)))) as Offers;
export const compare = (questions: Question[]): Comparison => JSON.parse(asked(() => wasm.compare(JSON.stringify(questions)))) as Comparison;
export const catalogue = (): Catalogue => JSON.parse(asked(() => wasm.catalogue())) as Catalogue;
export const written = (question: Question): Written => JSON.parse(asked(() => wasm.written(JSON.stringify(question)))) as Written;
export const launch = (question: Question, launchers: string[]): LaunchFile[] =>
  JSON.parse(asked(() => wasm.launch(JSON.stringify({ question, launchers })))) as LaunchFile[];

/** What a page shows first for a question. */
function first(question: Question): First {
  const offered = (): Offers | null => orProblem(() => offers(question), () => null);
  const found = orProblem(() => ({ json: answerText(question) }), ({ message, field }) => ({ sentence: message, field }));
  return { catalogue: catalogue(), answered: found, offers: offered() };
}

/** What `answer` gives, or what `otherwise` makes of its problem. */
export function orProblem<T, P>(answer: () => T, otherwise: (problem: Problem) => P): T | P {
  try {
    return answer();
  } catch (error) {
    if (error instanceof Problem) return otherwise(error);
    throw error;
  }
}

/** Answers a request of the worker, which runs in its own thread. */
export const answered = ({ kind, body }: Request): Plans | Limited[] | First => {
  if (kind === "first") return first(JSON.parse(body) as Question);
  const found = asked(() => (kind === "plan" ? wasm.plan(body) : wasm.powerCurve(body)));
  return JSON.parse(found) as Plans | Limited[];
};
