import { randomBytes } from "node:crypto"
import { EventEmitter, once } from "node:events"
import { connect, type Socket } from "node:net"
import { onTestFinished } from "vitest"
import type { ServerMessage, ServerType } from "../../src/protocol/server-messages.js"

/** A received frame: opcode and payload. */
export interface RawFrame {
  readonly opcode: number
  readonly payload: Buffer
}

/** How the peer ended the connection. */
export interface Closing {
  readonly code: number
  readonly reason: string
}

const waitMs = 45_000
const textOpcode = 1
const closeOpcode = 8
const pingOpcode = 9

/**
 * A raw WebSocket client: it can stall, send malformed frames, and observe the order of frames.
 */
export class Wire {
  readonly socket: Socket
  /** Every received frame, including control frames. */
  readonly frames: RawFrame[] = []
  /** The relay's close frame. */
  closing: Closing | undefined
  isEnded = false
  readonly #changes = new EventEmitter().setMaxListeners(100)
  #unread: ServerMessage[] = []
  #bytes: Buffer = Buffer.alloc(0)
  #pings = 0

  private constructor(socket: Socket) {
    this.socket = socket
  }

  /** Connects and upgrades; the connection closes with the test. */
  static async open(port: number, headers: readonly string[] = [], path = "/"): Promise<Wire> {
    const socket = connect(port, "127.0.0.1")
    onTestFinished(() => void socket.destroy())
    const wire = new Wire(socket)
    socket.on("error", () => {})
    socket.on("close", () => {
      wire.isEnded = true
      wire.#changes.emit("change")
    })
    const key = randomBytes(16).toString("base64")
    const upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    const lines = [`GET ${path} HTTP/1.1`, `Host: 127.0.0.1:${port}`, ...upgrade, `Sec-WebSocket-Key: ${key}`]
    socket.write([...lines, ...headers, "", ""].join("\r\n"))
    const rest = await wire.#readHead()
    socket.on("data", (chunk: Buffer) => wire.#read(chunk))
    wire.#read(rest)
    return wire
  }

  /** Sends an object as JSON, or a text unchanged. */
  say(...frames: readonly (object | string)[]): void {
    const texts = frames.map((frame) => (typeof frame === "string" ? frame : JSON.stringify(frame)))
    this.socket.write(Buffer.concat(texts.map((text) => maskedFrame(textOpcode, Buffer.from(text)))))
  }

  /** Sends one frame of any kind. */
  sayRaw(opcode: number, payload: Buffer): void {
    this.socket.write(maskedFrame(opcode, payload))
  }

  /** Returns the next message of a type and drops those before it. */
  async next<T extends ServerType>(type: T): Promise<ServerMessage<T>> {
    for (;;) {
      const message = await this.#wait(type, () => this.#unread.shift())
      if (isOfType(message, type)) return message
    }
  }

  /** Sends a frame and returns the message that answers it, of any type. */
  async ask(frame: object): Promise<ServerMessage> {
    return this.answerTo({ ...frame, id: `ask-${++this.#pings}` })
  }

  /** Like `ask`, for a frame with its own id. */
  async answerTo(frame: object): Promise<ServerMessage> {
    const { id } = frame as { readonly id?: string }
    this.say(frame)
    return this.#wait(`the answer to ${JSON.stringify(frame).slice(0, 60)}`, () => {
      const index = this.#unread.findIndex((message) => "re" in message && message.re === id)
      return index < 0 ? undefined : this.#unread.splice(index, 1)[0]
    })
  }

  /** Returns all messages up to now: everything before the answer to a ping. */
  async settle(): Promise<ServerMessage[]> {
    const id = `settle-${++this.#pings}`
    this.say({ type: "PING", id })
    const isAnswer = (message: ServerMessage) => "re" in message && message.re === id
    await this.#wait("PONG", () => this.#unread.find(isAnswer))
    const messages = this.#unread.filter((message) => !isAnswer(message))
    this.#unread = []
    return messages
  }

  /** Waits until the relay closes the connection. */
  async ended(): Promise<Closing | undefined> {
    while (!this.isEnded) await this.#change("the end of the connection")
    return this.closing
  }

  async #wait<T>(what: string, probe: () => T | undefined): Promise<T> {
    for (;;) {
      const value = probe()
      if (value !== undefined) return value
      if (this.isEnded)
        throw new Error(`the connection ended before ${what}: ${JSON.stringify(this.closing)}`)
      await this.#change(what)
    }
  }

  async #change(what: string): Promise<void> {
    try {
      await once(this.#changes, "change", { signal: AbortSignal.timeout(waitMs) })
    } catch (cause) {
      throw new Error(`not within ${waitMs} ms: ${what}`, { cause })
    }
  }

  #readHead(): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const { socket } = this
      let head = Buffer.alloc(0)
      const onData = (chunk: Buffer) => {
        head = Buffer.concat([head, chunk])
        const end = head.indexOf("\r\n\r\n")
        if (end < 0) return
        socket.off("data", onData)
        const status = head.subarray(0, head.indexOf("\r\n")).toString()
        if (status.includes(" 101 ")) resolve(head.subarray(end + 4))
        else reject(new Error(status))
      }
      socket.on("data", onData)
      socket.once("close", () => reject(new Error("the connection ended before the upgrade")))
    })
  }

  #read(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    for (;;) {
      const frame = splitFrame(this.#bytes)
      if (frame === undefined) return
      this.#bytes = this.#bytes.subarray(frame.end)
      this.#take(frame)
      this.#changes.emit("change")
    }
  }

  #take({ opcode, payload }: RawFrame): void {
    this.frames.push({ opcode, payload })
    if (opcode === textOpcode) this.#unread.push(JSON.parse(payload.toString()) as ServerMessage)
    else if (opcode === pingOpcode) this.sayRaw(10, payload)
    else if (opcode === closeOpcode) {
      this.closing = { code: payload.readUInt16BE(0), reason: payload.subarray(2).toString() }
      this.sayRaw(closeOpcode, payload.subarray(0, 2))
    }
  }
}

