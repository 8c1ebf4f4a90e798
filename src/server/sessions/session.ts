import type { Socket } from "node:net"
import type { Clock, Timer } from "../../base/clock.js"
import type { WebSocket } from "../../base/websocket.js"
import { Gcra } from "../../guards/gcra.js"
import { ChatError } from "../../protocol/errors.js"
import { closeCodes, type Limits } from "../../protocol/limits.js"
import type { ChannelPattern } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Channel } from "../channels/channel.js"
import { payloadOf } from "../wire/payload.js"
import { SendQueue, type SendQueueOwner } from "../wire/send-queue.js"
import { SocketReader, type SocketReaderOwner } from "../wire/socket-reader.js"
import type { WriteScheduler } from "../wire/write-scheduler.js"
import type { Agent } from "./agent.js"
import type { ByteBudget } from "./byte-budget.js"
import type { Challenge } from "./challenge.js"
import type { DelayLine } from "./delay-line.js"
import { nextSessionState, type SessionEvent, type SessionState } from "./session-state.js"

/** WebSocket.OPEN; the constant itself would load the library here. */
const openState = 1
/** RFC 6455 §7.4.1: the endpoint has received something that violates its policy. */
const policyViolation = 1008
/** What a message may take that has not wholly arrived, in frames: the library cuts those that are longer. */
const heldFrames = 4
/** Milliseconds a peer may take to read what is left and to answer a close frame. */
const closeMs = 5_000

/** What all sessions share. */
export interface SessionBudgets {
  /** Bytes of messages that have not wholly arrived. */
  readonly intake: ByteBudget
  /** Bytes that wait for peers that do not read. */
  readonly queues: ByteBudget
}

/** What a session is made of. */
export interface SessionOptions {
  readonly webSocket: WebSocket
  /** The socket under `webSocket`. */
  readonly socket: Socket
  readonly tick: WriteScheduler
  readonly limits: Limits
  readonly budgets: SessionBudgets
  readonly clock: Clock
  /** Takes each message of the peer, as JSON, until the session is closed. */
  readonly onText: (session: Session, text: string) => void
  /** Called once, as soon as the session is to get nothing more. */
  readonly onEnd: (session: Session) => void
}

/** One connection, from the upgrade to its end. */
export class Session implements SocketReaderOwner, SendQueueOwner {
  readonly outgoing: SendQueue
  /** What its agent has joined. */
  readonly channels = new Set<Channel>()
  /** Those of them that it did not ask for by name. */
  readonly brought = new Set<Channel>()
  /** Patterns whose channels it is brought into. */
  readonly patterns = new Set<ChannelPattern>()
  /** Requests other than messages. */
  readonly requests: Gcra
  /** The question that is open in state `challenged`. */
  challenge: Challenge | undefined
  /** What its agent said too fast, and what it said since; made when that first happens. */
  delayed: DelayLine | undefined
  /** Whether the peer says RECEIVED; the first AgentChat did not, and what it was sent counts as received. */
  confirmsMail = true
  readonly #webSocket: WebSocket
  readonly #socket: Socket
  readonly #clock: Clock
  readonly #limits: Limits
  readonly #onText: (session: Session, text: string) => void
  readonly #onEnd: (session: Session) => void
  #state: SessionState = "connecting"
  #agent: Agent | undefined
  #deadline: Timer | undefined
  #bytesSeen = 0
  #strangerFrames = 0

