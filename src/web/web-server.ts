import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { Clock, Timer } from "../base/clock.js"
import { stackOf } from "../base/plain.js"
import type { AgentChatClient } from "../client/client.js"
import type { Identity } from "../identity/identity-file.js"
import { receiptOf } from "../proposals/receipt.js"
import { ChatError } from "../protocol/errors.js"
import { parseAgentRef } from "../protocol/names.js"
import { Access, type Entry } from "./access.js"
import { runAction } from "./actions.js"
import { DealBook } from "./deals.js"
import { EventStream } from "./event-stream.js"
import { History } from "./history.js"
import { Model } from "./model.js"
import { readPageFiles } from "./page-files.js"
import type { ReadPositions } from "./read-positions.js"
import { RelayFeed } from "./relay-feed.js"

/** Milliseconds for which changes are gathered before the pages get them. */
const gatherMs = 40
/** Milliseconds after a change of the positions until they are written. */
const saveMs = 1_000
const maxBodyBytes = 1024 * 1024
const maxConnections = 256
const actionPath = "/api/do/"

/** Options of the page's server. */
export interface WebServerOptions {
  /** Not connected yet. */
  readonly client: AgentChatClient
  /** Address of the relay. */
  readonly relayUrl: string
  readonly identity: Identity | undefined
  readonly name: string
  readonly host: string
  /** 0 for any free port. */
  readonly port: number
  readonly clock: Clock
  /** Keeps how far the person has read; absent: it is forgotten. */
  readonly positions: ReadPositions | undefined
  readonly log: (line: string) => void
  /** Called with the next link when one was used. */
  readonly onLink?: (link: string) => void
}

const securityHeaders = {
  "Cache-Control": "no-store",
  "Content-Security-Policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; "),
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
} as const

const notReady: Entry = { isAllowed: false, status: 403, reason: "not ready" }

type Query = URLSearchParams
type Read = (query: Query) => object | Promise<object>

/** The server of the page: a client of the relay with a browser in front of it. */
export class WebServer {
  readonly model: Model
  readonly feed: RelayFeed
  readonly #options: WebServerOptions
  readonly #server: Server
  readonly #files = readPageFiles()
  readonly #stream: EventStream
  readonly #deals = new DealBook()
  readonly #history: History
  readonly #reads: Readonly<Record<string, Read>>
  #access: Access | undefined
  #port = 0
  #gathering: Timer | undefined
  #saving: Timer | undefined

