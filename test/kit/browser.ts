import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { WebSocket } from "ws"

interface Reply {
  readonly id?: number
  readonly method?: string
  readonly params?: Readonly<Record<string, unknown>>
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: { readonly message: string }
}

/** Headless Chromium, driven over the DevTools protocol. */
export class Browser {
  /** Every URL the page requested, including its own. */
  readonly requests: string[] = []
  /** Console output and errors of the page. */
  readonly complaints: string[] = []
  readonly #socket: WebSocket
  readonly #stop: () => Promise<void>
  readonly #waiting = new Map<number, (reply: Reply) => void>()
  #session = ""
  #lastId = 0

  private constructor(socket: WebSocket, stop: () => Promise<void>) {
    this.#socket = socket
    this.#stop = stop
    socket.on("message", (data: Buffer) => this.#take(JSON.parse(data.toString()) as Reply))
  }

  /** Starts the browser with one empty page. */
  static async start(): Promise<Browser> {
    const profile = mkdtempSync(join(tmpdir(), "agentchat-browser-"))
    const flags = [
      "--headless=new",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--no-first-run",
    ]
    const child = spawn(
      "chromium",
      [...flags, "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"],
      { stdio: ["ignore", "ignore", "pipe"], detached: true },
    )
    const ended = once(child, "exit")
    const stop = async () => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL")
      await ended
      rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
    }
    for await (const line of createInterface({ input: child.stderr })) {
      const url = /^DevTools listening on (ws:\S+)/.exec(line)?.[1]
      if (url === undefined) continue
      child.stderr.resume()
      const socket = new WebSocket(url, { perMessageDeflate: false })
      await once(socket, "open")
      const browser = new Browser(socket, stop)
      await browser.#open()
      return browser
    }
    await stop()
    throw new Error("chromium ended before it could be driven")
  }

  async #open(): Promise<void> {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" })
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true })
    this.#session = String(sessionId)
    for (const domain of ["Page", "Runtime", "Network", "Log", "DOM"]) await this.send(`${domain}.enable`)
  }

  /** Sends one protocol command. */
  async send(method: string, params: object = {}): Promise<Readonly<Record<string, unknown>>> {
    const id = ++this.#lastId
    const session = this.#session === "" ? {} : { sessionId: this.#session }
    const answered = new Promise<Reply>((resolve) => this.#waiting.set(id, resolve))
    this.#socket.send(JSON.stringify({ id, method, params, ...session }))
    const { result, error } = await answered
    if (error !== undefined) throw new Error(`${method}: ${error.message}`)
    return result ?? {}
  }

  /** Opens a page and waits until it has loaded. */
  async visit(url: string): Promise<void> {
    await this.send("Page.navigate", { url })
    await this.evaluate(
      `new Promise((done) => document.readyState === "complete" ? done() : addEventListener("load", () => done()))`,
    )
  }

  /** Evaluates an expression in the page and awaits its value. */
  async evaluate(expression: string): Promise<unknown> {
    const options = { expression, awaitPromise: true, returnByValue: true }
    const { result, exceptionDetails } = (await this.send("Runtime.evaluate", options)) as {
      result: { value?: unknown }
      exceptionDetails?: unknown
    }
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails))
    return result.value
  }

  /** Chooses a file in the input that matches `selector`. */
  async chooseFile(selector: string, path: string): Promise<void> {
    const { root } = (await this.send("DOM.getDocument")) as { root: { nodeId: number } }
    const { nodeId } = await this.send("DOM.querySelector", { nodeId: root.nodeId, selector })
    await this.send("DOM.setFileInputFiles", { files: [path], nodeId })
  }

  async close(): Promise<void> {
    this.#socket.terminate()
    await this.#stop()
  }

  #take({ id, method, params, ...reply }: Reply): void {
    if (id !== undefined) {
      this.#waiting.get(id)?.(reply)
      this.#waiting.delete(id)
    } else if (method === "Network.requestWillBeSent") {
      this.requests.push((params as { request: { url: string } }).request.url)
    } else if (method === "Log.entryAdded" || method === "Runtime.exceptionThrown") {
      this.complaints.push(JSON.stringify(params))
    }
  }
}
