import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
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
  /** @type {import("node:child_process").StdioOptions} */
  const stdio = ["inherit", quiet ? 2 : "inherit", "inherit"]
  return statusOf(spawnSync(executable(program), args, { ...surroundings(), stdio }))
}

/**
 * Runs a program like {@link run}, without standard input, and collects what it prints.
 * @param {string} program
 * @param {readonly string[]} args
 * @returns {Promise<{ status: number, output: string }>}
 */
export async function runQuietly(program, args) {
  const child = spawn(executable(program), args, { ...surroundings(), stdio: ["ignore", "pipe", "pipe"] })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += String(chunk)))
  const closed = once(child, "close").catch((/** @type {unknown} */ error) => {
    output += `${String(error)}\n`
    return [null, null]
  })
  const [status, signal] = /** @type {[number | null, NodeJS.Signals | null]} */ (await closed)
  return { status: statusOf({ status, signal }), output }
}

/** @param {string} program */
function executable(program) {
  return program === "node" ? process.execPath : program
}

function surroundings() {
  const path = [join(root, "node_modules", ".bin"), process.env["PATH"]].join(delimiter)
  return { cwd: root, env: { ...process.env, PATH: path } }
}

/** @param {{ status: number | null, signal: NodeJS.Signals | null }} result */
function statusOf({ status, signal }) {
  return signal === null ? (status ?? 127) : 128 + constants.signals[signal]
}
