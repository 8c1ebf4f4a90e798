import { randomBytes } from "node:crypto"
import { ChatError } from "../../protocol/errors.js"
import type { Backbone, Logs, Retention, Table } from "../backbone.js"
import { NatsLink, type NatsLinkOptions, toText } from "./connection.js"
import { NatsCoreLogs } from "./core-logs.js"
import { unreachable } from "./dial.js"
import { NatsLogs } from "./logs.js"
import { NatsTable } from "./table.js"

const idBytes = 9
/** Table of what all relays of a space must know of it. */
const ownTable = "system"
const retryMs = 500

/** Connects and finds, or makes, what names the space. See `openNatsBackbone`. */
export async function connectNatsBackbone(options: NatsLinkOptions): Promise<Backbone> {
  const { clock, connectTimeoutMs, address } = options
  const untilMs = clock.monotonic() + connectTimeoutMs
  const link = await NatsLink.open(options)
  for (;;) {
    try {
      link.hope()
      return await begin(link)
    } catch (error) {
      // A cluster that has just started answers when its nodes have found each other.
      if (clock.monotonic() + retryMs > untilMs) {
        await link.close()
        throw unreachable(`${address.where} with JetStream (${toText(error)})`, error)
      }
      await new Promise<void>((resolve) => void clock.setTimer(resolve, retryMs))
    }
  }
}

async function begin(link: NatsLink): Promise<Backbone> {
  const own = await NatsTable.open(link, ownTable)
  const id = await link.within(() => findId(own))
  return new NatsBackbone(link, own, id)
}

async function findId(own: Table): Promise<string> {
  const made = `srv_${randomBytes(idBytes).toString("base64url")}`
  const found = await own.get("id")
  if (found !== undefined) return found.value
  await own.put("id", made, 0)
  const first = await own.get("id")
  if (first === undefined) throw new ChatError("UNAVAILABLE", "the store does not keep what it is given")
  return first.value
}

class NatsBackbone implements Backbone {
  readonly kind = "nats"
  readonly isShared = true
  readonly id: string
  readonly #link: NatsLink
  readonly #own: NatsTable
  readonly #logs = new Map<string, Promise<NatsLogs | NatsCoreLogs>>()
  readonly #tables = new Map<string, Promise<NatsTable>>()

  constructor(link: NatsLink, own: NatsTable, id: string) {
    this.#link = link
    this.#own = own
    this.id = id
    link.startProbing(() => own.probe())
  }

  get isReachable(): boolean {
    return this.#link.isReachable
  }

  logs(name: string, keeping: Retention): Promise<Logs> {
    return opened(this.#logs, name, () =>
      keeping.maxEntries > 0 ? NatsLogs.open(this.#link, name, keeping) : NatsCoreLogs.open(this.#link, name),
    )
  }

  table(name: string): Promise<Table> {
    return opened(this.#tables, name, () => NatsTable.open(this.#link, name))
  }

  onReachabilityChange(listener: (isReachable: boolean) => void): void {
    this.#link.onReach(listener)
  }

  async close(): Promise<void> {
    const opening = [...this.#logs.values(), ...this.#tables.values()]
    for (const one of await Promise.allSettled(opening)) if (one.status === "fulfilled") one.value.close()
    this.#own.close()
    await this.#link.close()
  }
}

/** What was opened under a name, or opens it; one that failed may be tried again. */
function opened<T>(all: Map<string, Promise<T>>, name: string, open: () => Promise<T>): Promise<T> {
  const found = all.get(name)
  if (found !== undefined) return found
  const opening = open()
  all.set(name, opening)
  opening.catch(() => all.delete(name))
  return opening
}
