import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import type { Backbone } from "../backbone/backbone.js"
import { openMemoryBackbone } from "../backbone/memory/memory-backbone.js"
import type { Clock, Timer } from "../base/clock.js"
import type { Log } from "../base/log.js"
import { PageRules } from "../base/page-rules.js"
import { stackOf } from "../base/plain.js"
import { noTracer, type Tracer } from "../base/tracer.js"
import { type WebSocket, WebSocketServer } from "../base/websocket.js"
import { defaultGuardLimits, type GuardLimits } from "../guards/limits.js"
import { ChatError } from "../protocol/errors.js"
import { defaultLimits, type Limits } from "../protocol/limits.js"
import { CoordinationRoutes, isForChannels } from "./coordination/routes.js"
import { Dispatcher } from "./dispatch.js"
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
import { noObserver, type RelayObserver } from "./observer.js"
import { Operators } from "./operators.js"
import type { RelayGauges, RelayMetrics } from "./relay-metrics.js"
import { closeServices, endUngranted, openServices, type RelaySettings, type Services } from "./services.js"
import { ByteBudget } from "./sessions/byte-budget.js"
import { ClientAddress } from "./sessions/client-address.js"
import { IpLimiter } from "./sessions/ip-limiter.js"
import { addressOrigin } from "./sessions/origin.js"
import { Session, type SessionBudgets } from "./sessions/session.js"

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
  /** Addresses of NATS servers that hold the store and connect several relays; or a backbone that is open. */
  readonly backbone?: string | Backbone
  /** The start of the URLs of coordination channels (default: the address of the relay). */
  readonly httpBase?: string
  readonly clock: Clock
  readonly log: Log
  /** Offers `GET /metrics`: to whom has the token, or without one to this machine. */
  readonly metrics?: { readonly token?: string | undefined }
  readonly tracer?: Tracer
}

/** Milliseconds {@link Relay.stop} waits for peers to answer the close frame. */
const stopMs = 3_000
/** RFC 6455 §7.4.1: going away. */
const goingAway = 1001
/** Connections besides those of sessions: for /health, and to answer that the relay is full. */
const spareConnections = 1_000
/** A frame of up to this many times the limit is refused with an error; a longer one ends the connection (1009). */
const cutFactor = 4

/**
 * Starts a relay. Without `data` or `backbone` it writes nothing to disk.
 * @throws {ChatError} ALREADY_RUNNING if the port is taken; USAGE if the port or the certificate cannot be used
 */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const metrics =
    options.metrics === undefined ? undefined : new (await import("./relay-metrics.js")).RelayMetrics()
  const settings = resolveSettings(options, metrics ?? noObserver)
  const opened = await openBackbone(options)
  const backbone = metrics === undefined ? opened : observeBackbone(opened, metrics, options.clock)
  try {
    const relay = new Relay(options, settings, await openServices(settings, backbone), metrics)
    await relay.listen()
    return relay
  } catch (error) {
    await backbone.close()
    throw error
  }
}

function resolveSettings(options: RelayOptions, observer: RelayObserver): RelaySettings {
  const {
    clock,
    log,
    name = "agentchat",
    compat = false,
    logMessages = false,
    twoPerson = false,
    closed = false,
    tracer = noTracer,
  } = options
  const limits = { ...defaultLimits, ...options.limits }
  return {
    name,
    // A second's worth of messages may always come at once.
    limits: { ...limits, rateBurst: Math.max(limits.rateBurst, limits.ratePerSecond) },
    guards: { ...defaultGuardLimits, ...options.guards },
    operators: Operators.of(options.operators ?? []),
    isCompat: compat,
    httpBase: options.httpBase ?? "",
    isTwoPerson: twoPerson,
    isClosed: closed,
    logMessages,
    clock,
    log,
    observer,
    tracer,
  }
}

async function openBackbone({ clock, log, data, backbone: servers }: RelayOptions): Promise<Backbone> {
  if (data !== undefined && servers !== undefined) {
    throw new ChatError("USAGE", "data and backbone are mutually exclusive")
  }
  if (data !== undefined) {
    const { openSqliteBackbone } = await import("../backbone/sql/sqlite-backbone.js")
    return openSqliteBackbone({ dir: data, clock, log })
  }
  if (servers !== undefined) {
    if (typeof servers !== "string") return servers
    const { openNatsBackbone } = await import("../backbone/nats/nats-backbone.js")
    return openNatsBackbone({ servers, clock, log })
  }
  return openMemoryBackbone({ clock })
}

