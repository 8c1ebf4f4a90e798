import { fileURLToPath } from "node:url"

const dist = new URL("../../dist/", import.meta.url)

/** The program that is measured. */
export const program = fileURLToPath(new URL("bin/agentchat.js", dist))

/**
 * Loads a built module. Its types are those of the source, because `tsc` checks before anything is built.
 * @param {string} path - below src/, with .js
 * @returns {Promise<unknown>}
 */
export function importBuilt(path) {
  return import(new URL(`src/${path}`, dist).href)
}
