import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { programPath } from "./program.js"

/** The outcome of an order. */
interface Answer {
  readonly text?: string
  readonly error?: string
}

/**
 * A process with relays and hosts of daemons ({@link file://./shared-process.mjs}), for tests that neither kill nor measure
 * them: a process for each would take half a second of processor time to start.
 */
export class SharedProcess {
  static #only: SharedProcess | undefined
  readonly #process: ChildProcess = fork(join(import.meta.dirname, "shared-process.mjs"), [programPath])
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #lastId = 0

  private constructor() {
    // It ends with this process, and does not keep it.
    this.#process.unref()
    this.#process.channel?.unref()
    this.#process.on("message", (answer: Answer & { readonly id: number }) => {
      this.#waiting.get(answer.id)?.(answer)
      this.#waiting.delete(answer.id)
    })
    this.#process.on("exit", (code) => {
      for (const settle of this.#waiting.values()) settle({ error: `it ended with ${String(code)}` })
    })
  }

  /** The process of this worker. */
  static get(): SharedProcess {
    SharedProcess.#only ??= new SharedProcess()
    return SharedProcess.#only
  }

  static async end(): Promise<void> {
    if (SharedProcess.#only === undefined) return
    const child = SharedProcess.#only.#process
    SharedProcess.#only = undefined
    if (child.exitCode !== null) return
    child.kill("SIGKILL")
    await once(child, "exit")
  }

  /** Runs `agentchat serve --port 0 …args`. @returns its URL */
  relay(args: readonly string[], cwd: string): Promise<string> {
    return this.#ask({ op: "relay", args, cwd })
  }

  /** Opens a host that daemons of a home directory will join, unless it is open. */
  async openHost(home: string): Promise<void> {
    await this.#ask({ op: "host", home })
  }

  /** Ends a host and its daemons. */
  async closeHost(home: string): Promise<void> {
    await this.#ask({ op: "end", home })
  }

  #ask(order: object): Promise<string> {
    const id = ++this.#lastId
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ text, error }) => {
        if (text === undefined) reject(new Error(`the shared process: ${String(error)}`))
        else resolve(text)
      })
      this.#process.send({ id, ...order })
    })
  }
}
