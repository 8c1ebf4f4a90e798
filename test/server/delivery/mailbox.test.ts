import { expect, it } from "vitest"
import type { LogEntry, Logs } from "../../../src/backbone/backbone.js"
import { Mailbox } from "../../../src/server/delivery/mailbox.js"
import type { Agent } from "../../../src/server/sessions/agent.js"
import { type Payload, textOf } from "../../../src/server/wire/payload.js"

/** More turns than any reading takes. */
const turns = 20

/** A log that is told of an entry `turn` turns of the microtask queue after its first, empty page was given. */
function makeLogs(entry: LogEntry, turn: number, tell: () => void): Pick<Logs, "read"> {
  const kept: LogEntry[] = []
  let pages = 0
  const add = async (): Promise<void> => {
    for (let i = 0; i < turn; i++) await Promise.resolve()
    kept.push(entry)
    tell()
  }
  return {
    read: (_key, after) => {
      const page = Promise.resolve(kept.filter(({ seq }) => seq > after))
      if (pages++ === 0) void page.then(add)
      return page
    },
  }
}

it.each(Array.from({ length: turns }, (_, turn) => [turn]))(
  "sends what is told %i turns after the last page that was read",
  async (turn) => {
    const sent: string[] = []
    const outgoing = { send: (payload: Payload) => void sent.push(textOf(payload)) }
    const entry = { key: "a", seq: 1, ts: 0, value: "{}" }
    const mailbox: Mailbox = new Mailbox({
      agent: { id: "@a", outgoing } as unknown as Agent,
      logs: makeLogs(entry, turn, () => mailbox.take(entry)) as Logs,
      confirms: true,
      events: { onConfirmedTo: () => {}, onMirrored: () => {}, onFailed: () => {} },
    })
    mailbox.readOn()
    for (let i = 0; i < 3 * turns; i++) await Promise.resolve()
    expect(sent).toEqual(["{}"])
  },
)
