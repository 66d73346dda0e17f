// The service worker: it keeps the built files, so that the page opens without a network.
//
// Online, the first file always comes from the host, so a new version shows at the next load. It names all others with a hash of what is in
// them, so a file that is kept under such a name is never an old one.

const FIRST = "index.html";
const PREFIX = "wattlaw-";
const CACHE = PREFIX + VERSION;

/** Pages that are open keep the files of the version before. */
const VERSIONS = 2;

interface ExtendableEvent extends Event {
  waitUntil: (work: Promise<unknown>) => void;
}

interface FetchEvent extends Event {
  readonly request: Request;
  respondWith: (response: Promise<Response>) => void;
}

/** What this thread has; the compiler is told of a page's globals, which a service worker's differ from. */
const scope = globalThis as unknown as {
  registration: { scope: string };
  clients: { claim: () => Promise<void> };
  skipWaiting: () => Promise<void>;
  addEventListener: {
    (name: "install" | "activate", listener: (event: ExtendableEvent) => void): void;
    (name: "fetch", listener: (event: FetchEvent) => void): void;
  };
};

/** Keeps every file. A host that is being changed may send other ones than were built together, which the browser refuses. */
async function keep(): Promise<void> {
  const cache = await caches.open(CACHE);
  await Promise.all(
    KEPT.map(async ({ name, integrity }) => {
      const response = await fetch(name, { integrity, cache: name === FIRST ? "no-cache" : "default" });
      if (!response.ok) throw new Error(`${name}: status ${response.status}`);
      await cache.put(name, response);
    }),
  );
  await scope.skipWaiting();
}

async function forgetOld(): Promise<void> {
  const versions = (await caches.keys()).filter((name) => name.startsWith(PREFIX));
  await Promise.all(versions.slice(0, -VERSIONS).map((name) => caches.delete(name)));
  await scope.clients.claim();
}

async function first(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch (error) {
    const cache = await caches.open(CACHE);
    const response = await cache.match(FIRST);
    if (!response) throw error;
    return response;
  }
}

const other = async (request: Request): Promise<Response> => (await caches.match(request)) ?? fetch(request);

scope.addEventListener("install", (event) => event.waitUntil(keep()));
scope.addEventListener("activate", (event) => event.waitUntil(forgetOld()));
scope.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  if (request.mode !== "navigate") return event.respondWith(other(request));
  const { origin, pathname } = new URL(request.url);
  if (["", FIRST].some((name) => origin + pathname === scope.registration.scope + name)) event.respondWith(first(request));
});
