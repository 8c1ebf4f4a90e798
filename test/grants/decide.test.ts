import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Act, decide, rightsOf } from "../../src/grants/decide.js"
import { signGrant, verifyGrant } from "../../src/grants/sign.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import { type Grant, type Profile, profiles } from "../../src/protocol/grants.js"
import type { Channel } from "../../src/protocol/names.js"

const scope = { relay: "srv_1", now: 1_000 }
const base = {
  v: 1,
  type: "GRANT",
  id: "grant-0001",
  from: "did:key:z",
  aud: "srv_1",
  ts: 0,
  sig: "a..b",
} as const
const [general, web, api, secret] = ["#general", "#team.web", "#team.api", "#secret"] as [
  Channel,
  Channel,
  Channel,
  Channel,
]
const names = [general, web, api, secret]
const patterns = [...names, "#>", "#team.>", "#team.*", "#*"] as Grant["read"][number][]

const grants = fc.record({
  profile: fc.constantFrom(...(Object.keys(profiles) as Profile[])),
  read: fc.subarray(patterns),
  write: fc.subarray(patterns),
  roles: fc.subarray(["*", "reviewer", "builder"]),
  aud: fc.constantFrom("srv_1", "srv_2"),
  exp: fc.constantFrom(undefined, 999, 1_000, 1_001),
})
const acts: fc.Arbitrary<Act> = fc.oneof(
  fc.record({
    kind: fc.constantFrom("enter" as const, "direct" as const, "claim-files" as const, "audit" as const),
  }),
  fc.record({ kind: fc.constantFrom("read" as const, "write" as const), channel: fc.constantFrom(...names) }),
  fc.record({
    kind: fc.constantFrom("serve" as const, "see" as const),
    role: fc.constantFrom("reviewer", "Builder", "x"),
  }),
)

function make(facts: Partial<Grant>): Grant {
  return { ...base, profile: "agent", read: [], write: [], roles: [], ...facts }
}

describe("decide", () => {
  it("never allows more with fewer grants", () => {
    fc.assert(
      fc.property(fc.array(grants, { maxLength: 4 }), acts, fc.nat(3), (all, act, index) => {
        const many = all.map((facts) => make(facts as Partial<Grant>))
        const fewer = many.filter((_, at) => at !== index)
        if (decide(fewer, act, scope).isAllowed) expect(decide(many, act, scope).isAllowed).toBe(true)
      }),
    )
  })

  it("allows nothing by grants that have expired or are for another relay", () => {
    fc.assert(
      fc.property(fc.array(grants, { maxLength: 4 }), acts, (all, act) => {
        const dead = all
          .map((facts) => make(facts as Partial<Grant>))
          .filter(({ aud, exp }) => aud !== scope.relay || (exp !== undefined && exp <= scope.now))
        expect(decide(dead, act, scope)).toEqual({ isAllowed: false, rule: "no valid grant" })
        expect(rightsOf(dead, scope)).toBeUndefined()
      }),
    )
  })

  it("allows with several grants what one of them allows, and nothing else", () => {
    fc.assert(
      fc.property(fc.array(grants, { maxLength: 4 }), acts, (all, act) => {
        const many = all.map((facts) => make(facts as Partial<Grant>))
        const isAllowed = many.some((one) => decide([one], act, scope).isAllowed)
        expect(decide(many, act, scope).isAllowed).toBe(isAllowed)
      }),
    )
  })

  it.each([
    ["#team.>", "#team", false],
    ["#team.>", "#team.a.b", true],
    ["#team.>", "#teams.a", false],
    ["#team.>", "#Team.a", false],
    ["#team.*", "#team.a", true],
    ["#team.*", "#team.a.b", false],
    ["#*", "#team.a", false],
    ["#*.web", "#team.web", true],
    ["#team", "#team.a", false],
    ["#team-x", "#team_x", false],
  ])("with the pattern %s, reading %s is %j", (pattern, channel, isAllowed) => {
    const grant = make({ read: [pattern] as never })
    expect(decide([grant], { kind: "read", channel: channel as Channel }, scope).isAllowed).toBe(isAllowed)
  })

  const team = { read: ["#team.>"], write: ["#team.web"], roles: ["reviewer"] } as unknown as Partial<Grant>
  it.each<[Profile, Act, boolean]>([
    ["agent", { kind: "enter" }, true],
    ["agent", { kind: "read", channel: web }, true],
    ["agent", { kind: "read", channel: secret }, false],
    ["agent", { kind: "write", channel: web }, true],
    ["agent", { kind: "write", channel: api }, false],
    ["agent", { kind: "direct" }, true],
    ["agent", { kind: "serve", role: "Reviewer" }, true],
    ["agent", { kind: "serve", role: "builder" }, false],
    ["guest", { kind: "write", channel: web }, true],
    ["guest", { kind: "direct" }, false],
    ["guest", { kind: "serve", role: "reviewer" }, false],
    ["observer", { kind: "enter" }, true],
    ["observer", { kind: "read", channel: web }, true],
    ["observer", { kind: "read", channel: secret }, false],
    ["observer", { kind: "write", channel: web }, false],
    ["observer", { kind: "direct" }, false],
    ["observer", { kind: "serve", role: "reviewer" }, false],
    ["admin", { kind: "read", channel: secret }, true],
    ["admin", { kind: "write", channel: web }, false],
    ["admin", { kind: "direct" }, false],
  ])("for a %s: %j is %j", (profile, act, isAllowed) => {
    const verdict = decide([make({ ...team, profile })], act, scope)
    expect(verdict.isAllowed).toBe(isAllowed)
    if (!verdict.isAllowed) expect(verdict.rule).toContain(profile)
  })
})

describe("rightsOf", () => {
  it("sums up valid grants, with the first end", () => {
    const many = [
      make({ read: ["#a"] as never, exp: 5_000 }),
      make({ read: ["#b"] as never, write: ["#b"] as never, exp: 4_000, profile: "observer" }),
      make({ read: ["#c"] as never, exp: 999 }),
    ]
    const sum = { profile: "agent", read: ["#a", "#b"], write: ["#b"], roles: [], exp: 4_000 }
    expect(rightsOf(many, scope)).toEqual(sum)
  })
})

describe("verifyGrant", () => {
  const { v: _v, type: _type, from: _from, sig: _sig, ...facts } = make({})
  const grant = signGrant(facts, generateKeyPair())

  it("accepts what was signed, also after JSON", () => {
    expect(() => verifyGrant(JSON.parse(JSON.stringify(grant)) as Grant)).not.toThrow()
  })

  it.each([
    { profile: "admin" as const },
    { aud: "srv_2" },
    { exp: 1 },
    { uses: 5 },
    { from: signGrant(facts, generateKeyPair()).from },
  ])("refuses one that was changed: %j", (change) => {
    expect(() => verifyGrant({ ...grant, ...change })).toThrow(
      expect.objectContaining({ code: "VERIFICATION_FAILED" }) as Error,
    )
  })
})
