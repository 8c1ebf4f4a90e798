import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { fileURLToPath } from "node:url"

/** The project's root folder; scripts run in it wherever they are called from. */
export const root = fileURLToPath(new URL("..", import.meta.url))

/**
 * @param {string} path - absolute, or from the project's folder
 * @returns {unknown} undefined when the file is absent or not JSON
 */
export function readJson(path) {
  try {
    return JSON.parse(readFileSync(resolve(root, path), "utf8"))
  } catch {
    return undefined
  }
}
