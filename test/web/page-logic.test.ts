import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { commandUsages, parseCommand } from "../../src/web/page/commands.js"
import {
  applyChange,
  mergeMessages,
  sortAgents,
  sortConversations,
  threadOf,
} from "../../src/web/page/store.js"
import type { AgentRow, ConversationRow, MessageRow, PageState } from "../../src/web/shapes.js"

const folder = "src/web/page"
const wordsOf = (language: string) =>
  JSON.parse(readFileSync(join(folder, "words", `${language}.json`), "utf8")) as Record<string, string>

const message = (id: string, facts: Partial<MessageRow> = {}) => ({ id, ts: 0, ...facts }) as MessageRow
const agent = (name: string, state: AgentRow["state"]) => ({ id: `@${name}`, name, state }) as AgentRow
const idsOf = (messages: readonly MessageRow[]) => messages.map(({ id }) => id).join(" ")

describe("the words of the page", () => {
  it("are the same keys in every language, with the same places to fill", () => {
    const [english, chinese] = [wordsOf("en"), wordsOf("zh")]
    expect(Object.keys(chinese)).toEqual(Object.keys(english))
    const placesOf = (text = "") => (text.match(/\{\w+\}/g) ?? []).sort()
    for (const [key, text] of Object.entries(english))
      expect([key, placesOf(chinese[key])]).toEqual([key, placesOf(text)])
  })

  it("exist for every key that the page names, and every key is used", () => {
    const sources = readdirSync(folder)
      .filter((name) => name.endsWith(".js"))
      .map((name) => readFileSync(join(folder, name), "utf8"))
      .join("\n")
    const english = wordsOf("en")
    const named = [...sources.matchAll(/\bt\(\s*"([^"]+)"/g)].map(([, key = ""]) => key)
    expect(named.filter((key) => !Object.hasOwn(english, key))).toEqual([])
    const dynamic = [...sources.matchAll(/`([a-z]+\.)\$\{/g)].map(([, prefix = ""]) => prefix)
    const isUsed = (key: string) =>
      sources.includes(`"${key}"`) || dynamic.some((prefix) => key.startsWith(prefix))
    expect(Object.keys(english).filter((key) => !isUsed(key))).toEqual([])
  })
})

describe("a typed command", () => {
  it.each([
    [
      ":send #general hello there",
      { kind: "do", action: "send", body: { to: "#general", text: "hello there" } },
    ],
    ["send @bob a\nb", { kind: "do", action: "send", body: { to: "@bob", text: "a\nb" } }],
    ["answer @a/1 yes", { kind: "do", action: "answer", body: { task: "@a/1", text: "yes" } }],
    ["accept prop_1", { kind: "do", action: "decide", body: { deal: "prop_1", verb: "ACCEPT" } }],
    [
      "reject prop_1 too dear",
      { kind: "do", action: "decide", body: { deal: "prop_1", verb: "REJECT", text: "too dear" } },
    ],
    [
      "kick #x @bob 1h spam, again",
      {
        kind: "do",
        action: "moderate",
        body: { action: "kick", channel: "#x", agent: "@bob", reason: "spam, again", forMs: 3_600_000 },
      },
    ],
    [
      "mute @bob noise",
      { kind: "do", action: "moderate", body: { action: "mute", agent: "@bob", reason: "noise" } },
    ],
    [
      "unmute @bob 1h was enough",
      { kind: "do", action: "moderate", body: { action: "unmute", agent: "@bob", reason: "1h was enough" } },
    ],
    ["reset", { kind: "do", action: "reset", body: {} }],
    ["reset #general", { kind: "do", action: "reset", body: { scope: "#general" } }],
    ["open @bob", { kind: "conversation", key: "@bob" }],
    ["lang zh", { kind: "language", language: "zh" }],
    ["help", { kind: "help" }],
  ])("%s", (line, expected) => {
    expect(parseCommand(line)).toEqual(expected)
  })

  it.each([
    "kick #x @bob",
    "kick @bob spam",
    "mute bob noise",
    "dispute prop_1",
    "send #general",
    "view home",
  ])("that is not complete, such as %s, gets its usage", (line) => {
    const word = line.split(" ")[0] ?? ""
    expect(parseCommand(line)).toEqual({ kind: "problem", word, usage: Reflect.get(commandUsages, word) })
  })

  it("that does not exist is named, also one that every object has", () => {
    expect(parseCommand(":fly")).toEqual({ kind: "problem", word: "fly" })
    expect(parseCommand("toString")).toEqual({ kind: "problem", word: "toString" })
  })
})

describe("the state of the page", () => {
  const state = {
    agents: [agent("a", "idle"), agent("b", "idle")],
    conversations: [],
    tasks: [1],
  } as unknown as PageState

  it("takes changed rows, drops gone ones, and replaces other parts as a whole", () => {
    const next = applyChange(state, {
      now: 1,
      agents: [agent("b", "working")],
      goneAgents: ["@a"],
      tasks: [],
    })
    expect(next.agents).toEqual([agent("b", "working")])
    expect(next.tasks).toEqual([])
    expect(next.conversations).toBe(state.conversations)
  })

  it("orders agents by who waits, then by name", () => {
    const all = [
      agent("z", "idle"),
      agent("y", "offline"),
      agent("x", "waiting"),
      agent("a", "idle"),
      agent("w", "working"),
    ]
    expect(
      sortAgents(all)
        .map(({ name }) => name)
        .join(""),
    ).toBe("xwazy")
  })

  it("orders channels by name and threads by their last message", () => {
    const all = [
      ["@a", 1],
      ["#z", 9],
      ["@b", 2],
      ["#a", 0],
    ].map(([key, lastTs]) => ({ key, lastTs }))
    const sorted = sortConversations(all as unknown as ConversationRow[])
    expect(sorted.map(({ key }) => key)).toEqual(["#a", "#z", "@b", "@a"])
  })

  it("merges messages by their number in the channel, each once, the newer version of one", () => {
    const shown = [message("a", { seq: 1 }), message("c", { seq: 3 })]
    const merged = mergeMessages(shown, [message("b", { seq: 2 }), message("c", { seq: 3, text: "new" })])
    expect(idsOf(merged)).toBe("a b c")
    expect(merged[2]).toMatchObject({ text: "new" })
  })

  it("finds a thread from its first message on, over replies to replies", () => {
    const all = [
      message("a"),
      message("b", { re: "a" }),
      message("c"),
      message("d", { re: "b" }),
      message("e", { re: "c" }),
    ]
    expect(idsOf(threadOf(all, "a"))).toBe("a b d")
  })
})
