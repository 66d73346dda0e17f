// The page: a question in, its answer at once, and the address that holds the question.

import { AnswerView } from "./answer";
import { Background } from "./background";
import { CompareView } from "./compare";
import { make } from "./dom";
import * as engine from "./engine";
import { Problem } from "./engine";
import type { First } from "./engine";
import { Form } from "./form";
import { PlanView } from "./plan";
import { AddressError, example, fromAddress, toAddress } from "./question";
import type { Question, State } from "./question";
import { ShareView } from "./share";
import { text } from "./strings";
import type { Answer, Offers } from "./types";

/** Longest wait for the first paint. */
const MOST_PAINT_MS = 1000;

const page = document.querySelector("main") ?? document.body.appendChild(make("main", { id: "page" }));

/** The state of the address, or the first one; and what could not be read. */
async function read(): Promise<{ state: State; problem: string }> {
  const address = location.hash.slice(1);
  const first: State = { question: example(), alternatives: [], plan: {} };
  if (address === "") return { state: first, problem: "" };
  try {
    return { state: await fromAddress(address), problem: "" };
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    return { state: first, problem: text.address(error.message) };
  }
}

/** Keeps the page for when there is no network. */
async function keepOffline(): Promise<void> {
  try {
    await navigator.serviceWorker?.register("offline.js", { updateViaCache: "none" });
  } catch {
    // where the browser keeps nothing, as without storage, nothing else is lost
  }
}

/** Resolves when the browser has shown what the page holds so far; at once where it shows nothing or does not tell. */
function painted(): Promise<void> {
  return new Promise((resolve) => {
    const isTold = document.visibilityState === "visible" && PerformanceObserver.supportedEntryTypes.includes("paint");
    if (!isTold) return resolve();
    new PerformanceObserver(() => resolve()).observe({ type: "paint", buffered: true });
    setTimeout(resolve, MOST_PAINT_MS);
  });
}

async function run(): Promise<void> {
  const loading = make("p", { class: "wide", role: "status" }, text.loading);
  page.append(loading);
  // the library is large: the head of the page and its style come first where the network is slow
  const compiling = painted().then(engine.compiled);
  const background = new Background(compiling);
  const { state, problem } = await read();
  const module = await compiling;
  // this thread stays free while the first answer is computed; it takes the library up when somebody turns to the page
  const { answer: first } = await background.ask<First>({ kind: "first", body: JSON.stringify(state.question) });
  const ready = (): Promise<void> => engine.start(module);
  if (state.alternatives.length > 0) await ready();
  loading.remove();

  const { catalogue } = first;
  let answered: { answer: Answer; json: string } | null = null;
  let address = location.hash.slice(1);
  let later = 0;

  // browsers count how often an address is set
  const keepAddress = (): void => {
    clearTimeout(later);
    later = window.setTimeout(() => void toAddress(state).then((to) => {
      address = to;
      history.replaceState(null, "", `#${to}`);
    }), 150);
  };

  const show = (found: { json: string } | Problem, offers: Offers | null): void => {
    if (found instanceof Problem) {
      answered = null;
      view.problem(form.problem(found) ? "" : found.message);
    } else {
      answered = { json: found.json, answer: JSON.parse(found.json) as Answer };
      view.show(answered.answer);
      form.problem(null);
    }
    form.answered(answered?.answer ?? null, offers);
  };

  const ask = (): void => {
    if (!engine.isReady) {
      void ready().then(ask);
      return;
    }
    const from = performance.now();
    const found = engine.orProblem(() => ({ json: engine.answerText(state.question) }), (problem) => problem);
    show(found, engine.orProblem(() => engine.offers(state.question), () => null));
    performance.measure("answer", { start: from, end: performance.now() });
    keepAddress();
  };

  const load = (question: Question): void => {
    state.question = question;
    form.show(question);
    ask();
    form.element.scrollIntoView({ block: "start" });
  };

  const question = (): Question => state.question;
  const form = new Form(catalogue, state.question, ask);
  const view = new AnswerView();
  const compare = new CompareView(state.alternatives, question, load, keepAddress, ready);
  const plan = new PlanView(catalogue, background, state.plan, question, load, keepAddress);
  const share = new ShareView(catalogue, question, () => answered, ready);
  page.append(
    ...(problem ? [make("p", { class: "problem wide", role: "alert" }, text.problem(problem))] : []),
    form.element,
    view.element,
    compare.element,
    plan.element,
    share.element,
    view.glance,
  );
  show("json" in first.answered ? first.answered : new Problem(first.answered.sentence, first.answered.field), first.offers);
  for (const turn of ["pointerover", "touchstart", "focusin", "keydown"]) page.addEventListener(turn, () => void ready(), { once: true, passive: true });
  keepAddress();
  performance.mark("first answer");
  void keepOffline();

  // an address that is typed or pasted into the open page
  window.addEventListener("hashchange", () => {
    if (location.hash.slice(1) !== address) location.reload();
  });
}

run().catch((error: unknown) => {
  page.replaceChildren(make("p", { class: "problem wide", role: "alert" }, text.problem(error instanceof Error ? error.message : String(error))));
});
