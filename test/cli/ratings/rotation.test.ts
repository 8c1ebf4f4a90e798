import { mkdirSync } from "node:fs"
import { dirname } from "node:path"
import { describe, expect, it } from "vitest"
import { systemClock } from "../../../src/base/clock.js"
import { createIdentity, inspectIdentity, rotateIdentity } from "../../../src/identity/identity-file.js"
import type { KeyPair } from "../../../src/identity/signer.js"
import { type Rotation, signRevocation, signRotation } from "../../../src/identity/succession.js"
import { CommandRoom } from "../../kit/command-room.js"
import { startTs } from "../../kit/deals.js"
import { agent, completed } from "./receipts.js"

const [ann, bob, cat, newAnn, newestAnn] = [agent(41), agent(42), agent(43), agent(44), agent(45)]
const minute = 60_000
const at = (minutes: number) => startTs + minutes * minute

/** Ann's key hands over to the next one five minutes after the start. */
const rotation = signRotation(ann, newAnn, at(5))
const early = [completed(ann, bob, 1), completed(ann, cat, 2)]
const late = completed(newAnn, bob, 9)

function line(statement: object): string {
  return `${JSON.stringify(statement)}\n`
}

function roomWith(...lines: readonly string[]): CommandRoom {
  const room = new CommandRoom()
  room.write("receipts.jsonl", lines.join(""))
  return room
}

/** Agent ids and ratings, as `--export` has them. */
async function ratingsIn(room: CommandRoom, ...args: string[]): Promise<Record<string, number>> {
  const { ratings } = JSON.parse(await room.export(...args)) as {
    ratings: { agent_id: string; rating: number }[]
  }
  return Object.fromEntries(ratings.map(({ agent_id, rating }) => [agent_id, rating]))
}

/** The expected ratings after Ann's rotation: as if the new key had made all deals. */
async function expectedRatings() {
  return ratingsIn(roomWith(completed(newAnn, bob, 1), completed(newAnn, cat, 2), late))
}

/** Has an identity there, and rotates its key after its first deal. */
function rotatedIdentity(room: CommandRoom, place: string) {
  const path = room.path(place)
  mkdirSync(dirname(path), { recursive: true })
  const old = createIdentity(path)
  return {
    path,
    old,
    rotate: () => rotateIdentity(path, { clock: { ...systemClock, now: () => at(5) } }),
  }
}

