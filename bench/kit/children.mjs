// Child processes that never outlive a benchmark, however it ends.
import { fork, spawn } from "node:child_process"
import { once } from "node:events"
import process from "node:process"

/**
 * @template {Record<string, (body: never) => unknown>} Api
 * @typedef {object} Helper - a module of bench/ that runs in its own process
 * @property {number} pid
 * @property {<Name extends keyof Api & string>(name: Name, body: Parameters<Api[Name]>[0]) => Promise<Awaited<ReturnType<Api[Name]>>>} ask
 */

/** @typedef {(end: () => unknown) => void} Defer - registers a cleanup for the end of a measurement */
/** @typedef {{ ask: number, name: string, body: unknown }} Question */
/** @typedef {{ answers: number, value?: unknown, error?: string }} Answer */

/** Milliseconds after which a question has failed, so that a hanging benchmark reports it. */
const patienceMs = 180_000

/** Functions that kill the running child processes. @type {Set<() => void>} */
const endings = new Set()

process.on("exit", () => {
  for (const end of endings) end()
})
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
  process.on(signal, () => process.exit(130))
}

/** The user's own settings must not reach the programs under measurement. */
export const cleanEnvironment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith("AGENTCHAT_")),
)

/**
 * Runs `body`, then everything it deferred, last first, even if it failed.
 * @template T
 * @param {(defer: Defer) => Promise<T>} body
 */
export async function withCleanup(body) {
  /** @type {(() => unknown)[]} */
  const deferred = []
  try {
    return await body((end) => deferred.push(end))
  } finally {
    for (const end of deferred.reverse()) await end()
  }
}

/**
 * Calls `end` when this process exits, unless the returned function is called first.
 * @param {() => void} end
 */
export function endAtExit(end) {
  endings.add(end)
  return () => endings.delete(end)
}

/**
 * Starts a program and keeps its output for the error message.
 * @param {string} file - "node" means the Node.js that runs this
 * @param {readonly string[]} args
 * @param {{ cwd?: string }} [options]
 */
export function startProgram(file, args, { cwd } = {}) {
  const child = spawn(file === "node" ? process.execPath : file, args, {
    cwd,
    env: cleanEnvironment,
    stdio: ["ignore", "pipe", "pipe"],
  })
  let printed = ""
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      printed = `${printed}${String(chunk)}`.slice(-4_000)
    })
  }
  return {
    pid: child.pid ?? 0,
    printed: () => printed,
    end: guard(child),
    hasEnded: () => child.exitCode !== null,
  }
}

/**
 * Starts a module that calls {@link answer}.
 * @template {Record<string, (body: never) => unknown>} Api
 * @param {URL} module
 * @param {Defer} defer - registers its end
 * @returns {Helper<Api>}
 */
export function startHelper(module, defer) {
  const child = fork(module, { env: cleanEnvironment, serialization: "advanced" })
  defer(guard(child))
  let asked = 0
  return { pid: child.pid ?? 0, ask: (name, body) => question(child, { ask: ++asked, name, body }) }
}

/**
 * @param {import("node:child_process").ChildProcess} child
 * @param {Question} question
 * @returns {Promise<any>}
 */
function question(child, question) {
  return new Promise((resolve, reject) => {
    const onExit = (/** @type {number | null} */ status, /** @type {string | null} */ signal) =>
      reject(new Error(`${question.name}: the process ended by ${signal ?? `status ${String(status)}`}`))
    const onLate = () => reject(new Error(`${question.name}: no answer in ${patienceMs / 1_000} s`))
    const impatience = setTimeout(onLate, patienceMs).unref()
    /** @param {unknown} message */
    const onMessage = (message) => {
      const { answers, value, error } = /** @type {Answer} */ (message)
      if (answers !== question.ask) return
      clearTimeout(impatience)
      child.off("exit", onExit).off("message", onMessage)
      if (error === undefined) resolve(value)
      else reject(new Error(`${question.name}: ${error}`))
    }
    child.on("exit", onExit).on("message", onMessage)
    child.send(question)
  })
}

/**
 * The other end of {@link startHelper}: answers the questions of the parent process.
 * @param {Record<string, (body: never) => unknown>} api
 */
export function answer(api) {
  process.on("disconnect", () => process.exit(0))
  process.on("message", (message) => {
    const { ask, name, body } = /** @type {Question} */ (message)
    const run = () => api[name]?.(/** @type {never} */ (body))
    Promise.resolve()
      .then(run)
      .then(
        (value) => process.send?.({ answers: ask, value }),
        (/** @type {unknown} */ error) => process.send?.({ answers: ask, error: String(error) }),
      )
  })
}

/** @param {import("node:child_process").ChildProcess} child */
function guard(child) {
  const forget = endAtExit(() => child.kill("SIGKILL"))
  child.once("exit", forget)
  return async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, "exit")
    child.kill("SIGTERM")
    const impatience = setTimeout(() => child.kill("SIGKILL"), 3_000)
    await ended
    clearTimeout(impatience)
  }
}
