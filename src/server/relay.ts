import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { join } from "node:path"
import type { Duplex } from "node:stream"
import type { Backbone } from "../backbone/backbone.js"
import { openMemoryBackbone } from "../backbone/memory/memory-backbone.js"
import type { Clock, Timer } from "../base/clock.js"
import type { Log } from "../base/log.js"
import { PageRules } from "../base/page-rules.js"
import { stackOf } from "../base/plain.js"
import { noTracer, type Tracer } from "../base/tracer.js"
import { WebSocketServer } from "../base/websocket.js"
import { defaultGuardLimits, type GuardLimits } from "../guards/limits.js"
import { ChatError } from "../protocol/errors.js"
import { defaultLimits, type Limits } from "../protocol/limits.js"
import { maxSpaces, parseSpaceName, type SpaceName, spacePath, splitSpacePath } from "../protocol/spaces.js"
import { isForChannels } from "./coordination/routes.js"
import { countRepeats } from "./counted-log.js"
import {
  answerRequest,
  createHttpFront,
  type HealthReport,
  type HttpAnswer,
  listen,
  replaceCertificate,
  responseOn,
  sendAnswer,
  type TlsFiles,
  textAnswer,
} from "./http.js"
import { mayReadMetrics } from "./metrics-access.js"
import { observeBackbone } from "./observed-backbone.js"
import { noObserver } from "./observer.js"
import { Operators } from "./operators.js"
import type { RelayGauges, RelayMetrics } from "./relay-metrics.js"
import type { RelaySettings } from "./services.js"
import { ByteBudget } from "./sessions/byte-budget.js"
import { ClientAddress } from "./sessions/client-address.js"
import { IpLimiter } from "./sessions/ip-limiter.js"
import { addressOrigin } from "./sessions/origin.js"
import { limitsOfSpace, type SharedLimits, Space, type SpaceGauges } from "./space.js"

/** How a relay is started. */
export interface RelayOptions {
  /** 0 for any free port. */
  readonly port: number
  readonly host: string
  /** The name in WELCOME (default "agentchat"). */
  readonly name?: string
  /** Shown by /health. */
  readonly version?: string
  /** True if the contents of messages are logged. */
  readonly logMessages?: boolean
  readonly limits?: Partial<Limits>
  /** Limits of the guards that differ from the defaults. */
  readonly guards?: Partial<GuardLimits>
  /** Keys (did:key) and ids of agents that no guard stops, and that may reset guards. */
  readonly operators?: readonly string[]
  /** True if only agents with a grant of an operator may enter. */
  readonly closed?: boolean
  /** True if two operators have to agree on deleting the history of a channel. */
  readonly twoPerson?: boolean
  /** True if the handshake of the first AgentChat is accepted too. */
  readonly compat?: boolean
  readonly tls?: TlsFiles
  /** Origins of web pages that may connect besides the relay's own, such as `https://chat.example.org`. */
  readonly allowedOrigins?: readonly string[]
  /** Addresses and networks of reverse proxies whose `X-Forwarded-For` names the client. */
  readonly trustedProxies?: readonly string[]
  /** File descriptor of a socket that listens already, in place of `host` and `port`. */
  readonly listenFd?: number
  /** Directory of the store. Without it, and without `backbone`, everything is kept in memory. */
  readonly data?: string
  /** Addresses of NATS servers that hold the store and connect several relays; or what opens the store of a space. */
  readonly backbone?: string | Backbone | ((space: SpaceName | undefined) => Promise<Backbone>)
  /** The start of the URLs of coordination channels (default: the address of the relay). */
  readonly httpBase?: string
  /** Names of spaces: chats of their own at `/space/NAME`. Without them the relay is one chat, at `/`. */
  readonly spaces?: readonly string[]
  readonly clock: Clock
  readonly log: Log
  /** Offers `GET /metrics`: to whom has the token, or without one to this machine. */
  readonly metrics?: { readonly token?: string | undefined }
  readonly tracer?: Tracer
}

/** Milliseconds {@link Relay.stop} waits for peers to answer the close frame. */
const stopMs = 3_000
/** Connections besides those of sessions: for /health, and to answer that the relay is full. */
const spareConnections = 1_000
/** A frame of up to this many times the limit is refused with an error; a longer one ends the connection (1009). */
const cutFactor = 4

