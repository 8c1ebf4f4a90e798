import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { generateKeyPair } from "../../src/identity/signer.js"
import { defaultLimits } from "../../src/protocol/limits.js"
import { type Channel, type ChannelPattern, matchesChannel } from "../../src/protocol/names.js"
import { PatternIndex } from "../../src/server/channels/pattern-index.js"
import { TestRelay } from "../kit/relay.js"

const { requestsPerSecond } = defaultLimits

/** Patterns of so many levels that all match `#a.a.a…`: each level is `a` or `*`. */
function patternsOf(levels: number, count: number): string[] {
  const nameOf = (n: number) =>
    Array.from({ length: levels }, (_, bit) => (((n >> bit) & 1) === 1 ? "*" : "a")).join(".")
  return Array.from({ length: count }, (_, n) => `#${nameOf(n + 1)}`)
}

describe("a channel pattern", () => {
  it("joins its session once to a new channel that a hundred of its patterns match", async () => {
    const relay = await TestRelay.start()
    const watcher = await relay.enter("watcher")
    for (const channel of patternsOf(8, 100)) await watcher.wire.ask({ type: "JOIN", channel })
    const mallory = await relay.enter("mallory")
    const channel = `#${"a.".repeat(7)}a`
    await mallory.wire.ask({ type: "CREATE_CHANNEL", channel })
    const joined = (await watcher.wire.settle()).filter(({ type }) => type === "JOINED")
    expect(joined).toMatchObject([{ channel }])
    watcher.wire.say({ type: "LEAVE", channel })
    expect(await watcher.wire.next("LEFT")).toMatchObject({ channel })
  })

  it("is refused when sessions of one origin hold a quarter of all, and a key still finds room", async () => {
    const relay = await TestRelay.start({ limits: { patterns: 40 } })
    const answers: string[] = []
    for (const name of ["m1", "m2"]) {
      const { wire } = await relay.enter(name)
      for (const channel of patternsOf(8, 8)) answers.push((await wire.ask({ type: "JOIN", channel })).type)
    }
    expect(answers.filter((type) => type === "JOINED")).toHaveLength(10)
    const bob = await relay.enterAs(generateKeyPair(), "bob")
    expect(await bob.wire.ask({ type: "JOIN", channel: "#team.>" })).toMatchObject({ type: "JOINED" })
  })

  it("of a session that ended leaves room for others", async () => {
    const relay = await TestRelay.start({ limits: { patterns: 4 } })
    const first = await relay.enter("first", "#a.>")
    const second = await relay.enter("second")
    expect(await second.wire.ask({ type: "JOIN", channel: "#b.>" })).toMatchObject({ code: "LIMIT_REACHED" })
    first.wire.socket.destroy()
    await expect.poll(() => relay.log.some((line) => line.startsWith("left:"))).toBe(true)
    expect(await second.wire.ask({ type: "JOIN", channel: "#b.>" })).toMatchObject({ type: "JOINED" })
  })

  it("of others costs the creator of a channel one request for ten that join", async () => {
    const relay = await TestRelay.start({ limits: { requestsPerSecond, requestBurst: 3 } })
    for (let n = 0; n < 20; n++) await relay.enter(`watcher${n}`, "#c.>")
    const { wire } = await relay.enter("maker")
    await wire.ask({ type: "CREATE_CHANNEL", channel: "#c.1" })
    expect(await wire.ask({ type: "LIST_CHANNELS" })).toMatchObject({ code: "RATE_LIMITED" })
  })

  it("costs its session one request for ten memberships", async () => {
    const relay = await TestRelay.start({ limits: { requestsPerSecond, requestBurst: 20 } })
    const makers = await Promise.all(Array.from({ length: 10 }, (_, n) => relay.enter(`maker${n}`)))
    for (const [n, { wire }] of makers.entries())
      for (let m = 0; m < 10; m++) await wire.ask({ type: "CREATE_CHANNEL", channel: `#c.${n}-${m}` })
    const { wire } = await relay.enter("watcher")
    await wire.ask({ type: "JOIN", channel: "#c.>" })
    await wire.ask({ type: "LEAVE", channel: "#c.>" })
    expect(await wire.ask({ type: "LIST_CHANNELS" })).toMatchObject({ code: "RATE_LIMITED" })
  })
})

describe("PatternIndex", () => {
  const levels = (...names: string[]) => fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 4 })
  const channels = levels("a", "b").map((parts) => `#${parts.join(".")}` as Channel)
  const patterns = fc
    .tuple(levels("a", "b", "*"), fc.boolean())
    .map(([parts, isOpen]) => `#${[...parts, ...(isOpen ? [">"] : [])].join(".")}` as ChannelPattern)

  it("finds exactly the holders of matching patterns, also after some were removed", () => {
    fc.assert(
      fc.property(fc.array(patterns), fc.array(patterns), channels, (kept, removed, channel) => {
        const index = new PatternIndex<number>()
        for (const [n, pattern] of [...kept, ...removed].entries()) index.add(pattern, n)
        for (const [n, pattern] of removed.entries()) index.delete(pattern, kept.length + n)
        const expected = [...kept.entries()].flatMap(([n, pattern]) =>
          matchesChannel(pattern, channel) ? [n] : [],
        )
        expect([...index.matching(channel).keys()].sort((a, b) => a - b)).toEqual(expected)
      }),
    )
  })

  it("matches as the levels of pattern and channel say", () => {
    const matches = (pattern: string, channel: string) =>
      matchesChannel(pattern as ChannelPattern, channel as Channel)
    const slow = (pattern: string, channel: string) => {
      const parts = pattern
        .slice(1)
        .split(".")
        .map((level) => ({ "*": "[^.]+", ">": ".+" })[level] ?? level)
      return new RegExp(`^#${parts.join("\\.")}$`).test(channel)
    }
    fc.assert(
      fc.property(patterns, channels, (p, c) => matches(p, c) === slow(p, c)),
      { numRuns: 2_000 },
    )
  })
})
