import type { ChatError } from "../protocol/errors.js"

export interface ReceiveSink {
  onText(text: string): void
  onClose(error: ChatError): void
}

/**
 * Queues frames between the socket and its reader. The handshake takes frames one by one; after {@link start} they are
 * passed on as they arrive. Frames in the same packet as WELCOME wait until the caller of the handshake has run, so
 * that none is lost or overtaken.
 */
export class ReceiveQueue {
  readonly #texts: string[] = []
  #error: ChatError | undefined
  #sink: ReceiveSink | undefined
  #waiter: { resolve(text: string): void; reject(error: ChatError): void } | undefined

  push(text: string): void {
    const waiter = this.#waiter
    this.#waiter = undefined
    if (waiter !== undefined) waiter.resolve(text)
    else if (this.#sink !== undefined) this.#sink.onText(text)
    else this.#texts.push(text)
  }

  /** Reports the end of the socket. Only the first error counts. */
  fail(error: ChatError): void {
    if (this.#error !== undefined) return
    this.#error = error
    this.#waiter?.reject(error)
    this.#sink?.onClose(error)
  }

  /** Returns the next frame. @throws {ChatError} the error of {@link fail}, after the frames before it */
  next(): Promise<string> {
    const text = this.#texts.shift()
    if (text !== undefined) return Promise.resolve(text)
    if (this.#error !== undefined) return Promise.reject(this.#error)
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject }
    })
  }

  /** Passes all frames on, from the next turn of the event loop. */
  start(sink: ReceiveSink): void {
    setImmediate(() => {
      for (const text of this.#texts.splice(0)) sink.onText(text)
      this.#sink = sink
      if (this.#error !== undefined) sink.onClose(this.#error)
    })
  }
}
