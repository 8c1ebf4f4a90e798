/** Ids in one RECEIVED; the protocol takes no more. */
const atOnce = 1_000

/** What a relay keeps for a client until it hears that it arrived: everything of one turn is told in one frame. */
export class Confirmations {
  #ids: string[] = []
  readonly #send: (ids: string[]) => void

  constructor(send: (ids: string[]) => void) {
    this.#send = send
  }

  add(messageId: string): void {
    if (this.#ids.push(messageId) > 1) return
    queueMicrotask(() => {
      const ids = this.#ids
      this.#ids = []
      for (let start = 0; start < ids.length; start += atOnce) this.#send(ids.slice(start, start + atOnce))
    })
  }
}
