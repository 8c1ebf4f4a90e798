import { expect, it } from "vitest"
import type { LogEntry, Logs } from "../../../src/backbone/backbone.js"
import { Mailbox } from "../../../src/server/delivery/mailbox.js"
import type { Agent } from "../../../src/server/sessions/agent.js"
import { DeliveredIds } from "../../../src/server/sessions/delivered-ids.js"

const text = JSON.stringify({
  ...{ type: "MSG", from: "@0123456789abcdef", name: "ann", to: "@fedcba9876543210", content: "x" },
  ...{ ts: 1, msg_id: "0123456789abcdef.1", hops: 0 },
})
/** More turns of the microtask queue than one read takes. */
const turns = 20

/** A log that gets an entry `turn` turns of the microtask queue after its first, empty page was read. */
function makeLogs(entry: LogEntry, turn: number, onAdded: () => void): Pick<Logs, "read"> {
  const kept: LogEntry[] = []
  let pages = 0
  const add = async (): Promise<void> => {
    for (let i = 0; i < turn; i++) await Promise.resolve()
    kept.push(entry)
    onAdded()
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
  "sends a message that arrives %i microtasks after the last page was read",
  async (turn) => {
    const sent: string[] = []
    const sendQueue = { send: (payload: string) => void sent.push(payload) }
    const entry = { key: "a", seq: 1, ts: 0, value: text }
    const mailbox: Mailbox = new Mailbox({
      agent: { id: "@a", sendQueue, memory: { delivered: new DeliveredIds() } } as unknown as Agent,
      logs: makeLogs(entry, turn, () => mailbox.onEntry(entry)) as Logs,
      sendsReceived: true,
      confirmsNotices: true,
      idPrefix: "srv",
      onConfirmed: () => {},
      log: () => {},
    })
    mailbox.resume()
    for (let i = 0; i < 3 * turns; i++) await Promise.resolve()
    expect(sent).toEqual([text])
  },
)
