// Relays and hosts of daemons that live in one process, because starting Node for each takes longer than most tests:
//
//     node shared-process.mjs PROGRAM    (with an IPC channel; PROGRAM is dist/bin/agentchat.js)
//
// It takes orders with an id, and answers each with that id and a text, or an error.
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import process from "node:process"
import { Readable, Writable } from "node:stream"
import { pathToFileURL } from "node:url"

/**
 * @typedef {{ id: number, op: "relay", args: string[], cwd: string }} RelayOrder
 * @typedef {{ id: number, op: "host", home: string }} HostOrder
 * @typedef {{ id: number, op: "end", home: string }} EndOrder
 */

const programPath = process.argv[2] ?? ""
const sources = join(dirname(programPath), "../src")
/** @param {string} path @returns {Promise<unknown>} */
const load = (path) => import(pathToFileURL(join(sources, path)).href)
const { runProgram } = /** @type {typeof import("../../src/cli/program.js")} */ (await load("cli/program.js"))
const { systemClock } = /** @type {typeof import("../../src/base/clock.js")} */ (await load("base/clock.js"))
const { ensureHome, openHome } = /** @type {typeof import("../../src/daemon/files/home.js")} */ (
  await load("daemon/files/home.js")
)
const { openHostProcess } = /** @type {typeof import("../../src/daemon/process/host.js")} */ (
  await load("daemon/process/host.js")
)

const uid = process.getuid?.() ?? 0
const runtimeDirs = [process.env["XDG_RUNTIME_DIR"], tmpdir(), "/tmp"]
/** The hosts by home, with the function that ends each. @type {Map<string, () => Promise<unknown>>} */
const hosts = new Map()

process.on("message", (/** @type {RelayOrder | HostOrder | EndOrder} */ order) => {
  answer(order).then(
    (text) => process.send?.({ id: order.id, text }),
    (/** @type {unknown} */ error) => process.send?.({ id: order.id, error: String(error) }),
  )
})
process.on("disconnect", () => process.exit(0))

/** @param {RelayOrder | HostOrder | EndOrder} order @returns {Promise<string>} */
async function answer(order) {
  if (order.op === "relay") return openRelay(order.args, order.cwd)
  if (order.op === "host") return openHost(order.home)
  await hosts.get(order.home)?.()
  return order.home
}

/** Runs `agentchat serve`. @param {string[]} args @param {string} cwd @returns {Promise<string>} its URL */
function openRelay(args, cwd) {
  const io = {
    json: () => {},
    err: () => {},
    outliveOutput: () => {},
    flush: () => Promise.resolve(),
    input: Readable.from([]),
    output: new Writable(),
    isOutputTerminal: false,
    columns: undefined,
    isInputTerminal: false,
    hasColor: false,
  }
  const system = {
    version: "0.0.0",
    pid: process.pid,
    uid,
    nodePath: process.execPath,
    nodeVersion: process.version,
    scriptPath: programPath,
    runtimeDirs,
    searchPath: "",
    cwd,
    random: Math.random,
    parentPid: () => process.ppid,
    kill: () => {},
    onUncaught: () => {},
    interruption: () => new AbortController().signal,
    onHangup: () => {},
  }
  return new Promise((resolve, reject) => {
    const out = (/** @type {string} */ line) => {
      const url = /wss?:\/\/\S+/.exec(line)?.[0]
      if (url !== undefined) resolve(url)
    }
    const options = { io: { ...io, out }, clock: systemClock, system, env: {} }
    runProgram(["serve", "--port", "0", ...args], options).then(
      (status) => reject(new Error(`the relay ended with ${status}`)),
      reject,
    )
  })
}

/** Opens a host that daemons of a home will join, unless it is open. @param {string} home @returns {Promise<string>} */
async function openHost(home) {
  if (hosts.has(home)) return home
  const root = openHome(home, uid)
  ensureHome(root)
  const host = await openHostProcess({
    root,
    shared: true,
    clock: systemClock,
    random: Math.random,
    pid: process.pid,
    uid,
    runtimeDirs,
    log: () => {},
  })
  const closed = host.ended.then(() => {
    hosts.delete(home)
    return host.close()
  })
  hosts.set(home, async () => {
    const isEmpty = host.size === 0
    await host.stopAll()
    await (isEmpty ? host.close() : closed)
  })
  return home
}
