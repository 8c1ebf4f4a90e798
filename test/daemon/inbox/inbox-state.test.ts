import { describe, expect, it } from "vitest"
import { inboxSteps, nextInboxState } from "../../../src/daemon/inbox/inbox.js"

describe("nextInboxState", () => {
  it("leads from any state but the last to the last", () => {
    for (const state of Object.keys(inboxSteps) as (keyof typeof inboxSteps)[]) {
      const seen = new Set([state])
      for (const known of seen) for (const next of Object.values(inboxSteps[known])) seen.add(next)
      expect(seen.has("closed")).toBe(true)
    }
  })

  it("refuses a step that is not listed", () => {
    expect(() => nextInboxState("rotating", "hold")).toThrow("inbox: hold while rotating")
    expect(() => nextInboxState("closed", "retry")).toThrow("inbox: retry while closed")
  })
})
