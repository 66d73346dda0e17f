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

/** What the worker is asked. */
export type Request = { kind: "plan" | "powerCurve"; body: string };

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

/** Starts the library in this thread. */
export async function start(module: WebAssembly.Module): Promise<void> {
  await init({ module_or_path: module });
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

/** Answers a request of the worker, which runs in its own thread. */
export const answered = ({ kind, body }: Request): Plans | Limited[] => {
  const found = asked(() => (kind === "plan" ? wasm.plan(body) : wasm.powerCurve(body)));
  return JSON.parse(found) as Plans | Limited[];
};
