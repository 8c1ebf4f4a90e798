import type { IncomingMessage, Server } from "node:http"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import type { Backbone } from "../backbone/backbone.js"
import { openMemoryBackbone } from "../backbone/memory/memory-backbone.js"
import type { Clock, Timer } from "../base/clock.js"
import { type WebSocket, WebSocketServer } from "../base/websocket.js"
import { defaultGuardLimits, type GuardLimits } from "../guards/limits.js"
import { ChatError } from "../protocol/errors.js"
import { defaultLimits, type Limits } from "../protocol/limits.js"
import { type Dispatch, makeDispatch } from "./dispatch.js"
import { createHttpFront, isForeignPage, listen, type TlsFiles } from "./http.js"
import { Operators } from "./operators.js"
import { RelayState } from "./relay-state.js"
import { ByteBudget } from "./sessions/byte-budget.js"
import { IpLimiter } from "./sessions/ip-limiter.js"
import { Session, type SessionBudgets } from "./sessions/session.js"

/** How a relay is started. */
export interface RelayOptions {
  /** 0 chooses a free one. */
  readonly port: number
  readonly host: string
  /** What the relay calls itself; "agentchat" when absent. */
  readonly name?: string
  /** Told by /health. */
  readonly version?: string
  /** Write what is said to the log. */
  readonly logMessages?: boolean
  readonly limits?: Partial<Limits>
  /** Numbers of the guards that differ from the defaults. */
  readonly guards?: Partial<GuardLimits>
  /** Keys (did:key) and ids of those whom no guard stops, and who lift what one has stopped. */
  readonly operators?: readonly string[]
  /** Take the first AgentChat's handshake too. */
  readonly compat?: boolean
  readonly tls?: TlsFiles
  /** Directory to keep everything in that shall last; absent, with no `backbone`: in memory. */
  readonly data?: string
  /** Address of NATS servers to keep it in, shared with every other relay there; or an engine that is open. */
  readonly backbone?: string | Backbone
  readonly clock: Clock
  /** Takes one line without its newline. */
  readonly log: (line: string) => void
}

/** Milliseconds {@link Relay.stop} waits for peers to answer the close frame. */
const stopMs = 3_000
/** RFC 6455 §7.4.1: going away. */
const goingAway = 1001
/** Connections beyond those of sessions: of who asks for /health, or is told that there is no room. */
const spareConnections = 1_000
/** A frame up to this many times the limit is refused politely; a larger one ends the connection (1009). */
const cutFactor = 4

/**
 * Starts a relay: everything in memory and nothing on disk, unless told where to keep it.
 * @throws {ChatError} ALREADY_RUNNING when the port is taken; USAGE when it may not be listened on, or the
 * certificate cannot be used
 */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const { clock, log, name = "agentchat", compat = false, logMessages = false } = options
  const limits = limitsOf(options)
  const guards = { ...defaultGuardLimits, ...options.guards }
  const operators = Operators.of(options.operators ?? [])
  const backbone = await openBackbone(options)
  const rules = { limits, guards, operators, isCompat: compat, logMessages }
  try {
    const house = await RelayState.open({ name, ...rules, clock, log }, backbone)
    const relay = new Relay(options, limits, house)
    await relay.listen()
    return relay
  } catch (error) {
    await backbone.close()
    throw error
  }
}

/** @throws {ChatError} what the engine cannot be opened for */
async function openBackbone({ clock, log, data, backbone: servers }: RelayOptions): Promise<Backbone> {
  if (data !== undefined && servers !== undefined) {
    throw new ChatError("USAGE", "data: one relay keeps what it keeps in one place; leave out the backbone")
  }
  if (data !== undefined) {
    const { openSqliteBackbone } = await import("../backbone/sql/sqlite-backbone.js")
    return openSqliteBackbone({ dir: data, clock, log })
  }
  if (servers !== undefined) {
    if (typeof servers !== "string") return servers
    const { openNatsBackbone } = await import("../backbone/nats/nats.js")
    return openNatsBackbone({ servers, clock, log })
  }
  return openMemoryBackbone({ clock })
}

/** A relay that runs. */
export class Relay {
  readonly #options: RelayOptions
  readonly #limits: Limits
  readonly #house: RelayState
  readonly #dispatch: Dispatch
  readonly #server: Server
  readonly #webSockets: WebSocketServer
  readonly #gate: IpLimiter
  readonly #budgets: SessionBudgets
  readonly #startedMs: number
  #port = 0
  #probe: Timer | undefined
  #stopped: Promise<void> | undefined