/** A running relay. */
export class Relay {
  readonly #options: RelayOptions
  readonly #limits: Limits
  readonly #settings: RelaySettings
  readonly #services: Services
  readonly #dispatcher: Dispatcher
  readonly #server: Server
  readonly #webSockets: WebSocketServer
  /** Absent unless they are asked for. */
  readonly #metrics: RelayMetrics | undefined
  readonly #ipLimiter: IpLimiter
  readonly #budgets: SessionBudgets
  readonly #clientAddress: ClientAddress
  #pageRules: PageRules
  readonly #coordination: CoordinationRoutes
  readonly #startedMs: number
  #host: string
  #port = 0
  #probeTimer: Timer | undefined
  #stopped: Promise<void> | undefined

  constructor(options: RelayOptions, settings: RelaySettings, services: Services, metrics?: RelayMetrics) {
    this.#metrics = metrics
    metrics?.watch(() => this.#gauges())
    const { limits, clock, log } = settings
    this.#options = options
    this.#limits = limits
    this.#settings = settings
    this.#services = services
    this.#ipLimiter = new IpLimiter(limits, clock, log)
    this.#dispatcher = new Dispatcher(services, settings, this.#ipLimiter)
    this.#budgets = {
      intake: new ByteBudget(limits.intakeTotalBytes),
      queues: new ByteBudget(limits.queueTotalBytes),
    }
    this.#startedMs = clock.monotonic()
    this.#host = options.host
    this.#clientAddress = new ClientAddress(options.trustedProxies ?? [])
    this.#server = createHttpFront(
      (request, response) => this.#handle(request, response),
      options.tls,
      limits.handshakeMs,
    )
    this.#coordination = new CoordinationRoutes(services, { clock, bodyBytes: limits.frameBytes })
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

  get serverId(): string {
    return this.#services.backbone.id
  }

  /** Returns the body of `GET /health`. */
  health(): HealthReport {
    const { clock, name = "agentchat", version } = this.#options
    const { backbone, sessions, channels } = this.#services
    const { kind, isReachable } = backbone
    return {
      ok: this.#stopped === undefined && isReachable,
      name,
      server_id: this.serverId,
      ...(version !== undefined && { version }),
      uptime_s: Math.floor((clock.monotonic() - this.#startedMs) / 1000),
      sessions: this.#webSockets.clients.size,
      agents: sessions.size,
      channels: channels.size,
      store: { kind, reachable: isReachable },
    }
  }

  /** Reports whether the relay takes messages: it has started, does not stop, and reaches its storage. */
  get isReady(): boolean {
    return this.#port > 0 && this.#stopped === undefined && this.#services.backbone.isReachable
  }

  #gauges(): RelayGauges {
    const { sessions, channels, knownAgents, mailboxes, backbone } = this.#services
    const { messages, bytes } = mailboxes.depth
    return {
      connections: this.#webSockets.clients.size,
      sessions: sessions.size,
      channels: channels.size,
      agents: knownAgents.size,
      mailboxMessages: messages,
      mailboxBytes: bytes,
      queueBytes: this.#budgets.queues.usedBytes,
      isStoreReachable: backbone.isReachable,
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
    this.#settings.httpBase ||= this.url.replace(/^ws/, "http")
    this.#server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#onUpgrade(request, socket, head),
    )
    // For example when file descriptors run out: the connection is lost, the relay is not.
    this.#server.on("error", (error) => log(`a connection could not be accepted: ${error.message}`))
    this.#scheduleProbe()
    // Clients have to learn the new id, and that everything before it is gone.
    this.#services.backbone.onIdChange?.(() =>
      this.#closeSessions("the store is another one now; connect again"),
    )
    log(`listening: ${this.url} as ${this.serverId}`)
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
    this.#settings.operators.replace(operators ?? [])
    Object.assign(this.#settings.guards, defaultGuardLimits, guards)
    this.#services.guards.reload()
  }

  /** Writes a copy of the store to a new file, while the relay runs. @throws {ChatError} UNSUPPORTED, UNAVAILABLE */
  async copyStore(file: string): Promise<void> {
    const { backbone } = this.#services
    if (backbone.copy === undefined) throw new ChatError("UNSUPPORTED", "the relay has no store on disk")
    await backbone.copy(file)
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
    this.#closeSessions("the relay is stopping")
    this.#services.coordination.close()
    this.#server.closeIdleConnections()
    const deadline = clock.setTimer(() => this.#cutAll(), stopMs)
    await closed
    deadline.cancel()
    await closeServices(this.#services)
    log("stopped")
  }

  #closeSessions(reason: string): void {
    for (const session of [...this.#services.sessions.all()]) {
      session.sendError(new ChatError("SHUTTING_DOWN", reason))
      session.close(goingAway, "SHUTTING_DOWN")
    }
    for (const webSocket of this.#webSockets.clients) webSocket.close(goingAway, "SHUTTING_DOWN")
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
    if (!isForChannels(request)) {
      this.#answer(request).then(
        (answer) => sendAnswer(response, answer),
        (error: unknown) => this.#dropRequest(response, error),
      )
      return
    }
    const address = this.#clientAddress.of(request)
    const refusal = this.#refusePage(request) ?? this.#refuseFlood(address)
    if (refusal !== undefined) {
      sendAnswer(response, refusal)
      return
    }
    this.#coordination.handle(request, response, addressOrigin(address)).catch((error: unknown) => {
      this.#dropRequest(response, error)
    })
  }

  #dropRequest(response: ServerResponse, error: unknown): void {
    this.#services.warn(`unexpected error: ${stackOf(error)}`)
    response.destroy()
  }

