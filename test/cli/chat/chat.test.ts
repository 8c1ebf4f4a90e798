import { describe, expect, it } from "vitest"
import { chatHelp, parseChatLine } from "../../../src/cli/chat/chat.js"
import { ChatError } from "../../../src/protocol/errors.js"

describe("parseChatLine", () => {
  it.each([
    ["hello there", { kind: "send", text: "hello there" }],
    ["//not a command", { kind: "send", text: "/not a command" }],
    ["/join #general", { kind: "join", channel: "#general" }],
    ["/join general", { kind: "join", channel: "#general" }],
    ["/msg @bob hi", { kind: "dm", to: "@bob", text: "hi" }],
    ["/me waves twice", { kind: "send", text: "* waves twice" }],
    ["/list", { kind: "list" }],
    ["/leave", { kind: "leave", channel: undefined }],
    ["/leave  #a.b ", { kind: "leave", channel: "#a.b" }],
    ["/who #a", { kind: "who", channel: "#a" }],
    ["/dm @bob  two words", { kind: "dm", to: "@bob", text: "two words" }],
    ["/dm @bob", { kind: "dm", to: "@bob", text: "" }],
    ["/nick anna", { kind: "nick", name: "anna" }],
    ["/needs", { kind: "needs" }],
    ["/answer 2 yes, do it", { kind: "answer", which: "2", text: "yes, do it" }],
    ["/answer yes", { kind: "answer", which: "yes", text: "" }],
    ["/reply on my way", { kind: "reply", text: "on my way" }],
    ["/history dev", { kind: "history", channel: "#dev" }],
    ["/search release date", { kind: "search", text: "release date" }],
    ["/thread", { kind: "thread", id: undefined }],
    ["/deal prop_1 reject too dear", { kind: "deal", id: "prop_1", step: "reject", text: "too dear" }],
    ["/task", { kind: "task", to: undefined, text: "" }],
    ["/task reviewer look at a.ts", { kind: "task", to: "+reviewer", text: "look at a.ts" }],
    ["/help", { kind: "help" }],
    ["/quit", { kind: "quit" }],
    ["  ", undefined],
    ["", undefined],
  ])("parses %j", (line, action) => {
    expect(parseChatLine(line)).toEqual(action)
  })

  it.each([
    "/jion #general",
    "/",
    "/constructor",
    "/join",
    "/dm bob hi",
    "/nick ../x",
    "/answer",
    "/reply",
    "/task x",
  ])("rejects %j", (line) => {
    expect(() => parseChatLine(line)).toThrow(ChatError)
  })

  it("/help names every command", () => {
    for (const word of [
      "/join",
      "/leave",
      "/list",
      "/who",
      "/dm",
      "/me",
      "/nick",
      "/needs",
      "/answer",
      "/search",
      "/history",
      "/deal",
      "/task",
      "/quit",
      "//",
    ]) {
      expect(chatHelp.some((line) => line.startsWith(word))).toBe(true)
    }
  })
})
