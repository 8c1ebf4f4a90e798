import { JetStreamApiError } from "@nats-io/jetstream"
import { createInbox, type Msg, type MsgHdrs } from "@nats-io/transport-node"
import { type NatsLink, unavailable } from "./connection.js"

/** What JetStream says of a message it has taken. */
interface Taken {
  readonly seq: number
  /** It was taken before, under that number. */
  readonly duplicate?: boolean
}

interface Asked {
  resolve(taken: Taken): void
  reject(error: Error): void
}

/**
 * Gives messages to JetStream, many at once. The library's way makes timers, promises and an error for each of them,
 * which takes longer than all the rest.
 */
export class NatsPublisher {
  readonly #link: NatsLink
  readonly #toError: (refusal: JetStreamApiError) => Error
  readonly #inbox = `${createInbox()}.`
  readonly #asked = new Map<string, Asked>()
  #count = 0

  /** @param toError - what {@link publish} throws when JetStream refuses a message; no `ChatError`: as if it were away */
  constructor(link: NatsLink, toError: (refusal: JetStreamApiError) => Error) {
    this.#link = link
    this.#toError = toError
    link.nc.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => {
        if (error === null) this.#take(message)
      },
    })
  }

  /** @throws {ChatError} UNAVAILABLE, and what `toError` makes */
  async publish(subject: string, data: Uint8Array, headers: MsgHdrs): Promise<Taken> {
    const token = String(++this.#count)
    try {
      return await this.#link.run(
        () =>
          new Promise<Taken>((resolve, reject) => {
            this.#asked.set(token, { resolve, reject })
            this.#link.nc.publish(subject, data, { headers, reply: this.#inbox + token })
          }),
      )
    } finally {
      // Also of what was given up.
      this.#asked.delete(token)
    }
  }

  #take(message: Msg): void {
    const asked = this.#asked.get(message.subject.slice(this.#inbox.length))
    if (asked === undefined) return
    const answer = readAnswer(message)
    if (answer === undefined) asked.reject(unavailable("JetStream does not answer"))
    else if ("error" in answer) asked.reject(this.#toError(new JetStreamApiError(answer.error)))
    else asked.resolve(answer)
  }
}

/** @returns undefined when nobody is there to answer */
function readAnswer(
  message: Msg,
): Taken | { error: ConstructorParameters<typeof JetStreamApiError>[0] } | undefined {
  if (message.data.length === 0) return undefined
  try {
    return message.json()
  } catch {
    return undefined
  }
}
