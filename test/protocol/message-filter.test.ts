import { expect, it } from "vitest"
import {
  indexedFieldsOf,
  messageTest,
  parsePhrases,
  threadAround,
  wordsOf,
} from "../../src/protocol/message-filter.js"

const bob = "@00000000000000b0"

function finds(text: string, content: string): boolean {
  const fields = indexedFieldsOf({ type: "MSG", from: bob, name: "bob", content, msg_id: "x.1" })
  return fields !== undefined && messageTest({ text })(fields, 0)
}

it("splits a text into words without case, accents and punctuation", () => {
  expect(wordsOf("The naïve Straße: foo_bar/2")).toEqual(["the", "naive", "straße", "foo", "bar", "2"])
})

it("finds text of scripts without spaces by any part of it", () => {
  expect(finds("端口", "新的端口是8081")).toBe(true)
  expect(finds("口端", "新的端口是8081")).toBe(false)
  expect(finds("8081", "新的端口是8081")).toBe(true)
})

it("finds all words in any order, each as the beginning of a word, and a single letter as a word", () => {
  expect(finds("fail build", "the build failed")).toBe(true)
  expect(finds("ailed", "the build failed")).toBe(false)
  expect(finds("b", "the build failed")).toBe(false)
  expect(finds("a", "a build")).toBe(true)
})

it("finds words in quotes, and what punctuation joins, only one after the other", () => {
  expect(finds('"port 8080"', "8080 is a port")).toBe(false)
  expect(finds("src/main.ts", "see src/main.tsx")).toBe(true)
  expect(finds("src/main.ts", "src: main, ts")).toBe(true)
  expect(finds("src/main.ts", "main.ts of src")).toBe(false)
})

it("finds nothing for a text without words", () => {
  expect(finds("!!!", "!!!")).toBe(false)
})

it("looks at no more than a bounded number of words of a search", () => {
  expect(parsePhrases("a ".repeat(1_000))).toHaveLength(16)
})

it("takes no name for the id of another agent", () => {
  const fields = indexedFieldsOf({ type: "MSG", from: "@00000000000000c0", name: bob.slice(1), msg_id: "x" })
  expect(fields && messageTest({ from: [bob] })(fields, 0)).toBe(false)
  expect(fields && messageTest({ from: ["@00000000000000c0"] })(fields, 0)).toBe(true)
})

it("collects a conversation from any of its messages, even if ids run in a circle", () => {
  const replies = new Map([
    ["root", undefined],
    ["a", "root"],
    ["b", "a"],
    ["other", undefined],
    ["x", "y"],
    ["y", "x"],
  ])
  for (const id of ["root", "a", "b"])
    expect([...threadAround(id, replies)].sort()).toEqual(["a", "b", "root"])
  expect([...threadAround("x", replies)].sort()).toEqual(["x", "y"])
})
