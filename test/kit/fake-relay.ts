import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { onTestFinished } from "vitest"
import type { WebSocketServer as Server, WebSocket as Socket } from "ws"
import { WebSocketServer } from "../../src/base/websocket.js"
import { verifyChallenge } from "../../src/identity/auth-proof.js"
import { agentIdOf, type PublicKey, parsePublicKey } from "../../src/identity/keys.js"
import type { ClientFrame, ClientType } from "../../src/protocol/client-messages.js"
import { until } from "./condition.js"

const ts = 1_800_000_000_000
const eve = { id: "@bbbbbbbb", name: "eve", status: "idle" }

/** The answer of a session to a frame: nothing, a message, several, or raw text. */
type Answer = object | string | readonly (object | string)[] | undefined
type Answers = {
  readonly [T in ClientType]?: (frame: ClientFrame<T>, session: FakeSession) => Answer
}

/** Options of {@link FakeRelay.start}; unscripted frames get the answers of a correct relay. */
export interface FakeRelayOptions {
  readonly answers?: Answers
  /** Called before the first frame is read. */
  readonly onConnect?: (session: FakeSession) => void
  /** Port to listen on, to replace another relay. */
  readonly port?: number
  readonly serverId?: string
}

/** One connection as the fake relay sees it. */
export class FakeSession {
  readonly socket: Socket
  readonly frames: ClientFrame[] = []
  key: PublicKey | undefined

  constructor(socket: Socket) {
    this.socket = socket
  }

  send(...messages: readonly (object | string)[]): void {
    for (const message of messages) {
      this.socket.send(typeof message === "string" ? message : JSON.stringify(message))
    }
  }

  /** Waits for at least `count` frames of a type. */
  received<T extends ClientType>(type: T, count = 1): Promise<ClientFrame<T>[]> {
    return until(`${count} ${type}`, () => {
      const found = this.frames.filter((frame) => frame.type === type)
      return found.length >= count && (found as ClientFrame<T>[])
    })
  }
}

/** A relay whose answers a test scripts. */
export class FakeRelay {
  readonly sessions: FakeSession[] = []
  readonly #server: Server
  readonly #options: FakeRelayOptions

  private constructor(server: Server, options: FakeRelayOptions) {
    this.#server = server
    this.#options = options
    server.on("connection", (socket) => this.#connect(socket))
  }

  /** Listens on a free port until the running test ends. */
  static async start(options: FakeRelayOptions = {}): Promise<FakeRelay> {
    const server = new WebSocketServer({ port: options.port ?? 0, host: "127.0.0.1" })
    await once(server, "listening")
    const relay = new FakeRelay(server, options)
    onTestFinished(() => relay.stop())
    return relay
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`
  }

  /** Waits for the `index`-th connection. */
  session(index = 0): Promise<FakeSession> {
    return until(`session ${index}`, () => this.sessions[index])
  }

  async stop(): Promise<void> {
    for (const { socket } of this.sessions) socket.terminate()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #connect(socket: Socket): void {
    const session = new FakeSession(socket)
    this.sessions.push(session)
    this.#options.onConnect?.(session)
    socket.on("error", () => {})
    socket.on("message", (data) => {
      const frame = JSON.parse((data as Buffer).toString()) as ClientFrame
      session.frames.push(frame)
      const answer = this.#answer(frame, session)
      if (answer !== undefined) session.send(...(Array.isArray(answer) ? (answer as object[]) : [answer]))
    })
  }

  #answer(frame: ClientFrame, session: FakeSession): Answer {
    const answers: Answers = { ...goodAnswers(this.#options.serverId ?? "relay-1"), ...this.#options.answers }
    return (answers[frame.type] as (frame: ClientFrame, session: FakeSession) => Answer)(frame, session)
  }
}

function goodAnswers(serverId: string): Answers {
  const question = { challenge_id: "c1", nonce: "n1", aud: serverId }
  return {
    IDENTIFY: ({ name, pubkey }, session) => {
      if (pubkey === undefined) return welcome(name, "@aaaaaaaa", serverId)
      session.key = parsePublicKey(pubkey)
      return { type: "CHALLENGE", ...question, expires_ms: 30_000 }
    },
    VERIFY_IDENTITY: ({ sig = "", iat = 0 }, { key }) => {
      if (key === undefined) return { type: "ERROR", code: "AUTH_REQUIRED", message: "IDENTIFY first" }
      verifyChallenge(sig, { ...question, iat }, key)
      return welcome("bob", agentIdOf(key), serverId)
    },
    JOIN: ({ channel, id }) => joined(channel, id),
    CREATE_CHANNEL: ({ channel, id }) => joined(channel, id),
    LEAVE: ({ channel, id }) => ({ type: "LEFT", re: id, channel }),
    MSG: ({ id }) => ({
      type: "ACK",
      re: id,
      msg_id: `me.${String(id)}`,
      seq: 1,
      ts,
      state: "accepted",
      recipients: 2,
    }),
    LIST_CHANNELS: ({ id }) => ({
      type: "CHANNELS",
      re: id,
      list: [{ name: "#general", agents: 2, invite_only: false }],
    }),
    LIST_AGENTS: ({ id }) => ({ type: "AGENTS", re: id, list: ["@bbbbbbbb"], roster: [eve] }),
    LIST_TASKS: ({ id }) => ({ type: "TASKS", re: id, list: [] }),
    LIST_PROPOSALS: ({ id }) => ({ type: "PROPOSALS", re: id, list: [] }),
    LIST_CLAIMS: ({ id }) => ({ type: "CLAIMS", re: id, list: [] }),
    PING: ({ id }) => ({ type: "PONG", re: id, ts }),
    REMOVE_CHANNEL: ({ id }) => ({ type: "ACK", re: id, ts, state: "done" }),
    INVITE: ({ id }) => ({ type: "ACK", re: id, ts, state: "done" }),
    SET_PRESENCE: ({ id }) => ({ type: "ACK", re: id, ts, state: "done" }),
    SET_ATTENTION: ({ id }) => ({ type: "ACK", re: id, ts, state: "done" }),
    SET_WAKE_LEASE: ({ id }) => ({ type: "ACK", re: id, ts, state: "done" }),
    RECEIVED: () => undefined,
  }
}

/** A well-formed WELCOME. */
export function welcome(name: string, agentId: string, serverId = "relay-1", limits: object = {}): object {
  return {
    type: "WELCOME",
    agent_id: agentId,
    name,
    server: "fake",
    server_id: serverId,
    protocol: 1,
    limits: { frame_bytes: 262_144, rate_per_s: 1, burst: 10, buffer: 20, ...limits },
    ts,
  }
}

/** A well-formed JOINED with one agent in the channel. */
export function joined(channel: string, re: string | undefined, seq = 0): object {
  return {
    type: "JOINED",
    re,
    channel,
    agents: ["@bbbbbbbb"],
    roster: [eve],
    count: 1,
    seq,
    invite_only: false,
  }
}

/** A well-formed MSG. */
export function msg(id: string, fields: object = {}): object {
  return {
    type: "MSG",
    from: "@bbbbbbbb",
    name: "eve",
    to: "#general",
    content: `text of ${id}`,
    ts,
    msg_id: id,
    hops: 0,
    ...fields,
  }
}