  private constructor(options: WebServerOptions) {
    const { client, relayUrl, identity, name, clock, log } = options
    this.#options = options
    const hasKey = identity !== undefined
    const me = { id: "", name, isOperator: false, canWrite: false, hasKey }
    const relay = { url: relayUrl, name: "", isOnline: false, sinceTs: clock.now() }
    this.model = new Model(
      { me, relay },
      () => clock.now(),
      () => this.#gather(),
    )
    this.#stream = new EventStream(clock)
    this.feed = new RelayFeed({
      ...{ client, model: this.model, deals: this.#deals, clock, log, hasKey, url: relayUrl },
      onServer: (serverId) => this.#restorePositions(serverId),
    })
    this.#history = new History(client, this.model, (message) => this.feed.rowOf(message))
    this.#reads = this.#makeReads()
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        log(`unexpected error: ${stackOf(error)}`)
        if (response.headersSent) response.destroy()
        else send(response, 500, { error: { code: "INTERNAL", message: "unexpected error" } })
      })
    })
    this.#server.maxConnections = maxConnections
  }

  /**
   * Connects to the relay and starts to serve the page.
   * @throws {ChatError} ALREADY_RUNNING if the port is taken; USAGE; as {@link AgentChatClient.connect}
   */
  static async start(options: WebServerOptions): Promise<WebServer> {
    const web = new WebServer(options)
    await web.#listen()
    try {
      await web.feed.start()
    } catch (error) {
      await web.close()
      throw error
    }
    return web
  }

  /** The address of the page, without a token. */
  get url(): string {
    const { host } = this.#options
    const shown =
      host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "[::1]" : host.includes(":") ? `[${host}]` : host
    return `http://${shown}:${this.#port}/`
  }

  /** The address to open: it lets one browser in. */
  get link(): string {
    return `${this.url}?token=${this.#access?.token ?? ""}`
  }

  async close(): Promise<void> {
    this.#gathering?.cancel()
    if (this.#saving !== undefined) this.#save()
    this.#stream.close()
    this.#server.closeAllConnections()
    this.#server.close()
    await this.feed.close()
  }

  #listen(): Promise<void> {
    const { port, host, onLink } = this.#options
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(error, port, host)))
      this.#server.listen(port, host, () => {
        const address = this.#server.address()
        this.#port = typeof address === "object" && address !== null ? address.port : port
        this.#access = new Access(host, this.#port, () => onLink?.(this.link))
        resolve()
      })
    })
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value)
    const { pathname: path, searchParams: query } = new URL(request.url ?? "/", "http://page")
    const token = path === "/" ? (query.get("token") ?? undefined) : undefined
    const entry = this.#access?.enter(request, token) ?? notReady
    if (!entry.isAllowed) sendText(response, entry.status, `${entry.reason}\n`)
    else {
      if (entry.setCookie !== undefined) response.setHeader("Set-Cookie", entry.setCookie)
      await this.#route(path, query, request, response)
    }
  }

  async #route(
    path: string,
    query: Query,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const read = Object.hasOwn(this.#reads, path) ? this.#reads[path] : undefined
    const file = this.#files.get(path)
    if (request.method === "POST" && path.startsWith(actionPath))
      await this.#act(path.slice(actionPath.length), request, response)
    else if (request.method !== "GET") sendText(response, 405, "only GET, and POST for actions\n")
    else if (path === "/api/events") this.#openStream(request, response)
    else if (read !== undefined) await answerWith(response, () => read(query))
    else if (file === undefined) sendText(response, 404, "not found\n")
    else {
      response.writeHead(200, { "Content-Type": file.type })
      response.end(file.body)
    }
  }

  #makeReads(): Readonly<Record<string, Read>> {
    const { model } = this
    const { client, clock } = this.#options
    return {
      "/api/state": () => ({ now: clock.now(), ...model.snapshot() }),
      "/api/messages": (query) =>
        this.#history.page({
          conversation: query.get("in") ?? "",
          before: query.get("before") ?? undefined,
          beforeTs: wholeIn(query, "beforeTs"),
          limit: wholeIn(query, "limit"),
        }),
      "/api/search": (query) => this.#history.search(query.get("q") ?? "", clock.now()),
      "/api/verify": (query) => {
        const statements = this.#deals.verify(query.get("deal") ?? "")
        if (statements === undefined) throw new ChatError("PROPOSAL_NOT_FOUND", "deal: is not known here")
        return { statements }
      },
      "/api/receipt": (query) => {
        const deal = this.#deals.find(query.get("deal") ?? "")
        const receipt = deal && receiptOf(deal)
        if (receipt === undefined) throw new ChatError("PROPOSAL_STATE", "deal: has no receipt yet")
        return receipt
      },
      "/api/guards": async (query) => {
        const agent = parseAgentRef(query.get("agent") ?? "")
        const { list } = await client.request({ type: "LIST_GUARDS", agent })
        return { list }
      },
    }
  }

  async #act(name: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    await answerWith(response, async () => {
      const { client, clock, identity } = this.#options
      const body = parseBody(await readBody(request))
      const serverId = () => this.feed.serverId
      const context = { client, model: this.model, feed: this.feed, clock, identity, serverId }
      const answer = await runAction(context, name, body)
      if (name === "read" || name === "send") this.#saveLater()
      return answer
    })
  }

  #openStream(request: IncomingMessage, response: ServerResponse): void {
    const { "last-event-id": lastId } = request.headers
    response.writeHead(200, { "Content-Type": "text/event-stream" })
    // Changes that are gathered belong to the events before the state.
    this.#flush()
    const state = () => JSON.stringify({ now: this.#options.clock.now(), ...this.model.snapshot() })
    if (!this.#stream.add(response, typeof lastId === "string" ? lastId : undefined, state)) response.end()
  }

  #gather(): void {
    this.#gathering ??= this.#options.clock.setTimer(() => this.#flush(), gatherMs, { unref: true })
  }

  #flush(): void {
    this.#gathering?.cancel()
    this.#gathering = undefined
    const change = this.model.take()
    if (change !== undefined) this.#stream.send(JSON.stringify(change))
  }

  #restorePositions(serverId: string): void {
    for (const [key, ts] of this.#options.positions?.of(serverId) ?? [])
      this.model.conversations.restorePosition(key, ts)
  }

  #saveLater(): void {
    this.#saving ??= this.#options.clock.setTimer(() => this.#save(), saveMs, { unref: true })
  }

  #save(): void {
    this.#saving?.cancel()
    this.#saving = undefined
    try {
      this.#options.positions?.save(this.feed.serverId, this.model.conversations.positions())
    } catch (error) {
      this.#options.log(`read positions are not saved: ${stackOf(error)}`)
    }
  }
}

/** Returns a whole number of a query; undefined if it is none. */
function wholeIn(query: Query, name: string): number | undefined {
  const text = query.get(name)
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

async function answerWith(response: ServerResponse, make: () => object | Promise<object>): Promise<void> {
  try {
    send(response, 200, await make())
  } catch (error) {
    if (!(error instanceof ChatError)) throw error
    const { code, message, hint, retryAfterMs } = error
    send(response, code === "NOT_FOUND" ? 404 : 400, { error: { code, message, hint, retryAfterMs } })
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "Content-Type": "application/json" })
  response.end(JSON.stringify(body))
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" })
  response.end(text)
}

/** @throws {ChatError} INVALID_MSG for a body that is too long */
async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    // The rest is read all the same, because a connection that is cut gets no answer.
    if (bytes <= maxBodyBytes) chunks.push(chunk)
  }
  if (bytes > maxBodyBytes) throw new ChatError("INVALID_MSG", `body: more than ${maxBodyBytes} bytes`)
  return Buffer.concat(chunks).toString("utf8")
}

/** @throws {ChatError} INVALID_MSG */
function parseBody(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new ChatError("INVALID_MSG", "body: must be JSON", { cause: error })
  }
}

function listenError(error: NodeJS.ErrnoException, port: number, host: string): ChatError {
  if (error.code === "EADDRINUSE") {
    return new ChatError("ALREADY_RUNNING", `port ${port} of ${host} is held by another program`, {
      hint: "stop it, or choose another port with --port",
      cause: error,
    })
  }
  return new ChatError("USAGE", `cannot listen on port ${port} of ${host} (${error.code ?? error.message})`, {
    cause: error,
  })
}
