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
    ["/help", { kind: "help" }],
    ["/quit", { kind: "quit" }],
    ["  ", undefined],
    ["", undefined],
  ])("parses %j", (line, action) => {
    expect(parseChatLine(line)).toEqual(action)
  })

  it.each(["/jion #general", "/", "/constructor", "/join", "/dm bob hi", "/nick ../x"])(
    "rejects %j",
    (line) => {
      expect(() => parseChatLine(line)).toThrow(ChatError)
    },
  )

  it("/help names every command", () => {
    for (const word of ["/join", "/leave", "/list", "/who", "/dm", "/me", "/nick", "/quit", "//"]) {
      expect(chatHelp.some((line) => line.startsWith(word))).toBe(true)
    }
  })
})
