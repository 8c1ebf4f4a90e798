import { randomBytes } from "node:crypto"
import type { Clock } from "../base/clock.js"
import { maxDurationMs } from "../base/duration.js"
import type { ClientFrame } from "../protocol/client-messages.js"
import { ChatError } from "../protocol/errors.js"
import { defaultLimits } from "../protocol/limits.js"
import { parseMembers, parseServerMessage, validateServerMessage } from "../protocol/parse-message.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import { FrameSocket } from "./frame-socket.js"
import { type HandshakeOptions, performHandshake, type Session } from "./handshake.js"
import { OlderRelay } from "./older-relay.js"
import { type AnswerTo, PendingRequests, type RequestFrame } from "./pending.js"
import { ReceiveQueue } from "./receive-queue.js"
import { errorOfMessage } from "./relay-error.js"
import { formatServer, parseServerUrl } from "./server-url.js"

export interface ConnectOptions extends HandshakeOptions {
  /** `ws://` or `wss://` address of the relay. */
  readonly url: string
  /** Longest duration of the handshake, in milliseconds (default 10,000). */
  readonly handshakeMs?: number
}

export interface ConnectionEvents {
  /** Called with each valid message that does not answer a {@link Connection.request}. */
  onMessage(message: ServerMessage): void
  /** Called once when the session is lost; not after {@link Connection.close}. */
  onClose(error: ChatError): void
}

const requestMs = 10_000

/** Reports whether the answer to a frame may say that an agent can be woken. */
function mayHaveLease(frame: RequestFrame): boolean {
  return frame.type === "LIST_AGENTS" || (frame.type === "MSG" && frame.to.startsWith("@"))
}

type Sign = <F extends ClientFrame>(frame: F) => F

/** Returns what signs the messages of a session; undefined if it has no key, or the relay cannot pass signatures on. */
async function signerOf({ welcome, isOlder }: Session, options: ConnectOptions): Promise<Sign | undefined> {
  const { identity, clock } = options
  if (identity === undefined || isOlder) return undefined
  const { signFrame } = await import("./message-signer.js")
  const author = { agentId: identity.agentId, keyPair: identity.keyPair, serverId: welcome.server_id }
  return (frame) => signFrame(frame, author, clock.now())
}

/** One authenticated session with a relay. */
export class Connection {
  readonly welcome: ServerMessage<"WELCOME">
  readonly #events: ConnectionEvents
  readonly #clock: Pick<Clock, "now">
  readonly #socket: FrameSocket
  readonly #process: string | undefined
  readonly #requests: PendingRequests
  readonly #older: OlderRelay | undefined
  readonly #sign: Sign | undefined
  /** Keeps ids apart from those of other sessions: a relay takes a repeated id for the same message. */
  readonly #idPrefix = randomBytes(9).toString("base64url")
  #lastId = 0
  #isOver = false

  /**
   * Connects, identifies and waits for WELCOME.
   * @throws {ChatError} USAGE for the address; UNREACHABLE; HANDSHAKE_TIMEOUT; VERIFICATION_FAILED;
   * UNSUPPORTED; or the code the relay refuses with
   */
  static async open(options: ConnectOptions, events: ConnectionEvents): Promise<Connection> {
    const { clock, handshakeMs = defaultLimits.handshakeMs } = options
    if (!(handshakeMs > 0 && handshakeMs <= maxDurationMs)) {
      throw new ChatError("USAGE", `handshakeMs: must be a number above 0, up to ${maxDurationMs}`)
    }
    const url = parseServerUrl(options.url)
    const received = new ReceiveQueue()
    const socket = new FrameSocket(url, clock, {
      onText: (text) => received.push(text),
      onClose: (error) => received.fail(error),
    })
    const deadline = clock.setTimer(() => {
      socket.fail(
        new ChatError("HANDSHAKE_TIMEOUT", `${formatServer(url)}: no welcome within ${handshakeMs} ms`),
      )
    }, handshakeMs)
    try {
      const session = await performHandshake(socket, received, options)
      return new Connection(socket, received, session, options, events, await signerOf(session, options))
    } catch (error) {
      socket.fail(new ChatError("UNREACHABLE", "server: the handshake failed", { cause: error }))
      throw error
    } finally {
      deadline.cancel()
    }
  }

