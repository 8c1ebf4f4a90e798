import { mkdirSync } from "node:fs"
import { isFileError } from "../problems.js"

/**
 * Makes a directory of this user's own, with its parents, unless it exists.
 * @throws the true reason: a recursive `mkdirSync` says ENOENT where the disk is full or read-only
 */
export function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if (!isFileError(error)) throw error
    if (error.code === "EEXIST") return
    if (error.code !== "ENOENT") throw error
    mkdirSync(path, { mode: 0o700, recursive: true })
  }
}
