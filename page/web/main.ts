// The page: a question in, its answer at once, and the address that holds the question.

import { AnswerView } from "./answer";
import { Background } from "./background";
import { CompareView } from "./compare";
import { make } from "./dom";
import * as engine from "./engine";
import { Problem } from "./engine";
import { Form } from "./form";
import { PlanView } from "./plan";
import { AddressError, example, fromAddress, toAddress } from "./question";
import type { Question, State } from "./question";
import { ShareView } from "./share";
import { text } from "./strings";
import type { Answer, Offers } from "./types";

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

/** Keeps the page for when there is no network. Where the browser does not, as in a private window, nothing else is lost. */
function keepOffline(): void {
  navigator.serviceWorker?.register("offline.js", { updateViaCache: "none" }).catch(() => {});
}

async function run(): Promise<void> {
  const loading = make("p", { class: "wide", role: "status" }, text.loading);
  page.append(loading);
  const [module, { state, problem }] = await Promise.all([engine.compiled(), read()]);
  await engine.start(module);
  loading.remove();

  const catalogue = engine.catalogue();
  const background = new Background(module);
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

  const offers = (): Offers | null => {
    try {
      return engine.offers(state.question);
    } catch (error) {
      if (error instanceof Problem) return null;
      throw error;
    }
  };

  const ask = (): void => {
    const from = performance.now();
    try {
      const json = engine.answerText(state.question);
      answered = { json, answer: JSON.parse(json) as Answer };
      view.show(answered.answer);
      form.problem(null);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      answered = null;
      view.problem(form.problem(error) ? "" : error.message);
    }
    form.answered(answered?.answer ?? null, offers());
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
  const compare = new CompareView(state.alternatives, question, load, keepAddress);
  const plan = new PlanView(catalogue, background, state.plan, question, load, keepAddress);
  const share = new ShareView(catalogue, question, () => answered);
  page.append(
    ...(problem ? [make("p", { class: "problem wide", role: "alert" }, text.problem(problem))] : []),
    form.element,
    view.element,
    compare.element,
    plan.element,
    share.element,
    view.glance,
  );
  ask();
  performance.mark("first answer");
  keepOffline();

  // an address that is typed or pasted into the open page
  window.addEventListener("hashchange", () => {
    if (location.hash.slice(1) !== address) location.reload();
  });
}

run().catch((error: unknown) => {
  page.replaceChildren(make("p", { class: "problem wide", role: "alert" }, text.problem(error instanceof Error ? error.message : String(error))));
});