/**
 * Starts a relay. Without `data` or `backbone` it writes nothing to disk.
 * @throws {ChatError} ALREADY_RUNNING if the port is taken; USAGE if the port, the certificate or the spaces cannot be used;
 * INVALID_NAME for the name of a space
 */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const metrics =
    options.metrics === undefined ? undefined : new (await import("./relay-metrics.js")).RelayMetrics()
  const names = spaceNames(options)
  const limits = resolveLimits(options.limits)
  const shared = {
    ipLimiter: new IpLimiter(limits, options.clock, options.log),
    budgets: {
      intake: new ByteBudget(limits.intakeTotalBytes),
      queues: new ByteBudget(limits.queueTotalBytes),
    },
  }
  const spaces: Space[] = []
  try {
    for (const name of names) {
      const own = { name, limits: limitsOfSpace(limits, names.length), observer: metrics ?? noObserver }
      const settings = resolveSettings(options, own)
      const opened = await openBackbone(options, settings.log, name)
      const backbone = metrics === undefined ? opened : observeBackbone(opened, metrics, options.clock)
      spaces.push(await Space.open(name, settings, backbone, shared))
    }
    const relay = new Relay(options, limits, spaces, { ...shared, metrics })
    await relay.listen()
    return relay
  } catch (error) {
    for (const space of spaces) await space.abandon()
    throw error
  }
}

/** @throws {ChatError} INVALID_NAME, USAGE */
function spaceNames({ spaces = [], backbone }: RelayOptions): readonly (SpaceName | undefined)[] {
  if (spaces.length === 0) return [undefined]
  const names = spaces.map(parseSpaceName)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new ChatError("USAGE", `space: ${twice} is named twice`)
  if (names.length > maxSpaces) {
    throw new ChatError("USAGE", `space: a relay has at most ${maxSpaces} spaces, not ${names.length}`)
  }
  if (typeof backbone === "object") {
    throw new ChatError(
      "USAGE",
      "spaces: a backbone that is open has one chat; give a function that opens them",
    )
  }
  return names
}

function resolveLimits(changed: Partial<Limits> = {}): Limits {
  const limits = { ...defaultLimits, ...changed }
  // A second's worth of messages may always come at once.
  return { ...limits, rateBurst: Math.max(limits.rateBurst, limits.ratePerSecond) }
}

function resolveSettings(
  options: RelayOptions,
  {
    name: space,
    limits,
    observer,
  }: Pick<RelaySettings, "limits" | "observer"> & { readonly name: SpaceName | undefined },
): RelaySettings {
  const { clock, log, name = "agentchat", compat = false, logMessages = false } = options
  const { twoPerson = false, closed = false, tracer = noTracer } = options
  return {
    name,
    limits,
    guards: { ...defaultGuardLimits, ...options.guards },
    operators: Operators.of(options.operators ?? []),
    isCompat: compat,
    httpBase: "",
    isTwoPerson: twoPerson,
    isClosed: closed,
    logMessages,
    clock,
    log: space === undefined ? log : (line, level) => log(`space ${space}: ${line}`, level),
    observer,
    tracer,
  }
}

/** Opens the store of a space: a directory, or streams of NATS, that no other space has. */
async function openBackbone(
  { clock, data, backbone: servers }: RelayOptions,
  log: RelayOptions["log"],
  space: SpaceName | undefined,
): Promise<Backbone> {
  if (data !== undefined && servers !== undefined) {
    throw new ChatError("USAGE", "data and backbone are mutually exclusive")
  }
  if (data !== undefined) {
    const { openSqliteBackbone } = await import("../backbone/sql/sqlite-backbone.js")
    return openSqliteBackbone({ dir: dataOf(data, space), clock, log })
  }
  if (servers !== undefined) {
    if (typeof servers === "function") return servers(space)
    if (typeof servers !== "string") return servers
    const { openNatsBackbone } = await import("../backbone/nats/nats-backbone.js")
    const own = space === undefined ? {} : { space: `agentchat-${space}` }
    return openNatsBackbone({ servers, ...own, clock, log })
  }
  return openMemoryBackbone({ clock })
}

function dataOf(data: string, space: SpaceName | undefined): string {
  return space === undefined ? data : join(data, "space", space)
}