  constructor({ webSocket, socket, tick, limits, budgets, clock, onText, onEnd }: SessionOptions) {
    this.#limits = limits
    this.#webSocket = webSocket
    this.#socket = socket
    this.#clock = clock
    this.#onText = onText
    this.#onEnd = onEnd
    this.outgoing = new SendQueue(socket, this, tick, limits.sessionQueueBytes, budgets.queues)
    this.requests = new Gcra({ ratePerSecond: limits.requestsPerSecond, burst: limits.requestBurst })
    this.#deadline = clock.setTimer(() => this.#giveUp(limits.handshakeMs), limits.handshakeMs, {
      unref: true,
    })
    webSocket.on("close", () => this.#gone())
    // The library closes a connection that breaks RFC 6455 by itself; it only must not go unheard.
    webSocket.on("error", () => {})
    new SocketReader(webSocket, socket, this, limits.frameBytes, budgets.intake)
  }

  get state(): SessionState {
    return this.#state
  }

  /** Whether it may do what needs a session. */
  get isReady(): boolean {
    return this.#state === "ready"
  }

  /** Whether what the peer says is still taken. */
  get isReadable(): boolean {
    return this.#state !== "closing" && this.#webSocket.readyState === openState
  }

  /** Whether the peer can still be sent anything. */
  get isWritable(): boolean {
    return this.#webSocket.readyState === openState && !this.#socket.destroyed
  }

  /** Who this is, once admitted. */
  get admitted(): Agent | undefined {
    return this.#agent
  }

  /** The same for those who know that it was admitted. */
  get agent(): Agent {
    if (this.#agent === undefined) throw new Error(`session: no agent while ${this.#state}`)
    return this.#agent
  }

  /** Where the peer is, for the log. */
  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? "?"
  }

  /** Asks for a proof of the key that IDENTIFY named. */
  ask(challenge: Challenge): void {
    this.#step("challenge")
    this.challenge = challenge
  }

  /** Lets the session in as `agent`. */
  admit(agent: Agent): void {
    this.#step("admit")
    this.#deadline?.cancel()
    this.#deadline = undefined
    this.challenge = undefined
    this.#agent = agent
  }

  /** @param re - the id of the frame this answers, if it has one */
  send(message: ServerMessage, re?: string): void {
    this.outgoing.send(payloadOf(JSON.stringify(re === undefined ? message : { ...message, re })))
  }

  /** Answers a frame with ERROR. */
  refuse(error: ChatError, re?: string): void {
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

  /** Whether the peer's frames are taken off the network. */
  read(isReading: boolean): void {
    if (isReading) this.#webSocket.resume()
    else this.#webSocket.pause()
  }

  /** Sends what waits, then a close frame; a peer that does not read on is dropped after 5 s. */
  close(code: number, reason: string): void {
    if (nextSessionState(this.#state, "close") === undefined) return
    this.outgoing.end()
    this.#close(code, reason)
  }

  onText(text: string): void {
    this.#onText(this, text)
  }

  onUnread(problem: string): void {
    this.refuse(new ChatError("INVALID_MSG", `frame: ${problem}`))
  }

  /** {@inheritDoc InletOwner.maxHeldBytes} */
  get maxHeldBytes(): number {
    const { strangerBytes, frameBytes } = this.#limits
    // As much as one read off the network may bring beyond what the library refuses by itself.
    return this.#agent === undefined ? strangerBytes : heldFrames * frameBytes + strangerBytes
  }

  /** What has come of a message is dropped with the connection. */
  onFlood(): void {
    if (this.isReadable) {
      this.refuse(new ChatError("LIMIT_REACHED", "frame: too much of it has come without its end"))
      this.close(policyViolation, "LIMIT_REACHED")
    }
    // What the library keeps is only free once it is over.
    setImmediate(() => this.terminate())
  }

  /** Counts a frame of somebody who has not said who it is. @returns whether it may be read */
  hearStranger(): boolean {
    if (++this.#strangerFrames <= this.#limits.strangerFrames) return true
    this.refuse(new ChatError("LIMIT_REACHED", "frame: too many before IDENTIFY"))
    this.close(policyViolation, "LIMIT_REACHED")
    return false
  }

  /** The peer does not read and is too far behind. */
  onOverflow(): void {
    if (nextSessionState(this.#state, "close") === undefined) return
    this.#close(closeCodes.slowReader, "SLOW_READER: too far behind")
    // No answer is waited for: somebody who does not read does not answer either.
    this.#socket.end()
  }

  /** Ends the connection without a word. */
  terminate(): void {
    this.#webSocket.terminate()
  }

  /**
   * Asks a peer that said nothing since the last call for a sign of life.
   * @returns whether it said something since then
   */
  probe(): boolean {
    const { bytesRead } = this.#socket
    const isAlive = bytesRead !== this.#bytesSeen
    this.#bytesSeen = bytesRead
    if (!isAlive && this.isWritable) this.#webSocket.ping()
    return isAlive
  }

  #giveUp(handshakeMs: number): void {
    const error = new ChatError("HANDSHAKE_TIMEOUT", `no identity within ${handshakeMs} ms`)
    this.refuse(error)
    this.close(closeCodes.handshakeTimeout, "HANDSHAKE_TIMEOUT")
  }

  #close(code: number, reason: string): void {
    this.#step("close")
    this.#webSocket.close(code, reason)
    this.#deadline?.cancel()
    this.#deadline = this.#clock.setTimer(() => this.terminate(), closeMs, { unref: true })
    this.delayed?.drop()
    this.#onEnd(this)
  }

  #gone(): void {
    const wasClosing = this.#state === "closing"
    this.#step("end")
    this.#deadline?.cancel()
    this.outgoing.drop()
    this.delayed?.drop()
    if (!wasClosing) this.#onEnd(this)
  }

  #step(event: SessionEvent): void {
    const next = nextSessionState(this.#state, event)
    if (next === undefined) throw new Error(`session: ${event} while ${this.#state}`)
    this.#state = next
  }
}
