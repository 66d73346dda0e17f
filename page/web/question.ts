// A question, and its address: the part of the page's URL after `#`, which no server sees.

export interface DroppedFile {
  name: string;
  text: string;
}

/** What is asked: fields of a job by column, as the flags of the command line take them. */
export interface Question {
  fields: Record<string, string>;
  region?: string;
  scope?: string;
  level?: number;
  files?: DroppedFile[];
}

/** Everything that the address holds. */
export interface State {
  question: Question;
  alternatives: Question[];
  plan: Record<string, string>;
}

export const MOST_ALTERNATIVES = 6;

/** Longest address that is read: browsers' own limits are above it. */
const MOST_CHARACTERS = 1_500_000;

/** Longest text of the files in an address, after it is unpacked. */
const MOST_FILE_BYTES = 1 << 20;

/** The question of a first visit. */
export function example(): Question {
  return {
    fields: { model: "llama-3.1-8b", tokens: "1B", seq_len: "4096", gpu: "h100-sxm5-80gb", gpus: "8" },
    region: "france",
  };
}

export class AddressError extends Error {}

/** The address of a state, without `#`. */
export async function toAddress(state: State): Promise<string> {
  const params = await questionParams(state.question);
  for (const alternative of state.alternatives) params.append("alt", (await questionParams(alternative)).toString());
  for (const [name, value] of Object.entries(state.plan)) if (value) params.append(`plan.${name}`, value);
  return params.toString();
}

/** The state of an address. Throws an {@link AddressError} that says what cannot be read. */
export async function fromAddress(address: string): Promise<State> {
  if (address.length > MOST_CHARACTERS) {
    throw new AddressError(`the address has ${address.length} characters, but at most ${MOST_CHARACTERS} are read`);
  }
  const params = new URLSearchParams(address);
  const alternatives = params.getAll("alt").slice(0, MOST_ALTERNATIVES);
  const plan: Record<string, string> = {};
  for (const [name, value] of params) if (name.startsWith("plan.")) plan[name.slice(5)] = value;
  return {
    question: await questionOf(params),
    alternatives: await Promise.all(alternatives.map((text) => questionOf(new URLSearchParams(text)))),
    plan,
  };
}

async function questionParams(question: Question): Promise<URLSearchParams> {
  const params = new URLSearchParams(question.fields);
  if (question.region) params.set("region", question.region);
  if (question.scope) params.set("scope", question.scope);
  if (question.level !== undefined) params.set("level", String(question.level));
  if (question.files?.length) params.set("files", await packed(JSON.stringify(question.files)));
  return params;
}

async function questionOf(params: URLSearchParams): Promise<Question> {
  const question: Question = { fields: {} };
  for (const [name, value] of params) {
    if (name === "alt" || name.startsWith("plan.") || value === "") continue;
    if (name === "region") question.region = value;
    else if (name === "scope") question.scope = value;
    else if (name === "level") {
      const level = Number(value);
      if (!(level > 0 && level < 1)) throw new AddressError(`level is ${value} in the address, but it must lie between 0 and 1`);
      question.level = level;
    } else if (name === "files") question.files = await filesOf(value);
    else question.fields[name] = value;
  }
  return question;
}

async function filesOf(text: string): Promise<DroppedFile[]> {
  let files: unknown;
  try {
    files = JSON.parse(await unpacked(text));
  } catch {
    throw new AddressError("the files in the address cannot be read; drop them again");
  }
  const isFile = (file: unknown): file is DroppedFile =>
    typeof file === "object" && file !== null && "name" in file && "text" in file && typeof file.name === "string" && typeof file.text === "string";
  if (!Array.isArray(files) || !files.every(isFile)) {
    throw new AddressError("the files in the address cannot be read; drop them again");
  }
  return files.map(({ name, text }) => ({ name, text }));
}

async function through(bytes: Uint8Array<ArrayBuffer>, stream: CompressionStream | DecompressionStream, most: number): Promise<Uint8Array<ArrayBuffer>> {
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    // a few bytes may unpack to many
    if (size > most) throw new AddressError("the files in the address are too large");
    chunks.push(value as Uint8Array<ArrayBuffer>);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

async function packed(text: string): Promise<string> {
  const bytes = await through(new TextEncoder().encode(text), new CompressionStream("deflate-raw"), Infinity);
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function unpacked(text: string): Promise<string> {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
  return new TextDecoder("utf-8", { fatal: true }).decode(await through(bytes, new DecompressionStream("deflate-raw"), 2 * MOST_FILE_BYTES));
}