/** A chat of a running relay. */
export interface RunningSpace {
  readonly name: SpaceName | undefined
  readonly serverId: string
  /** Address for clients. */
  readonly url: string
  /** Directory of its store; undefined without `data`. */
  readonly data: string | undefined
  /** Writes a copy of the store to a new file, while the relay runs. @throws {ChatError} UNSUPPORTED, UNAVAILABLE */
  copyStore(file: string): Promise<void>
}

/** The part of a relay that a request is for. */
interface Target {
  /** Undefined if there is none. */
  readonly space: Space | undefined
  /** The path and query within the space. */
  readonly url: string
  /** True if the path is that of a space. */
  readonly isInSpace: boolean
}

/** A running relay. */
export class Relay {
  readonly #options: RelayOptions
  readonly #limits: Limits
  /** By name; by undefined the only one of a relay without spaces. */
  readonly #spaces: ReadonlyMap<string | undefined, Space>
  readonly #server: Server
  readonly #webSockets: WebSocketServer
  /** Absent unless they are asked for. */
  readonly #metrics: RelayMetrics | undefined
  readonly #ipLimiter: IpLimiter
  readonly #budgets: SharedLimits["budgets"]
  readonly #warn: (line: string) => void
  readonly #clientAddress: ClientAddress
  #pageRules: PageRules
  readonly #startedMs: number
  #host: string
  #port = 0
  #probeTimer: Timer | undefined
  #stopped: Promise<void> | undefined

