import type { IncomingMessage, ServerResponse } from "node:http"
import type { Clock, Timer } from "../../base/clock.js"
import type { ChannelId } from "../../coordination/channel-id.js"
import { ChatError } from "../../protocol/errors.js"
import { commonHeaders, detail, send } from "./answers.js"
import type { CoordinationService } from "./coordination-service.js"

/** Milliseconds between two looks for events that came another way than over HTTP to this relay. */
const pollMs = 1_000
/** Looks without an event after which a comment shows that the stream is alive. */
const quietPolls = 5
/** Streams at once, of all relays of the process. */
const maxStreams = 500
/** Bytes that a reader may be behind before its stream ends; it comes back with `Last-Event-ID`. */
const maxBehindBytes = 1024 * 1024

let open = 0

interface StreamOptions {
  readonly id: ChannelId
  readonly coordination: CoordinationService
  readonly clock: Clock
  /** Reports whether the reader may still read. */
  readonly mayRead: () => boolean
}

/**
 * Sends the events of a channel as server-sent events (WHATWG HTML, 9.2), the oldest first.
 * @param since - id of the event after which it begins
 */
export function streamEvents(
  request: IncomingMessage,
  response: ServerResponse,
  since: number,
  options: StreamOptions,
): void {
  if (open >= maxStreams) {
    send(response, { ...detail(503, "too many streams are open"), headers: { "Retry-After": "30" } })
    return
  }
  open++
  request.socket.setTimeout(0)
  response.writeHead(200, { ...commonHeaders, "Content-Type": "text/event-stream" })
  response.write(": open\n\n")
  const stream = new EventStream(response, since, options)
  response.on("close", () => {
    open--
    stream.end()
  })
}

/** An open stream. */
class EventStream {
  readonly #response: ServerResponse
  readonly #options: StreamOptions
  readonly #onAppended = (id: ChannelId) => {
    if (id === this.#options.id) this.#wake()
  }
  readonly #onClosed = () => this.end()
  #newest: number
  #quiet = 0
  #timer: Timer | undefined
  /** True while events are read, and if there may be more since. */
  #isReading = false
  #isDue = false

  constructor(response: ServerResponse, since: number, options: StreamOptions) {
    this.#response = response
    this.#newest = since
    this.#options = options
    options.coordination.on("appended", this.#onAppended)
    options.coordination.on("closed", this.#onClosed)
    this.#poll()
    this.#wake()
  }

  end(): void {
    const { coordination } = this.#options
    this.#timer?.cancel()
    coordination.off("appended", this.#onAppended)
    coordination.off("closed", this.#onClosed)
    this.#response.end()
  }

  #poll(): void {
    const look = () => {
      this.#poll()
      this.#wake()
    }
    this.#timer = this.#options.clock.setTimer(look, pollMs, { unref: true })
  }

  #wake(): void {
    const { writableEnded, writableLength } = this.#response
    this.#isDue = true
    if (this.#isReading || writableEnded) return
    if (!this.#options.mayRead() || writableLength > maxBehindBytes) {
      this.end()
      return
    }
    this.#isReading = true
    void this.#sendAll()
  }

  async #sendAll(): Promise<void> {
    try {
      while (this.#isDue) {
        this.#isDue = false
        await this.#send()
      }
    } catch (error) {
      // The store cannot be reached: the next look tries again.
      if (!(error instanceof ChatError)) throw error
    } finally {
      this.#isReading = false
    }
  }

  async #send(): Promise<void> {
    const events = await this.#options.coordination.events(this.#options.id)
    const fresh = events.filter(({ id }) => id > this.#newest).reverse()
    for (const event of fresh) {
      const kind = event.kind.replaceAll(/[\r\n]/g, " ")
      this.#response.write(`id: ${event.id}\nevent: ${kind}\ndata: ${JSON.stringify(event)}\n\n`)
      this.#newest = event.id
    }
    this.#quiet = fresh.length > 0 ? 0 : this.#quiet + 1
    if (this.#quiet >= quietPolls) {
      this.#response.write(": alive\n\n")
      this.#quiet = 0
    }
  }
}
