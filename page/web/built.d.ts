// Constants that `bundle.mjs` puts in.

/** Name of the library's WebAssembly. */
declare const WASM_FILE: string;

/** Name of the worker's script. */
declare const WORKER_FILE: string;

/** The built files, and what is checked that each holds. */
declare const KEPT: { name: string; integrity: string }[];

/** A hash of all of them. */
declare const VERSION: string;