  private constructor(
    socket: FrameSocket,
    received: ReceiveQueue,
    session: Session,
    { clock, attempt }: ConnectOptions,
    events: ConnectionEvents,
    sign: Sign | undefined,
  ) {
    this.#sign = sign
    this.welcome = session.welcome
    this.#process = attempt?.process
    this.#events = events
    this.#clock = clock
    this.#socket = socket
    this.#requests = new PendingRequests(clock)
    if (session.isOlder) {
      this.#older = new OlderRelay({
        agentId: session.welcome.agent_id,
        clock,
        write: (text) => socket.send(text),
        deliver: (message) => this.#deliver(message),
      })
    }
    received.start({
      onText: (text) => this.#receive(text),
      onClose: (error) => this.#end(error),
    })
  }

  /** Bytes sent and not yet taken by the operating system. */
  get bufferedBytes(): number {
    return this.#socket.bufferedBytes
  }

  /**
   * Sends a frame. Its answer, if it has an id, comes through {@link ConnectionEvents.onMessage}. A frame over the
   * relay's limit is answered with INVALID_MSG here, because the relay might end the session. Never throws.
   * @param text - the frame as JSON, if the caller has it already
   */
  send(frame: ClientFrame, text = JSON.stringify(frame)): void {
    const limit = this.welcome.limits.frame_bytes
    if (text.length * 3 > limit && Buffer.byteLength(text) > limit) {
      this.#refuse(frame, `${frame.type}: larger than the ${limit} bytes this relay reads`)
    } else if (this.#older !== undefined) this.#older.send(frame)
    else this.#socket.send(text)
  }

  /** Signs a message with the key of this session, for its relay. Returns any other frame, and one without a key, as it is. */
  signed<F extends ClientFrame>(frame: F): F {
    return this.#sign?.(frame) ?? frame
  }

  /**
   * Sends a frame and returns its answer. Signs a message, and adds an `id` if the frame has none.
   * @throws {ChatError} the relay's refusal; TIMEOUT after `timeoutMs`; UNREACHABLE if the session is lost
   */
  request<F extends RequestFrame>(frame: F, timeoutMs = requestMs): Promise<AnswerTo<F>> {
    if (this.#isOver) return Promise.reject(new ChatError("UNREACHABLE", "server: the session is closed"))
    const id = frame.id ?? `${this.#idPrefix}-${(++this.#lastId).toString(36)}`
    const answer = this.#requests.add(id, frame, timeoutMs)
    this.send(this.signed({ ...frame, id }))
    const proven = mayHaveLease(frame) ? answer.then((message) => this.#withoutForged(message)) : answer
    // PendingRequests has checked the type of the answer.
    return proven as Promise<unknown> as Promise<AnswerTo<F>>
  }

  /** Stops reading, so that the relay feels backpressure. Messages that were read already may still arrive. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Closes the session. Pending requests fail with UNREACHABLE. */
  async close(): Promise<void> {
    this.#isOver = true
    this.#requests.failAll(new ChatError("UNREACHABLE", "server: the session was closed"))
    await this.#socket.close()
  }

  #receive(text: string): void {
    if (this.#older !== undefined) {
      const members = parseMembers(text)
      if (members !== undefined) this.#older.receive(members)
      return
    }
    const message = parseServerMessage(text)
    if (message !== undefined) this.#deliver(message)
  }

  async #withoutForged(message: ServerMessage): Promise<ServerMessage> {
    // Most answers have none, and checking one needs the curve.
    if (!JSON.stringify(message).includes('"wakeable"')) return message
    const { withProvenLeases } = await import("./wake-leases.js")
    return withProvenLeases(message, this.welcome.server_id, this.#clock.now())
  }

  #deliver(message: ServerMessage): void {
    if (this.#isOver || this.#requests.settle(message)) return
    this.#events.onMessage(message)
    if (message.type === "SESSION_DISPLACED") this.#socket.fail(this.#displacement(message))
  }

  /** A late attempt of this process is no other session of the identity: this one may connect again. */
  #displacement({ process }: ServerMessage<"SESSION_DISPLACED">): ChatError {
    return process !== undefined && process === this.#process
      ? new ChatError("UNREACHABLE", "server: a late connection of this process took the session over")
      : new ChatError("SESSION_DISPLACED", "server: this identity connected elsewhere")
  }

  #refuse(frame: ClientFrame, problem: string): void {
    const re = frame.id === undefined ? {} : { re: frame.id }
    queueMicrotask(() => {
      this.#deliver({ type: "ERROR", ...re, code: "INVALID_MSG", message: problem })
    })
  }

  #end(error: ChatError): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#requests.failAll(error)
    this.#events.onClose(error)
  }
}

/**
 * Sends a relay a request that needs no session, and waits for the answer.
 * @throws {ChatError} UNREACHABLE, HANDSHAKE_TIMEOUT, UNSUPPORTED, or the code the relay refuses with
 */
export async function askWithoutSession(
  address: string,
  frame: ClientFrame<"KEY_STATEMENT" | "PING">,
  clock: Clock,
): Promise<void> {
  const url = parseServerUrl(address)
  const received = new ReceiveQueue()
  const socket = new FrameSocket(url, clock, {
    onText: (text) => received.push(text),
    onClose: (error) => received.fail(error),
  })
  const late = new ChatError("HANDSHAKE_TIMEOUT", `${formatServer(url)}: does not answer`)
  const deadline = clock.setTimer(() => socket.fail(late), defaultLimits.handshakeMs)
  try {
    socket.send(JSON.stringify(frame))
    const members = parseMembers(await received.next())
    const message = members && validateServerMessage(members)
    if (message?.type === "ERROR") throw errorOfMessage(message)
    if (message === undefined) throw new ChatError("UNSUPPORTED", `${formatServer(url)}: is no relay`)
  } finally {
    deadline.cancel()
    await socket.close()
  }
}
