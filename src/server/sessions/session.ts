import type { Socket } from "node:net"
import { type Clock, delay, type Timer } from "../../base/clock.js"
import type { Log } from "../../base/log.js"
import { stackOf } from "../../base/plain.js"
import type { WebSocket } from "../../base/websocket.js"
import { Gcra } from "../../guards/gcra.js"
import type { ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { closeCodes, type Limits } from "../../protocol/limits.js"
import type { KeyStatementClaim } from "../../protocol/message-fields.js"
import type { AgentId, ChannelPattern } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Channel } from "../channels/channel.js"
import { SendQueue, type SendQueueOwner } from "../wire/send-queue.js"
import { SocketReader, type SocketReaderOwner } from "../wire/socket-reader.js"
import type { WriteScheduler } from "../wire/write-scheduler.js"
import type { Agent } from "./agent.js"
import type { ByteBudget } from "./byte-budget.js"
import type { Challenge } from "./challenge.js"
import type { DelayLine } from "./delay-line.js"
import { formatOlder } from "./older-clients.js"
import type { Origin } from "./origin.js"

/** State of a connection. `ready`: its agent is identified. `closing`: the relay has sent a close frame. */
export type SessionState = "connecting" | "challenged" | "ready" | "closing" | "gone"

/** Events that change the state. */
export type SessionEvent = "challenge" | "admit" | "close" | "end"

/** All legal transitions. */
export const sessionSteps = {
  connecting: { challenge: "challenged", admit: "ready", close: "closing", end: "gone" },
  challenged: { admit: "ready", close: "closing", end: "gone" },
  ready: { close: "closing", end: "gone" },
  closing: { end: "gone" },
  gone: {},
} as const satisfies Record<SessionState, Partial<Record<SessionEvent, SessionState>>>

/** @returns undefined if `event` is not legal in `state` */
export function nextSessionState(state: SessionState, event: SessionEvent): SessionState | undefined {
  const steps: Partial<Record<SessionEvent, SessionState>> = sessionSteps[state]
  return steps[event]
}

/** WebSocket.OPEN; importing the constant would load the library here. */
const openState = 1
/** RFC 6455 §7.4.1: the endpoint has received something that violates its policy. */
export const policyViolation = 1008
/** RFC 6455 §7.4.1: the endpoint has met a condition that it did not expect. */
const internalError = 1011
/** Size of an incomplete message, in frames. The WebSocket library cuts off longer ones. */
const heldFrames = 4
/** Refused frames that one session may send at once, in bursts of requests. */
const wasteBursts = 5
/** Milliseconds a peer may take to read what is queued and to answer a close frame. */
const closeMs = 5_000

/** Byte budgets that all sessions share. */
export interface SessionBudgets {
  /** For incomplete messages. */
  readonly intake: ByteBudget
  /** For messages to peers that do not read. */
  readonly queues: ByteBudget
}

/** The handler of the frames of all sessions. */
interface FrameHandler {
  /** Receives each message of a peer, JSON, until its session is closed. */
  dispatch(session: Session, text: string): void
}

interface SessionOptions {
  readonly webSocket: WebSocket
  /** The socket under `webSocket`. */
  readonly socket: Socket
  /** Address of the client, which is not that of the socket if it comes through a proxy. */
  readonly remoteAddress: string
  readonly writes: WriteScheduler
  readonly limits: Limits
  readonly budgets: SessionBudgets
  readonly clock: Clock
  readonly log: Log
  readonly frames: FrameHandler
  /** Called once, when nothing more can be sent. */
  readonly onEnd: (session: Session) => void
}

/** One connection, from the upgrade to its end. */
export class Session implements SocketReaderOwner, SendQueueOwner {
  readonly sendQueue: SendQueue
  readonly remoteAddress: string
  /** Channels that were joined. */
  readonly channels = new Set<Channel>()
  /** Those of them that were joined by a pattern and not by name. */
  readonly joinedByPattern = new Set<Channel>()
  /** Patterns that were joined, and the origin that each is charged to. */
  readonly patterns = new Map<ChannelPattern, Origin>()
  /** The rate of requests other than messages. */
  readonly requestRate: Gcra
  /** The rate of frames that were for nothing. */
  readonly #wasteRate: Gcra
  /** The challenge to answer in state `challenged`. */
  challenge: Challenge | undefined
  /** Frames that wait because the agent sends too fast. Made when that first happens. */
  delayLine: DelayLine | undefined
  /** True if the client confirms messages with RECEIVED. Clients of the first AgentChat do not. */
  sendsReceived = true
  /** The attempt of the client's process that opened it; undefined for clients that do not count their attempts. */
  attempt: { readonly process?: string; readonly attempt?: number } = {}
  /** True if it is a client of the first AgentChat. */
  isOlder = false
  /** True if it confirms DELIVERY and INVITE too. */
  confirmsNotices = false
  readonly #webSocket: WebSocket
  readonly #socket: Socket
  readonly #clock: Clock
  readonly #limits: Limits
  readonly #log: Log
  readonly #frames: FrameHandler
  readonly #onEnd: (session: Session) => void
  #state: SessionState = "connecting"
  #agent: Agent | undefined
  #deadline: Timer | undefined
  #bytesSeen = 0
  #unidentifiedFrames = 0