describe("ratings over a rotation", () => {
  it.each<[string, readonly string[]]>([
    ["after the receipts", [...early, late, line(rotation)]],
    ["before the receipts", [line(rotation), late, ...early]],
    ["among them, twice", [...early, line(rotation), late, line(rotation)]],
  ])("ratings follow a rotation %s", async (_, lines) => {
    const room = roomWith(...lines)
    const expected = await expectedRatings()
    expect(await ratingsIn(room)).toEqual(expected)
    const cache = room.read("ratings.json")
    await room.ratings("--recalculate")
    expect(room.read("ratings.json")).toBe(cache)
    for (const ref of [ann.id, newAnn.id, ann.id.slice(0, 10)]) {
      const { out } = await room.ratings(ref)
      expect(out).toContain(`Rating (${newAnn.id}):\n  Rating: ${String(expected[newAnn.id])}\n`)
      expect(out).toContain("Transactions: 3")
    }
  })

  it("a rotation that is added later gives the same bytes in ratings.json", async () => {
    const room = roomWith(...early, late)
    expect(Object.keys(await ratingsIn(room))).toContain(ann.id)
    room.append("receipts.jsonl", line(rotation))
    expect(await ratingsIn(room)).toEqual(await expectedRatings())
    const cache = room.read("ratings.json")
    room.remove("ratings.json")
    await room.export()
    expect(room.read("ratings.json")).toBe(cache)
  })

  it("ratings follow a rotation in --keys for one run only", async () => {
    const room = roomWith(...early, late)
    const before = await ratingsIn(room)
    const cache = room.read("ratings.json")
    room.write("keys.jsonl", line(rotation))
    expect(await ratingsIn(room, "--keys", room.path("keys.jsonl"))).toEqual(await expectedRatings())
    expect(room.read("ratings.json")).toBe(cache)
    expect(await ratingsIn(room)).toEqual(before)
    const files = ["--receipts", room.path("receipts.jsonl"), "--keys", room.path("keys.jsonl")]
    expect(await ratingsIn(room, ...files)).toEqual(await expectedRatings())
    expect(await room.ratings("--keys", room.path("receipts.jsonl"))).toMatchObject({ status: 2 })
    expect(await room.ratings("--keys", "nowhere")).toMatchObject({ status: 3 })
  })

  it.each(["identity.json", "daemons/ann/identity.json"])(
    "ratings follow the rotations of the user's identity in %s at once",
    async (place) => {
      const room = new CommandRoom()
      const { old, rotate } = rotatedIdentity(room, place)
      room.write("receipts.jsonl", completed(old.keyPair, bob, 1) + completed(old.keyPair, cat, 2))
      const named = place === "identity.json" ? [] : ["--name", "ann"]
      expect((await room.ratings(...named)).out).toContain(`Your rating (${old.agentId}):`)
      const { agentId } = rotate()
      for (let turn = 0; turn < 2; turn++) {
        const { out } = await room.ratings(...named)
        expect(out).toMatch(new RegExp(`^Your rating \\(${agentId}\\):\n {2}Rating: 12\\d\\d\n.*: 2\n`))
      }
      expect((await room.ratings(old.agentId)).out).toContain(`Rating (${agentId}):`)
      const cache = room.read("ratings.json")
      await room.ratings("--recalculate")
      expect(room.read("ratings.json")).toBe(cache)
    },
  )

  it("ratings follow the rotations of the identity in --identity", async () => {
    const room = new CommandRoom()
    const { path, old, rotate } = rotatedIdentity(room, "elsewhere/ann.json")
    room.write("receipts.jsonl", completed(old.keyPair, bob, 1))
    const { agentId } = rotate()
    expect((await room.ratings("--identity", path)).out).toContain(`(${agentId}):\n  Rating: 1216\n`)
    expect((await room.ratings(agentId)).out).toContain("Rating: 1200")
    room.write("public.json", line(inspectIdentity(path)))
    const { out } = await room.ratings(agentId, "--keys", room.path("public.json"))
    expect(out).toContain(`(${agentId}):\n  Rating: 1216\n`)
  })

  it("ratings follow several rotations in a row, and --explain shows the current ids", async () => {
    const second = signRotation(newAnn, newestAnn, at(6))
    const room = roomWith(...early, line(second), line(rotation))
    for (const key of [ann, newAnn, newestAnn]) {
      expect((await room.ratings(key.id)).out).toContain(`Rating (${newestAnn.id}):`)
    }
    const { out } = await room.ratings(bob.id, "--explain", "--json")
    expect(JSON.parse(out)).toMatchObject({ deals: [{ with: newestAnn.id, change: 16 }] })
    const trusting = await room.ratings(bob.id, "--trusting", ann.id, "--json")
    expect(JSON.parse(trusting.out)).toMatchObject({ rating: 1216 })
  })

  it("ratings skip what the old key signs at or after the rotation", async () => {
    const room = roomWith(...early, line(rotation), completed(ann, cat, 5), completed(cat, ann, 8))
    for (let turn = 0; turn < 2; turn++) {
      const { out, err } = await room.ratings("--stats")
      expect(out).toContain("  Deals: 2\n")
      expect(err).toBe("2 receipts do not count: signed after the key was rotated or revoked\n")
    }
  })

  it("ratings do not count a deal between two keys of one agent", async () => {
    const room = roomWith(completed(ann, newAnn, 1), completed(newAnn, ann, 2))
    expect(Object.keys(await ratingsIn(room))).toHaveLength(2)
    room.append("receipts.jsonl", line(rotation))
    expect(await ratingsIn(room)).toEqual({})
    expect((await room.ratings(ann.id)).out).toContain(`Rating (${newAnn.id}):\n  Rating: 1200`)
  })

  it("ratings follow neither of two contradicting rotations, and report them each time", async () => {
    const other = signRotation(ann, newestAnn, at(6))
    const keys = [line(rotation), line(other)]
    for (const order of [keys, [...keys].reverse()]) {
      const room = roomWith(...order, ...early)
      for (let turn = 0; turn < 2; turn++) {
        const { out, err } = await room.ratings("--export")
        expect(out).toContain(ann.id)
        expect(out).not.toContain(newAnn.id)
        expect(err).toBe(`${ann.id}: rotated to several keys; none of these rotations is followed\n`)
      }
    }
  })

  it("a cycle of rotations ends at one of its keys", async () => {
    const back = signRotation(newAnn, ann, at(6))
    const room = roomWith(...early, line(rotation), line(back))
    expect(Object.keys(await ratingsIn(room))).toContain(newAnn.id)
    expect((await room.ratings(ann.id)).out).toContain(`Rating (${newAnn.id}):`)
  })

  it("ratings do not follow a rotation after a revocation", async () => {
    const room = roomWith(...early, line(rotation), line(signRevocation(ann, at(4))))
    expect(Object.keys(await ratingsIn(room))).toContain(ann.id)
  })

  it.each<[string, (rotation: Rotation, mallory: KeyPair) => object]>([
    ["another successor", (signed) => ({ ...signed, to: newestAnn.did })],
    ["another time", (signed) => ({ ...signed, ts: signed.ts - 1 })],
    ["two signatures of the old key", (signed) => ({ ...signed, sigs: [signed.sigs[0], signed.sigs[0]] })],
    ["two signatures of the new key", (signed) => ({ ...signed, sigs: [signed.sigs[1], signed.sigs[1]] })],
    [
      "a stranger's signature for the old key's",
      (signed, mallory) => ({ ...signRotation(mallory, newAnn, signed.ts), from: signed.from }),
    ],
  ])("ratings reject a rotation with %s", async (_, forge) => {
    const forged = line(forge(rotation, bob))
    const room = roomWith(...early, forged)
    const { out, err } = await room.ratings("--export")
    expect(out).toBe(await roomWith(...early).export())
    expect(err).toContain("line 3 ")
    room.write("keys.jsonl", forged)
    expect(await room.ratings("--stats", "--keys", room.path("keys.jsonl"))).toMatchObject({ status: 2 })
  })

  it("ratings ignore the statements of a damaged identity, and name the file", async () => {
    const room = roomWith(...early)
    mkdirSync(room.path("daemons/eve"), { recursive: true })
    room.write("daemons/eve/identity.json", "{")
    const { status, err } = await room.ratings("--stats")
    expect(status).toBe(0)
    expect(err).toContain("daemons/eve/identity.json")
  })
})
