import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ChatError } from "../../../src/protocol/errors.js"
import { WriteSequencer } from "../../../src/server/sessions/write-sequencer.js"
import { FakeClock } from "../../kit/fake-clock.js"

const lost = () => new ChatError("UNAVAILABLE", "lost")
const settled = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

/** A store that answers when the test says so. */
function makeStore() {
  const clock = new FakeClock()
  const sequencer = new WriteSequencer(clock)
  const asked: { name: string; answer: (isKept: boolean) => void }[] = []
  const told: string[] = []
  const send = (name: string) => {
    sequencer
      .run(
        () =>
          new Promise<void>((resolve, reject) => {
            asked.push({ name, answer: (isKept) => (isKept ? resolve() : reject(lost())) })
          }),
      )
      .then(
        () => told.push(`${name} kept`),
        () => told.push(`${name} refused`),
      )
  }
  return { clock, asked, told, send, names: () => asked.map(({ name }) => name) }
}

describe("WriteSequencer", () => {
  it("starts writes without waiting while the store answers", async () => {
    const { asked, told, send, names } = makeStore()
    for (const name of ["1", "2", "3"]) send(name)
    expect(names()).toEqual(["1", "2", "3"])
    for (const { answer } of asked) answer(true)
    await settled()
    expect(told).toEqual(["1 kept", "2 kept", "3 kept"])
  })

  it("holds writes while the store stalls, and starts them when it answers", async () => {
    const { clock, asked, send, names } = makeStore()
    send("1")
    clock.advance(300)
    for (const name of ["2", "3"]) send(name)
    expect(names()).toEqual(["1"])
    asked[0]?.answer(true)
    await settled()
    expect(names()).toEqual(["1", "2", "3"])
  })

  it("refuses writes after a failed one, in order, and for a while after that", async () => {
    const { clock, asked, told, send, names } = makeStore()
    send("1")
    clock.advance(300)
    for (const name of ["2", "3"]) send(name)
    asked[0]?.answer(false)
    await settled()
    send("4")
    await settled()
    expect(told).toEqual(["1 refused", "2 refused", "3 refused", "4 refused"])
    clock.advance(1_000)
    send("1")
    expect(names()).toEqual(["1", "1"])
  })

  it("continues after a write that is refused for another reason", async () => {
    const clock = new FakeClock()
    const sequencer = new WriteSequencer(clock)
    const full = new ChatError("MAILBOX_FULL", "full")
    await expect(sequencer.run(() => Promise.reject(full))).rejects.toBe(full)
    await expect(sequencer.run(() => Promise.resolve("kept"))).resolves.toBe("kept")
  })

  it("never stores a message before an earlier one if the sender repeats both in order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(...acts), { minLength: 10, maxLength: 60 }), async (some) => {
        const sender = new Sender()
        for (const act of some) await sender.do(act)
        for (let round = 0; round < 6; round++) {
          await sender.do("keep")
          await sender.do("again")
        }
        expect(sender.kept).toEqual(Array.from({ length: sender.said }, (_, i) => i))
      }),
      { numRuns: 300 },
    )
  })
})

const acts = ["say", "say", "say", "keep", "again", "break"] as const

/** A sender that repeats refused messages first and in order, and the store it writes to. */
class Sender {
  readonly kept: number[] = []
  said = 0
  readonly #room = makeStore()
  readonly #refused: string[] = []

  async do(act: (typeof acts)[number]): Promise<void> {
    if (act === "say") this.#say()
    else if (act === "keep") this.#keep()
    else if (act === "again") this.#again()
    else this.#break()
    await settled()
    for (const text of this.#room.told.splice(0)) {
      const [name = "", verdict] = text.split(" ")
      if (verdict === "refused") this.#refused.push(name)
    }
  }

  #say(): void {
    if (this.#refused.length === 0) this.#room.send(`${this.said++}`)
  }

  #keep(): void {
    for (const { name, answer } of this.#room.asked.splice(0)) {
      this.kept.push(Number(name))
      answer(true)
    }
  }

  #again(): void {
    this.#room.clock.advance(1_000)
    for (const name of this.#refused.splice(0)) this.#room.send(name)
  }

  /** Loses the writes under way when the store breaks down, and reports that only after a while. */
  #break(): void {
    const onTheWay = this.#room.asked.splice(0)
    this.#room.clock.advance(5_000)
    if (onTheWay.length > 0) this.#say()
    for (const { answer } of onTheWay) answer(false)
  }
}
