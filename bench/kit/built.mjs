import { fileURLToPath } from "node:url"

const dist = new URL("../../dist/", import.meta.url)

/** The program under measurement. */
export const program = fileURLToPath(new URL("bin/agentchat.js", dist))

/**
 * Loads a built module. Callers type it from the source, because `tsc` runs before the build.
 * @param {string} path - below src/, with .js
 * @returns {Promise<unknown>}
 */
export function importBuilt(path) {
  return import(new URL(`src/${path}`, dist).href)
}
