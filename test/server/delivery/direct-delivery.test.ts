import { describe, expect, it } from "vitest"
import type { AgentId } from "../../../src/protocol/names.js"
import { DirectDelivery } from "../../../src/server/delivery/direct-delivery.js"
import type { SessionRegistry } from "../../../src/server/sessions/session-registry.js"
import { FakeClock } from "../../kit/fake-clock.js"

const here = "@000000000000000a" as AgentId
const elsewhere = "@000000000000000b" as AgentId
const guest = "@abcdefgh" as AgentId

/** A delivery, and a list of what it sent and how. */
function makeDelivery() {
  const sent: string[] = []
  const session = { sendQueue: { send: () => void sent.push(`session ${here}`) } }
  const delivery = new DirectDelivery({
    onStage: () => {},
    sessions: { find: (id: string) => (id === here ? session : undefined) } as unknown as SessionRegistry,
    bus: { send: (to) => void sent.push(`bus ${to}`) },
    mailboxes: {
      post: (to, id) => {
        sent.push(`mail ${to} ${id}`)
        return Promise.resolve({ seq: 1, ts: 0, isDuplicate: false })
      },
      hadNotice: (_to, entryId) => Promise.resolve(!entryId.includes(".new/")),
      postNotice: (to, entryId) => {
        sent.push(`notice ${to} ${entryId}`)
        return Promise.resolve()
      },
    },
    clock: new FakeClock(),
  })
  return { delivery, sent }
}

describe("DirectDelivery", () => {
  it("reports to an author with a key by mail, and to another one at once", async () => {
    const { delivery, sent } = makeDelivery()
    for (const author of [here, elsewhere, guest]) {
      await delivery.reportDelivery(`${author.slice(1)}.m1`, "mirrored", guest)
    }
    expect(sent).toEqual([
      `notice ${here} ${here.slice(1)}.m1/mirrored/${guest}`,
      `notice ${elsewhere} ${elsewhere.slice(1)}.m1/mirrored/${guest}`,
      `bus ${guest}`,
    ])
  })

  it("does not report that an agent's own copy of a statement arrived", async () => {
    const { delivery, sent } = makeDelivery()
    await delivery.reportDelivery(`${here.slice(1)}.deal/1`, "mirrored", here)
    expect(sent).toEqual([])
  })

  it("stores an answer for an agent with a key, and sends it to one without", async () => {
    const { delivery, sent } = makeDelivery()
    await delivery.answer(`${here.slice(1)}.m1`, "{}")
    await delivery.answer(`${guest.slice(1)}.m1`, "{}")
    delivery.send(here, "{}")
    expect(sent).toEqual([`mail ${here} done/${here.slice(1)}.m1`, `bus ${guest}`, `session ${here}`])
  })
})
