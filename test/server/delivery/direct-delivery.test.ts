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

/** A courier, and what it brought by which way. */
function room() {
  const brought: string[] = []
  const statuses = new Map<string, string>([
    [here, "idle"],
    [elsewhere, "working"],
    [away, "offline"],
  ])
  const session = { sendQueue: { send: () => void brought.push(`session ${here}`) } }
  const courier = new DirectDelivery({
    sessions: { find: (id: string) => (id === here ? session : undefined) } as unknown as SessionRegistry,
    roster: {
      find: (id) => {
        const status = statuses.get(id)
        return status === undefined ? undefined : ({ id, status } as ReturnType<Roster["find"]>)
      },
    },
    bus: { send: (to) => void brought.push(`bus ${to}`) },
    mailboxes: {
      post: (to, id) => {
        brought.push(`mail ${to} ${id}`)
        return Promise.resolve({ seq: 1, ts: 0, isDuplicate: false })
      },
      postNotice: (to) => void brought.push(`news ${to}`),
    },
    clock: new FakeClock(),
  })
  return { courier, brought }
}

describe("a courier", () => {
  it("tells authors where they are, when they are back, and at another relay if they may be there", () => {
    const { courier, brought } = room()
    for (const author of [here, elsewhere, away, unknown]) {
      courier.reportDelivery(`${author.slice(1)}.m1`, "mirrored", guest)
    }
    expect(brought).toEqual([`session ${here}`, `bus ${elsewhere}`, `news ${away}`, `bus ${unknown}`])
  })

  it("tells nobody that its own copy of what it signed has arrived", () => {
    const { courier, brought } = room()
    courier.reportDelivery(`${here.slice(1)}.deal/1`, "mirrored", here)
    expect(brought).toEqual([])
  })

  it("leaves an answer with who has mail, and hands it to who has none", async () => {
    const { courier, brought } = room()
    await courier.answer(`${here.slice(1)}.m1`, "{}")
    await courier.answer(`${guest.slice(1)}.m1`, "{}")
    courier.send(here, payloadOf("{}"))
    expect(brought).toEqual([`mail ${here} done/${here.slice(1)}.m1`, `bus ${guest}`, `session ${here}`])
  })
})
