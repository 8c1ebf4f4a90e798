import { describe, expect, it } from "vitest"
import { a2aCard, describeCard, entryWithCard } from "../../../src/cli/output/card-text.js"

const plain = { id: "@bbbbbbbbbbbbbbbb", name: "bob", status: "idle" }
const full = {
  ...plain,
  role: "reviewer",
  card: {
    kind: "agent" as const,
    description: "reads patches\u001b[2J",
    version: "2.1",
    url: "https://example.org/bob",
    tags: ["typescript"],
    skills: [{ id: "review", name: "Review" }],
    meta: { model: "m1", deep: { a: [1] } },
  },
}

describe("an agent card", () => {
  it("a card shows id, name, kind, role, description, tags, skills and meta as the agent gave them", () => {
    const { description, tags, meta } = full.card
    const facts = { id: plain.id, name: "bob", kind: "agent", role: "reviewer", description, tags, meta }
    expect(entryWithCard(full)).toEqual({ ...plain, ...facts, skills: full.card.skills })
    expect(a2aCard(full)).toMatchObject({
      ...facts,
      version: "2.1",
      url: "https://example.org/bob",
      skills: [{ id: "review", name: "Review", description: "", tags: [] }],
    })
  })

  it("a card has every field that A2A requires, even if the agent gave none", () => {
    expect(a2aCard(plain)).toEqual({
      id: plain.id,
      name: "bob",
      kind: "agent",
      role: null,
      description: "",
      version: "0.0.0",
      capabilities: {},
      defaultInputModes: ["text/plain", "application/json"],
      defaultOutputModes: ["text/plain", "application/json"],
      tags: [],
      skills: [],
      meta: {},
    })
  })

  it("a card escapes control characters in the agent's texts", () => {
    const text = describeCard(full).join("\n")
    expect(text).toContain("about    reads patches\\u{1b}[2J")
    expect(text).not.toContain("\u001b")
  })
})
