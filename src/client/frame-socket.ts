import type { Socket } from "node:net"
import type { Clock } from "../base/clock.js"
import { WebSocket } from "../base/websocket.js"
import { ChatError } from "../protocol/errors.js"
import { KeepAlive } from "./keep-alive.js"
import { errorOfClose, errorOfNetwork } from "./relay-error.js"
import { connectOptionsOf, formatServer } from "./server-url.js"

/** Size of the largest frame that is read, in bytes; a roster of a hundred thousand agents fits. */
const maxFrameBytes = 16 * 1024 * 1024
/** Milliseconds the relay has to answer the closing handshake. */
const closeMs = 1_000

export interface FrameSocketEvents {
  onText(text: string): void
  /** Called once when the socket is lost; not after {@link FrameSocket.close}. */
  onClose(error: ChatError): void
}

/** A WebSocket for text frames, with coalesced writes, keep-alive, and one error for each way it can end. */
export class FrameSocket {
  readonly #server: string
  readonly #clock: Clock
  readonly #events: FrameSocketEvents
  readonly #webSocket: InstanceType<typeof WebSocket>
  readonly #keepAlive: KeepAlive
  readonly #early: string[] = []
  #stream: Socket | undefined
  #isCorked = false
  #isOver = false
  #networkError: ChatError | undefined

  constructor(url: URL, clock: Clock, events: FrameSocketEvents) {
    this.#server = formatServer(url)
    this.#clock = clock
    this.#events = events
    this.#keepAlive = new KeepAlive(clock, {
      ping: () => this.#webSocket.ping(),
      dead: () => {
        this.fail(new ChatError("UNREACHABLE", `${this.#server}: does not respond`))
      },
    })
    const target = new URL(url)
    target.hash = ""
    this.#webSocket = new WebSocket(target, {
      ...connectOptionsOf(url),
      perMessageDeflate: false,
      followRedirects: false,
      maxPayload: maxFrameBytes,
    })
    this.#listen()
  }

  /** Bytes sent and not yet taken by the operating system. */
  get bufferedBytes(): number {
    return this.#webSocket.bufferedAmount
  }

  /** Sends a text frame. All frames sent by one callback leave in one write. Does nothing after the end. */
  send(text: string): void {
    if (this.#webSocket.readyState === WebSocket.CONNECTING) {
      this.#early.push(text)
      return
    }
    this.#cork()
    // A Buffer, because ws masks it into one chunk with the header; a string becomes two.
    this.#webSocket.send(Buffer.from(text), { binary: false })
  }

  /** Stops reading, so that the relay feels backpressure. Keep-alive stops too, because no answer would be read. */
  pause(): void {
    this.#keepAlive.stop()
    this.#webSocket.pause()
  }

  resume(): void {
    if (this.#isOver || !this.#webSocket.isPaused) return
    this.#webSocket.resume()
    this.#keepAlive.start()
  }

  /** Ends the socket with `error`, without the closing handshake. */
  fail(error: ChatError): void {
    this.#end(error)
    this.#webSocket.terminate()
  }

  /** Closes the socket and resolves when it is closed, after {@link closeMs} at the latest. */
  async close(): Promise<void> {
    this.#isOver = true
    this.#keepAlive.stop()
    if (this.#webSocket.readyState === WebSocket.CLOSED) return
    await new Promise<void>((resolve) => {
      const timer = this.#clock.setTimer(() => this.#webSocket.terminate(), closeMs)
      this.#webSocket.once("close", () => {
        timer.cancel()
        resolve()
      })
      this.#webSocket.resume()
      this.#webSocket.close(1000)
    })
  }

  #listen(): void {
    this.#webSocket.on("upgrade", (response) => {
      this.#stream = response.socket
    })
    this.#webSocket.on("open", () => {
      for (const text of this.#early.splice(0)) this.send(text)
      this.#keepAlive.start()
    })
    this.#webSocket.on("message", (data, isBinary) => {
      this.#keepAlive.received()
      if (!isBinary && !this.#isOver) this.#events.onText((data as Buffer).toString())
    })
    this.#webSocket.on("pong", () => this.#keepAlive.received())
    this.#webSocket.on("error", (error) => (this.#networkError ??= errorOfNetwork(this.#server, error)))
    this.#webSocket.on("close", (code, reason) =>
      this.#end(this.#networkError ?? errorOfClose(this.#server, code, reason.toString())),
    )
  }

  #end(error: ChatError): void {
    this.#keepAlive.stop()
    if (this.#isOver) return
    this.#isOver = true
    this.#events.onClose(error)
  }

  #cork(): void {
    const stream = this.#stream
    if (this.#isCorked || stream === undefined) return
    this.#isCorked = true
    stream.cork()
    // Runs when the current callback ends: sooner than setImmediate, which waits for the other events of the turn.
    queueMicrotask(() => {
      this.#isCorked = false
      stream.uncork()
    })
  }
}