  async #answer(request: IncomingMessage): Promise<HttpAnswer> {
    const refusal = this.#refusePage(request)
    if (refusal !== undefined) return refusal
    const { url, method } = request
    const isForMetrics = method === "GET" && url?.split("?", 1)[0] === "/metrics"
    if (this.#metrics !== undefined && isForMetrics) {
      const { token } = this.#options.metrics ?? {}
      if (!mayReadMetrics(request, token)) return textAnswer(403, "the numbers of this relay are not for you")
      return { ...textAnswer(200, ""), body: await this.#metrics.text() }
    }
    return answerRequest(request, { health: () => this.health(), isReady: () => this.isReady })
  }

  #refuseFlood(address: string | undefined): HttpAnswer | undefined {
    const passage = this.#ipLimiter.takeFrame(address)
    if (passage.ok) return undefined
    const { status, headers, body } = textAnswer(429, "too many requests from your address")
    const seconds = Math.ceil(passage.retryAfterMs / 1_000)
    return { status, headers: { ...headers, "Retry-After": String(seconds) }, body }
  }

  #refusePage(request: IncomingMessage): HttpAnswer | undefined {
    const reason = this.#pageRules.refusal(request)
    if (reason === undefined) return undefined
    this.#services.warn(`refused a request from ${this.#clientAddress.of(request)}: ${reason}`)
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
    if (refusal !== undefined) refuse(refusal)
    else if (this.#ipLimiter.hasTooManyConnections(address)) {
      refuse(textAnswer(429, "too many connections from your address"))
    } else if (this.#webSockets.clients.size >= this.#limits.sessions) {
      refuse(textAnswer(503, "the relay has as many sessions as it can"))
    } else {
      this.#webSockets.handleUpgrade(request, socket, head, (webSocket) =>
        this.#openSession(webSocket, request.socket, address),
      )
    }
  }

  #openSession(webSocket: WebSocket, socket: Socket, remoteAddress: string | undefined): void {
    const { writes, sessions } = this.#services
    const { clock, log } = this.#options
    new Session({
      ...{ webSocket, socket, writes, clock, log, remoteAddress: remoteAddress ?? "?" },
      limits: this.#limits,
      budgets: this.#budgets,
      frames: this.#dispatcher,
      onEnd: (session) => {
        if (session.admittedAgent !== undefined) sessions.remove(session)
      },
    })
  }

  /** Probes after all input that has arrived was read: a relay that was suspended must not call others silent. */
  #scheduleProbe(): void {
    const probe = () => {
      if (this.#stopped !== undefined) return
      this.#scheduleProbe()
      this.#services.heartbeat.probe()
      this.#services.rosterSync.check()
      endUngranted(this.#services)
    }
    const probeAfterReading = () => void setImmediate(probe)
    this.#probeTimer = this.#options.clock.setTimer(probeAfterReading, this.#limits.probeMs, { unref: true })
  }
}
