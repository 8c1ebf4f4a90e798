import { describe, expect, it } from "vitest"
import { AttackedRelay, canMeasureProcesses } from "../kit/attack.js"
import { clientExamples } from "../kit/client-examples.js"
import { isLong } from "../kit/long.js"
import { randomOf } from "../kit/storm-plan.js"
import { Wire } from "../kit/wire.js"

const frameCount = isLong ? 200_000 : 6_000
/** Frames a session sends before its answers are read; few enough that none is cut for its queue. */
const batch = 200
const hostileValues = [
  null,
  [],
  {},
  "",
  "\u0000",
  "\u202e",
  -0,
  1e308,
  "__proto__",
  "x".repeat(9_000),
  [[[[]]]],
]

/** Yields texts that resemble frames: real ones with a value, a byte or a length changed. */
function* brokenFrames(count: number, seed: number): Generator<Buffer> {
  const random = randomOf(seed)
  const pick = <T>(items: readonly T[]) => items[Math.floor(random() * items.length)] as T
  const examples = Object.entries(clientExamples).filter(([type]) => type !== "IDENTIFY")
  for (let i = 0; i < count; i++) {
    const [type, example] = pick(examples)
    const fields: Record<string, unknown> = { type, id: `f${i}`, ...example }
    const change = random()
    if (change < 0.4) fields[pick(Object.keys(fields))] = pick(hostileValues)
    const bytes = Buffer.from(JSON.stringify(fields))
    if (change >= 0.4 && change < 0.8) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
    yield change >= 0.8 ? bytes.subarray(0, Math.floor(random() * bytes.length)) : bytes
  }
}

/** Sends frames over as many sessions as it takes: the relay closes one that sends no UTF-8. */
async function attack(port: number, frames: Iterable<Buffer>): Promise<void> {
  let wire: Wire | undefined
  let sent = 0
  for (const frame of frames) {
    if (wire === undefined || wire.isEnded || wire.closing !== undefined) {
      wire = await Wire.open(port)
      wire.say({ type: "IDENTIFY", name: "mallory" })
    }
    wire.sayRaw(1, frame)
    if (++sent % batch === 0) await wire.settle().catch(() => {})
  }
}

describe.skipIf(!canMeasureProcesses)("broken frames", () => {
  it("cost a relay a bounded share and disturb nobody", {
    timeout: isLong ? 600_000 : 60_000,
  }, async (context) => {
    const attacked = await AttackedRelay.start(context, "--rate", "100000/s", "--burst", "100000")
    const alice = await Wire.open(attacked.port)
    const bob = await Wire.open(attacked.port)
    for (const [wire, name] of [
      [alice, "alice"],
      [bob, "bob"],
    ] as const) {
      wire.say({ type: "IDENTIFY", name })
      wire.say({ type: name === "alice" ? "CREATE_CHANNEL" : "JOIN", channel: "#ours" })
      await wire.next("JOINED")
    }
    await attack(attacked.port, brokenFrames(frameCount, 12))
    bob.say({ type: "MSG", to: "#ours", content: "still here" })
    expect(await alice.next("MSG")).toMatchObject({ content: "still here" })
    const { cpu, memory } = attacked.cost()
    expect(cpu).toBeLessThan((10 * frameCount) / 6_000)
    expect(memory).toBeLessThan(3)
  })
})