  constructor(options: RelayOptions, limits: Limits, house: RelayState) {
    const { clock, log } = options
    this.#options = options
    this.#limits = limits
    this.#house = house
    this.#gate = new IpLimiter(limits, clock, log)
    this.#budgets = {
      intake: new ByteBudget(limits.intakeTotalBytes),
      queues: new ByteBudget(limits.queueTotalBytes),
    }
    this.#dispatch = makeDispatch(house, this.#gate)
    this.#startedMs = clock.monotonic()
    this.#server = createHttpFront(() => this.health(), options.tls, this.#limits.handshakeMs)
    this.#webSockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      maxPayload: cutFactor * this.#limits.frameBytes,
    })
  }

  get port(): number {
    return this.#port
  }

  get url(): string {
    const { host, tls } = this.#options
    return `${tls === undefined ? "ws" : "wss"}://${host.includes(":") ? `[${host}]` : host}:${this.#port}`
  }

  get serverId(): string {
    return this.#house.serverId
  }

  /** What `GET /health` answers. */
  health(): object {
    const { clock, name = "agentchat", version } = this.#options
    const { kind, isReachable } = this.#house.backbone
    return {
      ok: this.#stopped === undefined && isReachable,
      name,
      server_id: this.serverId,
      ...(version !== undefined && { version }),
      uptime_s: Math.floor((clock.monotonic() - this.#startedMs) / 1000),
      sessions: this.#webSockets.clients.size,
      agents: this.#house.hub.size,
      channels: this.#house.channels.size,
      store: { kind, reachable: isReachable },
    }
  }

  /** Called once, by {@link startRelay}. */
  async listen(): Promise<void> {
    const { port, host, log, compat } = this.#options
    this.#server.maxConnections = this.#limits.sessions + spareConnections
    this.#server.on("connection", (socket: Socket) => this.#meet(socket))
    this.#port = await listen(this.#server, port, host)
    this.#server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#upgrade(request, socket, head),
    )
    // Out of file descriptors, say: the connection is lost, the relay is not.
    this.#server.on("error", (error) => log(`a connection could not be accepted: ${error.message}`))
    this.#probeLater()
    log(`listening: ${this.url} as ${this.serverId}`)
    if (compat === true) log("compat: the older handshake, which names no relay, is taken too")
  }

  /** Tells every session, waits up to 3 s until they are gone, and frees the port. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    const { clock, log } = this.#options
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
    this.#probe?.cancel()
    for (const session of [...this.#house.hub.sessions()]) {
      session.refuse(new ChatError("SHUTTING_DOWN", "the relay is stopping"))
      session.close(goingAway, "SHUTTING_DOWN")
    }
    for (const webSocket of this.#webSockets.clients) webSocket.close(goingAway, "SHUTTING_DOWN")
    this.#server.closeIdleConnections()
    const deadline = clock.setTimer(() => this.#cutAll(), stopMs)
    await closed
    deadline.cancel()
    await this.#house.close()
    log("stopped")
  }

  #cutAll(): void {
    for (const webSocket of this.#webSockets.clients) webSocket.terminate()
    this.#server.closeAllConnections()
  }

  /** Counts a connection from its first packet to its last, whatever comes of it. */
  #meet(socket: Socket): void {
    const { remoteAddress } = socket
    this.#gate.enter(remoteAddress)
    socket.once("close", () => this.#gate.leave(remoteAddress))
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (isForeignPage(request)) refuseUpgrade(socket, "403 Forbidden")
    else if (this.#gate.isCrowded(request.socket.remoteAddress)) {
      refuseUpgrade(socket, "429 Too Many Requests")
    } else if (this.#webSockets.clients.size >= this.#limits.sessions) {
      refuseUpgrade(socket, "503 Service Unavailable")
    } else {
      this.#webSockets.handleUpgrade(request, socket, head, (webSocket) =>
        this.#open(webSocket, request.socket),
      )
    }
  }

  #open(webSocket: WebSocket, socket: Socket): void {
    new Session({
      webSocket,
      socket,
      tick: this.#house.tick,
      limits: this.#limits,
      budgets: this.#budgets,
      clock: this.#options.clock,
      onText: this.#dispatch,
      onEnd: (ended) => this.#house.depart(ended),
    })
  }

  /** A look comes after what had arrived was read: a relay that stood still must not call others silent. */
  #probeLater(): void {
    const look = () => {
      if (this.#stopped !== undefined) return
      this.#house.heartbeat.look()
      this.#house.keeper.check()
      this.#probeLater()
    }
    const readFirst = () => void setImmediate(look)
    this.#probe = this.#options.clock.setTimer(readFirst, this.#limits.probeMs, { unref: true })
  }
}

function refuseUpgrade(socket: Duplex, status: string): void {
  socket.on("error", () => socket.destroy())
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

/** The defaults with the operator's changes; a second's worth of messages may always come at once. */
function limitsOf({ limits }: RelayOptions): Limits {
  const merged = { ...defaultLimits, ...limits }
  return { ...merged, rateBurst: Math.max(merged.rateBurst, merged.ratePerSecond) }
}
