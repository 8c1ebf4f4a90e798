import { describe, expect, it } from "vitest"
import type { AgentId } from "../../../src/protocol/names.js"
import { DirectDelivery } from "../../../src/server/delivery/direct-delivery.js"
import type { Roster } from "../../../src/server/roster/roster.js"
import type { SessionRegistry } from "../../../src/server/sessions/session-registry.js"
import { payloadOf } from "../../../src/server/wire/frame-encoder.js"
import { FakeClock } from "../../kit/fake-clock.js"

const [here, elsewhere, away, unknown] = ["a", "b", "c", "d"].map(
  (letter) => `@000000000000000${letter}` as AgentId,
) as [AgentId, AgentId, AgentId, AgentId]
const guest = "@abcdefgh" as AgentId

/** A delivery, and a list of what it sent and how. */
function makeDelivery() {
  const sent: string[] = []
  const statuses = new Map<string, string>([
    [here, "idle"],
    [elsewhere, "working"],
    [away, "offline"],
  ])
  const session = { sendQueue: { send: () => void sent.push(`session ${here}`) } }
  const delivery = new DirectDelivery({
    sessions: { find: (id: string) => (id === here ? session : undefined) } as unknown as SessionRegistry,
    roster: {
      find: (id) => {
        const status = statuses.get(id)
        return status === undefined ? undefined : ({ id, status } as ReturnType<Roster["find"]>)
      },
    },
    bus: { send: (to) => void sent.push(`bus ${to}`) },
    mailboxes: {
      post: (to, id) => {
        sent.push(`mail ${to} ${id}`)
        return Promise.resolve({ seq: 1, ts: 0, isDuplicate: false })
      },
      postNotice: (to) => void sent.push(`news ${to}`),
    },
    clock: new FakeClock(),
  })
  return { delivery, sent }
}

describe("DirectDelivery", () => {
  it("reports to an author here, in its mailbox while it is away, and through the bus otherwise", () => {
    const { delivery, sent } = makeDelivery()
    for (const author of [here, elsewhere, away, unknown]) {
      delivery.reportDelivery(`${author.slice(1)}.m1`, "mirrored", guest)
    }
    expect(sent).toEqual([`session ${here}`, `bus ${elsewhere}`, `news ${away}`, `bus ${unknown}`])
  })

  it("does not report that an agent's own copy of a statement arrived", () => {
    const { delivery, sent } = makeDelivery()
    delivery.reportDelivery(`${here.slice(1)}.deal/1`, "mirrored", here)
    expect(sent).toEqual([])
  })

  it("stores an answer for an agent with a key, and sends it to one without", async () => {
    const { delivery, sent } = makeDelivery()
    await delivery.answer(`${here.slice(1)}.m1`, "{}")
    await delivery.answer(`${guest.slice(1)}.m1`, "{}")
    delivery.send(here, payloadOf("{}"))
    expect(sent).toEqual([`mail ${here} done/${here.slice(1)}.m1`, `bus ${guest}`, `session ${here}`])
  })
})