function isOfType<T extends ServerType>(
  message: ServerMessage,
  type: T,
): message is ServerMessage & ServerMessage<T> {
  return message.type === type
}

/** Parses the first complete frame of `bytes` and its end. A relay must not mask. */
export function splitFrame(bytes: Buffer): (RawFrame & { readonly end: number }) | undefined {
  if (bytes.length < 2) return undefined
  const [first = 0, second = 0] = bytes
  if ((second & 0x80) !== 0) throw new Error("a relay's frame is masked")
  let start = 2
  let length = second
  if (second === 126) {
    if (bytes.length < 4) return undefined
    start = 4
    length = bytes.readUInt16BE(2)
  } else if (second === 127) {
    if (bytes.length < 10) return undefined
    start = 10
    length = Number(bytes.readBigUInt64BE(2))
  }
  const end = start + length
  if (bytes.length < end) return undefined
  return { opcode: first & 0x0f, payload: bytes.subarray(start, end), end }
}

/** Builds a client's frame, masked. */
export function maskedFrame(opcode: number, payload: Buffer): Buffer {
  const mask = randomBytes(4)
  const masked = Buffer.from(payload)
  for (let i = 0; i < masked.length; i++) masked[i] = (masked[i] ?? 0) ^ (mask[i & 3] ?? 0)
  return Buffer.concat([Buffer.from([0x80 | opcode]), maskedLength(payload.length), mask, masked])
}

function maskedLength(length: number): Buffer {
  if (length < 126) return Buffer.from([0x80 | length])
  if (length < 0x1_0000) return Buffer.from([0x80 | 126, length >> 8, length & 0xff])
  const bytes = Buffer.alloc(9)
  bytes[0] = 0x80 | 127
  bytes.writeBigUInt64BE(BigInt(length), 1)
  return bytes
}
