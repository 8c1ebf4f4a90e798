import { type Bus, checkKey, type Subscription } from "../backbone.js"
import { errorText, type NatsClient } from "./nats-client.js"

/** Passes messages from relay to relay through core NATS, which keeps none. */
export class NatsBus implements Bus {
  readonly #client: NatsClient
  readonly #prefix: string

  constructor(client: NatsClient) {
    this.#client = client
    this.#prefix = `${client.space}.bus.`
  }

  async publish(key: string, value: string): Promise<void> {
    checkKey(key)
    const data = Buffer.from(value)
    this.#client.checkSize(data)
    await this.#client.run(async () => {
      this.#client.nc.publish(this.#prefix + key, data)
      await this.#client.nc.flush()
    })
  }

  subscribe(listener: (key: string, value: string) => void): Promise<Subscription> {
    const { nc, log } = this.#client
    return this.#client.run(async () => {
      const sub = nc.subscribe(`${this.#prefix}>`, {
        callback: (error, message) => {
          try {
            if (error !== null) throw error
            listener(message.subject.slice(this.#prefix.length), message.string())
          } catch (failure) {
            // An error thrown here would end the reader of the connection.
            log(`nats: a message of another relay is lost (${errorText(failure)})`)
          }
        },
      })
      await nc.flush()
      return () => sub.unsubscribe()
    })
  }
}