  constructor(options: SessionOptions) {
    const { webSocket, socket, writes, limits, budgets, clock, log, frames, onEnd } = options
    this.remoteAddress = options.remoteAddress
    this.#limits = limits
    this.#webSocket = webSocket
    this.#socket = socket
    this.#clock = clock
    this.#log = log
    this.#frames = frames
    this.#onEnd = onEnd
    this.sendQueue = new SendQueue(socket, this, writes, limits.sessionQueueBytes, budgets.queues)
    const { requestsPerSecond: ratePerSecond, requestBurst: burst } = limits
    this.requestRate = new Gcra({ ratePerSecond, burst })
    this.#wasteRate = new Gcra({ ratePerSecond, burst: wasteBursts * burst })
    this.#deadline = clock.setTimer(() => this.#onHandshakeTimeout(limits.handshakeMs), limits.handshakeMs, {
      unref: true,
    })
    webSocket.on("close", () => this.#gone())
    // The library itself closes a connection that violates RFC 6455; the event must only be handled.
    webSocket.on("error", () => {})
    new SocketReader(webSocket, socket, this, limits.frameBytes, budgets.intake)
  }

  get state(): SessionState {
    return this.#state
  }

  /** True if its agent is identified. */
  get isReady(): boolean {
    return this.#state === "ready"
  }

  /** True if frames of the peer are still handled. */
  get isReadable(): boolean {
    return this.#state !== "closing" && this.#webSocket.readyState === openState
  }

  /** True if frames can still be sent to the peer. */
  get isWritable(): boolean {
    return this.#webSocket.readyState === openState && !this.#socket.destroyed
  }

  /** The agent, once it is identified. */
  get admittedAgent(): Agent | undefined {
    return this.#agent
  }

  /** The agent of a session that is known to be identified. */
  get agent(): Agent {
    if (this.#agent === undefined) throw new Error(`session: no agent while ${this.#state}`)
    return this.#agent
  }

  /** Waits for a proof of the key that IDENTIFY named. */
  startChallenge(challenge: Challenge): void {
    this.#step("challenge")
    this.challenge = challenge
  }

  /** Makes the session ready as `agent`. */
  admit(agent: Agent): void {
    this.#step("admit")
    this.#deadline?.cancel()
    this.#deadline = undefined
    this.challenge = undefined
    this.#agent = agent
  }

  /** @param re - the id of the frame this answers, if it has one */
  send(message: ServerMessage, re?: string): void {
    const shaped = this.isOlder ? formatOlder(message) : message
    this.sendQueue.send(JSON.stringify(re === undefined ? shaped : { ...shaped, re }))
  }

  /** Sends ERROR. @param re - the id of the frame it answers */
  sendError(error: ChatError, re?: string): void {
    const { code, message, retryAfterMs, candidates = [], hint, guard } = error
    const body = {
      type: "ERROR",
      code,
      message,
      ...(retryAfterMs !== undefined && { retry_after_ms: retryAfterMs }),
      ...(candidates.length > 0 && { candidates }),
      ...(hint !== undefined && { hint }),
      ...(guard !== undefined && { guard }),
    } as const
    this.send(body, re)
  }

  /** Answers a request that failed. An error that nobody expected ends the request, not the relay. */
  refuse(error: unknown, { type, id }: Pick<ClientMessage, "type" | "id">): void {
    if (error instanceof ChatError) {
      this.sendError(error, id)
      return
    }
    this.#log(`unexpected error in ${type}: ${stackOf(error)}`, "error")
    this.sendError(new ChatError("INTERNAL", `${type}: the relay failed; its log has the reason`), id)
  }

  /** Ends the session because of an error that nobody expected and that no answer can name. */
  fail(error: unknown): void {
    this.#log(`unexpected error, the session of ${this.remoteAddress} ends: ${stackOf(error)}`, "error")
    this.close(internalError, "INTERNAL")
    this.setReading(true)
  }

  /** Starts or stops reading from the network. */
  setReading(isReading: boolean): void {
    if (isReading) this.#webSocket.resume()
    else this.#webSocket.pause()
  }

  /**
   * Ends the session because its agent connected again: this connection may be dead without anybody knowing.
   * @param process - that opened the other session, if it says so
   */
  displace(process?: string): void {
    const reason = "this identity connected elsewhere"
    this.#log(`displaced: ${this.agent.id} at ${this.remoteAddress}`)
    this.send({
      type: "SESSION_DISPLACED",
      reason,
      ...(process !== undefined && { process }),
      ts: this.#clock.now(),
    })
    this.close(closeCodes.displaced, `SESSION_DISPLACED: ${reason}`)
  }

  /** Ends the session because the key of its agent has ended. */
  endKey(
    { statement, to }: { readonly statement: KeyStatementClaim; readonly to: AgentId | undefined },
    re?: string,
  ): void {
    const message = to === undefined ? "the key was revoked" : `the key was replaced by that of ${to}`
    this.send({ type: "ERROR", code: "KEY_ENDED", message: `pubkey: ${message}`, key_end: statement }, re)
    this.close(policyViolation, "KEY_ENDED")
  }

  /** Sends what is queued, then a close frame. The connection is cut if the peer does not answer within 5 s. */
  close(code: number, reason: string): void {
    if (nextSessionState(this.#state, "close") === undefined) return
    this.sendQueue.end()
    this.#close(code, reason)
  }

  onText(text: string): void {
    this.#frames.dispatch(this, text)
  }

  onInvalid(problem: string): void {
    this.sendError(new ChatError("INVALID_MSG", `frame: ${problem}`))
  }

  /** {@inheritDoc SocketReaderOwner.maxHeldBytes} */
  get maxHeldBytes(): number {
    const { strangerBytes, frameBytes } = this.#limits
    // One read from the network may bring this much more before the library refuses the message.
    return this.#agent === undefined ? strangerBytes : heldFrames * frameBytes + strangerBytes
  }

  /** Cuts the connection, and with it the incomplete message. */
  onTooLarge(): void {
    if (this.isReadable) {
      this.sendError(new ChatError("LIMIT_REACHED", "frame: incomplete and too long"))
      this.close(policyViolation, "LIMIT_REACHED")
    }
    // The library frees what it holds only then.
    setImmediate(() => this.terminate())
  }

  /**
   * Counts frames that were refused, or reported nothing new.
   * @returns a promise if there were too many: until it resolves, nothing more of the session may be handled
   */
  payForWaste(cells: number): Promise<void> | undefined {
    const admission = this.#wasteRate.admit(this.#clock.monotonic(), cells, Infinity)
    if (!admission.ok || admission.waitMs === 0) return undefined
    return delay(this.#clock, admission.waitMs, { unref: true })
  }

  /** Counts a frame that came before IDENTIFY. @returns false if there were too many */
  countUnidentifiedFrame(): boolean {
    if (++this.#unidentifiedFrames <= this.#limits.strangerFrames) return true
    this.sendError(new ChatError("LIMIT_REACHED", "frame: too many before IDENTIFY"))
    this.close(policyViolation, "LIMIT_REACHED")
    return false
  }

  /** Ends the session of a peer that does not read and is too far behind. */
  onOverflow(): void {
    if (nextSessionState(this.#state, "close") === undefined) return
    this.#close(closeCodes.slowReader, "SLOW_READER: too far behind")
    // Does not wait for an answer: a peer that does not read does not answer either.
    this.#socket.end()
  }

  /** Cuts the connection. */
  terminate(): void {
    this.#webSocket.terminate()
  }

  /**
   * Pings a peer that sent nothing since the last call.
   * @returns whether it sent something since then
   */
  probe(): boolean {
    const { bytesRead } = this.#socket
    const isAlive = bytesRead !== this.#bytesSeen
    this.#bytesSeen = bytesRead
    if (!isAlive && this.isWritable) this.#webSocket.ping()
    return isAlive
  }

  #onHandshakeTimeout(handshakeMs: number): void {
    const error = new ChatError("HANDSHAKE_TIMEOUT", `no identity within ${handshakeMs} ms`)
    this.sendError(error)
    this.close(closeCodes.handshakeTimeout, "HANDSHAKE_TIMEOUT")
  }

  #close(code: number, reason: string): void {
    this.#step("close")
    this.#webSocket.close(code, reason)
    this.#deadline?.cancel()
    this.#deadline = this.#clock.setTimer(() => this.terminate(), closeMs, { unref: true })
    this.delayLine?.drop()
    this.#onEnd(this)
  }

  #gone(): void {
    const wasClosing = this.#state === "closing"
    this.#step("end")
    this.#deadline?.cancel()
    this.sendQueue.drop()
    this.delayLine?.drop()
    if (!wasClosing) this.#onEnd(this)
  }

  #step(event: SessionEvent): void {
    const next = nextSessionState(this.#state, event)
    if (next === undefined) throw new Error(`session: ${event} while ${this.#state}`)
    this.#state = next
  }
}
