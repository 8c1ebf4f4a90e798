import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { transitions, violationsOf } from "../../src/coordination/concepts.js"

const state = (status: string | undefined, more: object = {}, holder = "a") => ({
  handoff: { holder },
  concepts: status === undefined ? [] : [{ id: "fix-login", owner: "a", status, ...more }],
})
const codes = (...input: Parameters<typeof violationsOf>) => violationsOf(...input).map(({ code }) => code)

describe("the rules of a state", () => {
  it.each([
    [undefined, "proposed", {}],
    ["proposed", "in_progress", {}],
    ["in_progress", "done", { result: "merged" }],
    ["in_progress", "abandoned", { result: "unclear" }],
    ["in_progress", "in_progress", { note: "half" }],
  ])("let %s become %s", (from, to, more) => {
    expect(violationsOf(state(from), state(to, more), "a", false)).toEqual([])
  })

  it.each([
    [undefined, "in_progress", {}, "illegal_transition"],
    [undefined, "weather", {}, "illegal_transition"],
    ["proposed", "done", { result: 1 }, "illegal_transition"],
    ["proposed", "abandoned", { result: 1 }, "illegal_transition"],
    ["done", "in_progress", {}, "terminal_concept_changed"],
    ["abandoned", "proposed", {}, "terminal_concept_changed"],
    ["done", "abandoned", { result: 1 }, "terminal_concept_changed"],
    ["in_progress", "done", {}, "result_missing"],
    ["in_progress", "abandoned", { result: null }, "result_missing"],
    ["in_progress", "proposed", {}, "illegal_transition"],
  ])("do not let %s become %s with %j", (from, to, more, code) => {
    expect(codes(state(from), state(to, more), "a", false)).toEqual([code])
  })

  it("do not let a result be taken back", () => {
    expect(codes(state("done", { result: "yes" }), state("done"), "a", false)).toEqual([
      "terminal_concept_changed",
    ])
  })

  it("take a concept whose members come in another order as unchanged", () => {
    const before = { concepts: [{ id: "x", status: "done", result: { b: 1, a: 2 } }] }
    const after = { concepts: [{ result: { a: 2, b: 1 }, status: "done", id: "x" }] }
    expect(violationsOf(before, after, "a", false)).toEqual([])
  })

  it("let only the holder move a concept on, unless it is presumed dead", () => {
    const [before, after] = [state("proposed"), state("in_progress")]
    expect(codes(before, after, "b", false)).toEqual(["not_holder"])
    expect(codes(before, after, "b", true)).toEqual([])
    expect(codes(before, state("proposed", { note: 1 }), "b", false)).toEqual([])
  })

  it("want every concept carried forward", () => {
    expect(codes(state("done"), state(undefined), "a", false)).toEqual(["concept_dropped"])
  })

  it.each([[{ concepts: {} }], [{ concepts: [1] }], [{ concepts: [{ id: "x" }] }]])("refuse %j", (after) => {
    expect(codes(undefined, after, "a", false)).toEqual(["malformed_state"])
  })

  it("refuse a concept that is there twice", () => {
    const concept = { id: "x", status: "proposed" }
    expect(codes(undefined, { concepts: [concept, concept] }, "a", false)).toEqual(["malformed_state"])
  })

  it("never let a chain of states leave the table", () => {
    const statuses = ["proposed", "in_progress", "done", "abandoned"]
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...statuses), { maxLength: 8 }), (chain) => {
        let now: string | undefined
        for (const next of chain) {
          const isAllowed =
            violationsOf(state(now, { result: 1 }), state(next, { result: 1 }), "a", false).length === 0
          const edges: readonly string[] = transitions[(now ?? "absent") as keyof typeof transitions]
          expect(isAllowed).toBe(next === now || edges.includes(next))
          if (isAllowed) now = next
        }
      }),
    )
  })
})
