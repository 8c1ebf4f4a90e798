import { spawnSync } from "node:child_process"
import { constants } from "node:os"
import { delimiter, join } from "node:path"
import process from "node:process"
import { root } from "./project.mjs"

/** Oldest supported Node.js, the same as `engines` in package.json. */
const oldestNode = { major: 20, minor: 19 }

/** @param {string} text - one line of progress or failure; stdout stays free for data */
export function say(text) {
  process.stderr.write(`agentchat: ${text}\n`)
}

/**
 * Prints a problem and its fix, then exits.
 * @param {string} problem
 * @param {string} hint
 * @param {number} [status] - exit status
 * @returns {never}
 */
export function fail(problem, hint, status = 1) {
  say(problem)
  say(`to fix it: ${hint}`)
  process.exit(status)
}

/** Exits if this Node.js is too old, before newer syntax fails with a confusing error. */
export function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
  if (major > oldestNode.major || (major === oldestNode.major && minor >= oldestNode.minor)) return
  const needed = `${oldestNode.major}.${oldestNode.minor}`
  fail(`Node.js ${process.versions.node} is too old`, `install Node.js ${needed} or newer, then try again`)
}

/**
 * Runs a program to completion in the project's folder, with node_modules/.bin on the PATH.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ quiet?: boolean }} [options] - `quiet` sends its stdout to our stderr
 * @returns {number} its exit status; 128 + n when signal n ended it, 127 when it could not be started
 */
export function run(program, args, { quiet = false } = {}) {
  const path = [join(root, "node_modules", ".bin"), process.env["PATH"]].join(delimiter)
  const result = spawnSync(program === "node" ? process.execPath : program, args, {
    cwd: root,
    env: { ...process.env, PATH: path },
    stdio: ["inherit", quiet ? 2 : "inherit", "inherit"],
  })
  if (result.signal !== null) return 128 + constants.signals[result.signal]
  return result.status ?? 127
}
