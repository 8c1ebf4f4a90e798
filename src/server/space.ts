import type { IncomingMessage, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import type { Backbone } from "../backbone/backbone.js"
import { stackOf } from "../base/plain.js"
import type { WebSocket } from "../base/websocket.js"
import { defaultGuardLimits, type GuardLimits } from "../guards/limits.js"
import { ChatError } from "../protocol/errors.js"
import type { Limits } from "../protocol/limits.js"
import { type SpaceName, spacePath } from "../protocol/spaces.js"
import { CoordinationRoutes } from "./coordination/routes.js"
import { Dispatcher } from "./dispatch.js"
import type { RelayGauges } from "./relay-metrics.js"
import { closeServices, endUngranted, openServices, type RelaySettings, type Services } from "./services.js"
import type { IpLimiter } from "./sessions/ip-limiter.js"
import type { Origin } from "./sessions/origin.js"
import { Session, type SessionBudgets } from "./sessions/session.js"

/** RFC 6455 §7.4.1: going away. */
const goingAway = 1001

/** Bounds on what a whole process keeps. Its spaces divide them, so that more spaces give nobody more. */
const dividedLimits = [
  "channels",
  "patterns",
  "identities",
  "rememberedIdBytes",
  "delayedTotalBytes",
  "retainedTotalBytes",
  "mailTotalBytes",
  "storedMailTotalBytes",
  "keylessMailBytes",
  "tasks",
  "taskCharacters",
  "proposals",
  "proposalCharacters",
] as const satisfies readonly (keyof Limits)[]

/** Returns the limits of each of several spaces of one process. */
export function limitsOfSpace(limits: Limits, spaces: number): Limits {
  const own: { -readonly [Name in keyof Limits]: number } = { ...limits }
  for (const name of dividedLimits) own[name] = Math.max(1, Math.floor(limits[name] / spaces))
  return own
}

/** The parts that all spaces of a process share. */
export interface SharedLimits {
  readonly ipLimiter: IpLimiter
  readonly budgets: SessionBudgets
}

/** Numbers of a space, for `GET /health` and metrics. */
export type SpaceGauges = Omit<RelayGauges, "queueBytes">

/** One chat of a process, with agents, channels, keys and a store of its own. */
export class Space {
  /** Undefined for the only chat of a relay without spaces. */
  readonly name: SpaceName | undefined
  readonly #settings: RelaySettings
  readonly #services: Services
  readonly #dispatcher: Dispatcher
  readonly #budgets: SessionBudgets
  readonly #coordination: CoordinationRoutes
  readonly #webSockets = new Set<WebSocket>()

  private constructor(
    name: SpaceName | undefined,
    settings: RelaySettings,
    services: Services,
    { ipLimiter, budgets }: SharedLimits,
  ) {
    this.name = name
    this.#settings = settings
    this.#services = services
    this.#dispatcher = new Dispatcher(services, settings, ipLimiter)
    this.#budgets = budgets
    const { clock, limits } = settings
    this.#coordination = new CoordinationRoutes(services, { clock, bodyBytes: limits.frameBytes })
  }

  /** @throws {ChatError} UNAVAILABLE if the backbone cannot be read */
  static async open(
    name: SpaceName | undefined,
    settings: RelaySettings,
    backbone: Backbone,
    shared: SharedLimits,
  ): Promise<Space> {
    try {
      return new Space(name, settings, await openServices(settings, backbone), shared)
    } catch (error) {
      await backbone.close()
      throw error
    }
  }

  get serverId(): string {
    return this.#services.backbone.id
  }

  /** Writes a copy of the store to a new file. @throws {ChatError} UNSUPPORTED, UNAVAILABLE */
  async copyStore(file: string): Promise<void> {
    const { backbone } = this.#services
    if (backbone.copy === undefined) throw new ChatError("UNSUPPORTED", "the relay has no store on disk")
    await backbone.copy(file)
  }

  get storeKind(): Backbone["kind"] {
    return this.#services.backbone.kind
  }

  gauges(): SpaceGauges {
    const { sessions, channels, knownAgents, mailboxes, backbone } = this.#services
    const { messages, bytes } = mailboxes.depth
    return {
      connections: this.#webSockets.size,
      sessions: sessions.size,
      channels: channels.size,
      agents: knownAgents.size,
      mailboxMessages: messages,
      mailboxBytes: bytes,
      isStoreReachable: backbone.isReachable,
    }
  }

  /** Called once, when the relay listens. @param httpBase - the start of the URLs of the relay */
  start(httpBase: string): void {
    this.#settings.httpBase = `${httpBase}${this.name === undefined ? "" : spacePath(this.name)}`
    // Clients have to learn the new id, and that everything before it is gone.
    this.#services.backbone.onIdChange?.(() =>
      this.#closeSessions("the store is another one now; connect again"),
    )
  }

  openSession(webSocket: WebSocket, socket: Socket, remoteAddress: string): void {
    const { writes, sessions } = this.#services
    const { clock, log, limits } = this.#settings
    this.#webSockets.add(webSocket)
    webSocket.once("close", () => this.#webSockets.delete(webSocket))
    new Session({
      ...{ webSocket, socket, writes, clock, log, remoteAddress, limits },
      budgets: this.#budgets,
      frames: this.#dispatcher,
      onEnd: (session) => {
        if (session.admittedAgent !== undefined) sessions.remove(session)
      },
    })
  }

  /** Answers a request for coordination channels. @param url - its path and query within the space */
  answer(request: IncomingMessage, response: ServerResponse, url: string, origin: Origin): void {
    this.#coordination.handle(request, response, url, origin).catch((error: unknown) => {
      this.#services.warn(`unexpected error: ${stackOf(error)}`)
      response.destroy()
    })
  }

  /** Ends everything that clients hold open. */
  end(): void {
    this.#closeSessions("the relay is stopping")
    this.#services.coordination.close()
  }

  #closeSessions(reason: string): void {
    for (const session of [...this.#services.sessions.all()]) {
      session.sendError(new ChatError("SHUTTING_DOWN", reason))
      session.close(goingAway, "SHUTTING_DOWN")
    }
    for (const webSocket of this.#webSockets) webSocket.close(goingAway, "SHUTTING_DOWN")
  }

  /** Checks sessions, other relays of the store, and grants. */
  probe(): void {
    this.#services.heartbeat.probe()
    this.#services.rosterSync.check()
    endUngranted(this.#services)
  }

  reload(guards: Partial<GuardLimits> | undefined, operators: readonly string[]): void {
    this.#settings.operators.replace(operators)
    Object.assign(this.#settings.guards, defaultGuardLimits, guards)
    this.#services.guards.reload()
  }

  close(): Promise<void> {
    return closeServices(this.#services)
  }

  /** Gives the store back of a space that did not start. */
  abandon(): Promise<void> {
    return this.#services.backbone.close()
  }
}
