import { createHash } from "node:crypto"
import { DiscardPolicy, RetentionPolicy, StorageType } from "@nats-io/jetstream"
import { nanos } from "@nats-io/transport-node"
import type { NatsClient } from "./nats-client.js"
import { ensureStream } from "./stream.js"

/** As long as NATS recognizes the id of a message. */
const retentionMs = 3_600_000
const maxBytes = 128 * 1024 * 1024

/** The digests of messages that were removed while NATS still recognizes their ids, in a stream of their own. */
export class RemovedIds {
  readonly #client: NatsClient
  readonly #stream: string

  constructor(client: NatsClient) {
    this.#client = client
    this.#stream = `${client.space}_ids`
  }

  async ensureStream(): Promise<void> {
    await ensureStream(this.#client, {
      name: this.#stream,
      subjects: [this.#subject(">")],
      retention: RetentionPolicy.Limits,
      storage: StorageType.File,
      max_msgs_per_subject: 1,
      max_age: nanos(retentionMs),
      max_bytes: maxBytes,
      discard: DiscardPolicy.Old,
    })
  }

  /** @throws {ChatError} UNAVAILABLE */
  async add(id: string, digest: string): Promise<void> {
    await this.#client.run(() => this.#client.js.publish(this.#subject(tokenOf(id)), digest))
  }

  /** Returns the digest of a removed message; "" if it had none. @throws {ChatError} UNAVAILABLE */
  async find(id: string): Promise<string> {
    const query = { last_by_subj: this.#subject(tokenOf(id)) }
    const message = await this.#client.run(() => this.#client.jsm.streams.getMessage(this.#stream, query))
    return message?.string() ?? ""
  }

  #subject(token: string): string {
    return `${this.#client.space}.ids.${token}`
  }
}

function tokenOf(id: string): string {
  return createHash("sha256").update(id).digest("base64url")
}