  constructor(
    options: RelayOptions,
    limits: Limits,
    spaces: readonly Space[],
    { ipLimiter, budgets, metrics }: SharedLimits & { readonly metrics: RelayMetrics | undefined },
  ) {
    this.#metrics = metrics
    metrics?.watch(() => this.#gauges())
    this.#budgets = budgets
    const { clock, log } = options
    this.#options = options
    this.#limits = limits
    this.#spaces = new Map(spaces.map((space) => [space.name, space]))
    this.#ipLimiter = ipLimiter
    this.#warn = countRepeats(log, clock)
    this.#startedMs = clock.monotonic()
    this.#host = options.host
    this.#clientAddress = new ClientAddress(options.trustedProxies ?? [])
    this.#server = createHttpFront(
      (request, response) => this.#handle(request, response),
      options.tls,
      limits.handshakeMs,
    )
    this.#pageRules = this.#makePageRules(options.host)
    this.#webSockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      maxPayload: cutFactor * limits.frameBytes,
    })
  }

  #makePageRules(host: string): PageRules {
    const { allowedOrigins = [], httpBase } = this.#options
    const own = httpBase === undefined ? [] : [new URL(httpBase).origin]
    return new PageRules(host, [...allowedOrigins, ...own])
  }

  get port(): number {
    return this.#port
  }

  get url(): string {
    const { tls } = this.#options
    const host = this.#host
    return `${tls === undefined ? "ws" : "wss"}://${host.includes(":") ? `[${host}]` : host}:${this.#port}`
  }

  /** Id of the relay; of its first space if it has some. */
  get serverId(): string {
    return this.spaces[0]?.serverId ?? ""
  }

  /** The spaces of the relay; one without a name if it has none. */
  get spaces(): readonly RunningSpace[] {
    const { data } = this.#options
    return Array.from(this.#spaces.values(), (space) => ({
      name: space.name,
      serverId: space.serverId,
      url: `${this.url}${space.name === undefined ? "" : spacePath(space.name)}`,
      data: data === undefined ? undefined : dataOf(data, space.name),
      copyStore: (file) => space.copyStore(file),
    }))
  }

  /** Returns the body of `GET /health`: of all spaces, or of one. */
  health(one?: Space): HealthReport {
    const { clock, name = "agentchat", version } = this.#options
    const { serverId } = one ?? this.#spaces.get(undefined) ?? {}
    const { sessions, channels, isStoreReachable } = this.#gauges(one)
    const [kind] = Array.from(this.#spaces.values(), ({ storeKind }) => storeKind)
    return {
      ok: this.#stopped === undefined && isStoreReachable,
      name,
      ...(serverId === undefined ? { spaces: this.#spaces.size } : { server_id: serverId }),
      ...(version !== undefined && { version }),
      uptime_s: Math.floor((clock.monotonic() - this.#startedMs) / 1000),
      sessions: one === undefined ? this.#webSockets.clients.size : one.gauges().connections,
      agents: sessions,
      channels,
      store: { kind, reachable: isStoreReachable },
    }
  }

  /** Reports whether the relay takes messages: it has started, does not stop, and reaches its storage. */
  #isReady(one?: Space): boolean {
    return this.#port > 0 && this.#stopped === undefined && this.#gauges(one).isStoreReachable
  }

  /** Returns the sums over all spaces, or the numbers of one. */
  #gauges(one?: Space): RelayGauges {
    const all = (one === undefined ? [...this.#spaces.values()] : [one]).map((space) => space.gauges())
    const sum = (field: Exclude<keyof SpaceGauges, "isStoreReachable">) =>
      all.reduce((total, gauges) => total + gauges[field], 0)
    return {
      connections: this.#webSockets.clients.size,
      sessions: sum("sessions"),
      channels: sum("channels"),
      agents: sum("agents"),
      mailboxMessages: sum("mailboxMessages"),
      mailboxBytes: sum("mailboxBytes"),
      queueBytes: this.#budgets.queues.usedBytes,
      isStoreReachable: all.every(({ isStoreReachable }) => isStoreReachable),
    }
  }

  /** Called once, by {@link startRelay}. */
  async listen(): Promise<void> {
    const { port, host, listenFd, log, compat } = this.#options
    this.#server.maxConnections = this.#limits.sessions + spareConnections
    this.#server.on("connection", (socket: Socket) => this.#onConnection(socket))
    const bound = await listen(this.#server, listenFd === undefined ? { port, host } : { fd: listenFd })
    this.#port = bound.port
    if (listenFd !== undefined) {
      this.#host = bound.address
      this.#pageRules = this.#makePageRules(bound.address)
    }
    this.#server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#onUpgrade(request, socket, head),
    )
    // For example when file descriptors run out: the connection is lost, the relay is not.
    this.#server.on("error", (error) => log(`a connection could not be accepted: ${error.message}`))
    this.#scheduleProbe()
    for (const space of this.#spaces.values())
      space.start(this.#options.httpBase ?? this.url.replace(/^ws/, "http"))
    for (const { url, serverId } of this.spaces) log(`listening: ${url} as ${serverId}`)
    if (compat === true) log("compat: the older handshake, which names no relay, is accepted too")
  }

  /**
   * Replaces the limits of the guards, the operators, and the certificate of new connections; sessions, and what was
   * counted and stopped, stay.
   * @throws {ChatError} INVALID_MSG for an operator, USAGE for a certificate; nothing has changed then
   */
  reload({ guards, operators, tls }: Pick<RelayOptions, "guards" | "operators" | "tls">): void {
    // Throws before anything has changed.
    Operators.of(operators ?? [])
    if (tls !== undefined) replaceCertificate(this.#server, tls)
    for (const space of this.#spaces.values()) space.reload(guards, operators ?? [])
  }

  /** Closes all sessions, waits up to 3 s until they are gone, and frees the port. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    const { clock, log } = this.#options
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
    this.#probeTimer?.cancel()
    for (const space of this.#spaces.values()) space.end()
    this.#server.closeIdleConnections()
    const deadline = clock.setTimer(() => this.#cutAll(), stopMs)
    await closed
    deadline.cancel()
    await Promise.all(Array.from(this.#spaces.values(), (space) => space.close()))
    log("stopped")
  }

  #cutAll(): void {
    for (const webSocket of this.#webSockets.clients) webSocket.terminate()
    this.#server.closeAllConnections()
  }

  /** Counts a connection until it is closed, whether or not it becomes a session. */
  #onConnection(socket: Socket): void {
    // A connection of a proxy counts for its client, whom only a request names.
    if (!this.#clientAddress.isProxy(socket.remoteAddress)) this.#count(socket, socket.remoteAddress)
  }

  #count(socket: Duplex, address: string | undefined): void {
    this.#ipLimiter.connected(address)
    socket.once("close", () => this.#ipLimiter.disconnected(address))
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const target = this.#targetOf(request)
    const { space, url } = target
    if (space === undefined || !isForChannels({ url })) {
      this.#answer(request, target).then(
        (answer) => sendAnswer(response, answer),
        (error: unknown) => {
          this.#warn(`unexpected error: ${stackOf(error)}`)
          response.destroy()
        },
      )
      return
    }
    const address = this.#clientAddress.of(request)
    const refusal = this.#refusePage(request) ?? this.#refuseFlood(address)
    if (refusal !== undefined) sendAnswer(response, refusal)
    else space.answer(request, response, url, addressOrigin(address))
  }

  async #answer(request: IncomingMessage, { space, url, isInSpace }: Target): Promise<HttpAnswer> {
    const refusal = this.#refusePage(request)
    if (refusal !== undefined) return refusal
    if (isInSpace && space === undefined) return noSuchSpace(this.#hasSpaces)
    const { method } = request
    const isForMetrics = method === "GET" && request.url?.split("?", 1)[0] === "/metrics"
    if (this.#metrics !== undefined && isForMetrics) {
      const { token } = this.#options.metrics ?? {}
      if (!mayReadMetrics(request, token)) return textAnswer(403, "the numbers of this relay are not for you")
      return { ...textAnswer(200, ""), body: await this.#metrics.text() }
    }
    const one = isInSpace ? space : undefined
    return answerRequest(
      { method, url },
      {
        health: () => this.health(one),
        isReady: () => this.#isReady(one),
        hasSpaces: space === undefined,
      },
    )
  }

  #refuseFlood(address: string | undefined): HttpAnswer | undefined {
    const passage = this.#ipLimiter.takeFrame(address)
    if (passage.ok) return undefined
    const { status, headers, body } = textAnswer(429, "too many requests from your address")
    const seconds = Math.ceil(passage.retryAfterMs / 1_000)
    return { status, headers: { ...headers, "Retry-After": String(seconds) }, body }
  }

  get #hasSpaces(): boolean {
    return !this.#spaces.has(undefined)
  }

  /** Returns the space that a request is for, and its URL within that. A relay without spaces is at all other paths. */
  #targetOf({ url = "/" }: IncomingMessage): Target {
    const [path = "/", ...query] = url.split("?")
    const parts = splitSpacePath(path)
    if (parts === undefined) return { space: this.#spaces.get(undefined), url, isInSpace: false }
    const rest = parts.rest === "" ? "/" : parts.rest
    return { space: this.#spaces.get(parts.name), url: [rest, ...query].join("?"), isInSpace: true }
  }

  #refusePage(request: IncomingMessage): HttpAnswer | undefined {
    const reason = this.#pageRules.refusal(request)
    if (reason === undefined) return undefined
    this.#warn(`refused a request from ${this.#clientAddress.of(request)}: ${reason}`)
    return textAnswer(403, reason)
  }

  #onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const address = this.#clientAddress.of(request)
    if (this.#clientAddress.isProxy(request.socket.remoteAddress)) this.#count(socket, address)
    const refuse = (answer: HttpAnswer) => sendAnswer(responseOn(socket, request), answer)
    if (request.headers.upgrade?.toLowerCase() !== "websocket") {
      // A client may offer other protocols, such as h2c, and must be answered as if it had not.
      this.#handle(request, responseOn(socket, request))
      return
    }
    const refusal = this.#refusePage(request)
    const { space, url, isInSpace } = this.#targetOf(request)
    if (refusal !== undefined) refuse(refusal)
    else if (this.#ipLimiter.hasTooManyConnections(address)) {
      refuse(textAnswer(429, "too many connections from your address"))
    } else if (this.#webSockets.clients.size >= this.#limits.sessions) {
      refuse(textAnswer(503, "the relay has as many sessions as it can"))
    } else if (space === undefined || (isInSpace && !/^\/(?:\?|$)/.test(url))) {
      refuse(noSuchSpace(this.#hasSpaces))
    } else {
      this.#webSockets.handleUpgrade(request, socket, head, (webSocket) =>
        space.openSession(webSocket, request.socket, address ?? "?"),
      )
    }
  }

  /** Probes after all input that has arrived was read: a relay that was suspended must not call others silent. */
  #scheduleProbe(): void {
    const probe = () => {
      if (this.#stopped !== undefined) return
      this.#scheduleProbe()
      for (const space of this.#spaces.values()) space.probe()
    }
    const probeAfterReading = () => void setImmediate(probe)
    this.#probeTimer = this.#options.clock.setTimer(probeAfterReading, this.#limits.probeMs, { unref: true })
  }
}

/** Names no space: strangers need not know them. */
function noSuchSpace(hasSpaces: boolean): HttpAnswer {
  return textAnswer(
    404,
    hasSpaces
      ? "path: names no space of this relay; connect to /space/NAME"
      : "path: this relay has no spaces; connect to /",
  )
}
