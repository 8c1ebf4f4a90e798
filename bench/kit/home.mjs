import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { program } from "./built.mjs"
import { cleanEnvironment, endAtExit } from "./children.mjs"
import { waitUntil } from "./clock.mjs"

/** @typedef {{ pid: number, inbox: string, outbox: string }} Daemon */

/** A temporary working directory with its daemons. */
export class Home {
  /** @type {string} */
  directory = mkdtempSync(join(tmpdir(), "agentchat-bench-"))
  /** @type {Set<number>} */
  #pids = new Set()

  /** @param {import("./children.mjs").Defer} defer - registers its end */
  constructor(defer) {
    const forget = endAtExit(() => this.#remove())
    defer(() => {
      forget()
      this.#remove()
    })
  }

  /**
   * Runs a command to completion. @throws Error when it fails
   * @param {readonly string[]} args
   */
  run(args) {
    const done = spawnSync(process.execPath, [program, ...args], {
      cwd: this.directory,
      env: cleanEnvironment,
      encoding: "utf8",
    })
    if (done.status !== 0) throw new Error(`agentchat ${args.join(" ")}: ${done.stderr}`)
    return done.stdout
  }

  /**
   * Starts a daemon in the background and waits until it is online.
   * @param {string} name
   * @param {string} url
   * @param {readonly string[]} [args]
   * @returns {Promise<Daemon>}
   */
  async startDaemon(name, url, args = []) {
    this.run(["daemon", url, "--name", name, "--background", ...args])
    const files = join(this.directory, ".agentchat", "daemons", name)
    let pid = 0
    await waitUntil(`daemon ${name} to be online`, () => {
      const status = readStatus(join(files, "status.json"))
      pid = status.pid
      return status.connected
    })
    this.#pids.add(pid)
    return { pid, inbox: join(files, "inbox.jsonl"), outbox: join(files, "outbox.jsonl") }
  }

  #remove() {
    for (const pid of this.#pids) kill(pid)
    this.#pids.clear()
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** @typedef {{ connected: boolean, pid: number }} Status */

/** @param {string} path @returns {Status} */
function readStatus(path) {
  try {
    /** @type {unknown} */
    const status = JSON.parse(readFileSync(path, "utf8"))
    return /** @type {Status} */ (status)
  } catch {
    return { connected: false, pid: 0 }
  }
}

/** @param {number} pid */
function kill(pid) {
  try {
    process.kill(pid, "SIGKILL")
  } catch {
    // It has already ended.
  }
}
