import type { ChatError } from "../protocol/errors.js"

/** Where frames go once the handshake is over. */
export interface SocketReaderSink {
  onText(text: string): void
  onClose(error: ChatError): void
}

/**
 * Between the socket and its reader. During the handshake frames are asked for one by one; afterwards they
 * are passed on as they come. What arrives in between, in the same packet as WELCOME, waits: whoever opened
 * the connection has its turn first, and nothing is lost or overtaken.
 */
export class SocketReader {
  readonly #texts: string[] = []
  #error: ChatError | undefined
  #sink: SocketReaderSink | undefined
  #waiter: { resolve(text: string): void; reject(error: ChatError): void } | undefined

  push(text: string): void {
    const waiter = this.#waiter
    this.#waiter = undefined
    if (waiter !== undefined) waiter.resolve(text)
    else if (this.#sink !== undefined) this.#sink.onText(text)
    else this.#texts.push(text)
  }

  /** The socket is gone. Only the first error counts. */
  fail(error: ChatError): void {
    if (this.#error !== undefined) return
    this.#error = error
    this.#waiter?.reject(error)
    this.#sink?.onClose(error)
  }

  /** The next frame. @throws {ChatError} what {@link fail} was given, after the frames before it */
  next(): Promise<string> {
    const text = this.#texts.shift()
    if (text !== undefined) return Promise.resolve(text)
    if (this.#error !== undefined) return Promise.reject(this.#error)
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject }
    })
  }

  /** Passes everything on from the next turn of the event loop. */
  start(sink: SocketReaderSink): void {
    setImmediate(() => {
      for (const text of this.#texts.splice(0)) sink.onText(text)
      this.#sink = sink
      if (this.#error !== undefined) sink.onClose(this.#error)
    })
  }
}
