import { describe, expect, it } from "vitest"
import { respell } from "../../src/cli/parser.js"

describe("respell", () => {
  it.each([
    ["dm bob hi", "send @bob hi"],
    ["dm @bob hi", "send @bob hi"],
    ["dm #general hi", "send #general hi"],
    ["anycast @reviewer hi", "send +reviewer hi"],
    ["anycast reviewer hi", "send +reviewer hi"],
    ["send msg general hi", "send #general hi"],
    ["send msg #general hi --json", "send #general hi --json"],
    ["send dm bob hi", "send @bob hi"],
    ["send ask reviewer hi", "send +reviewer hi"],
    ["send --channel general hi", "send #general hi"],
    ["send #general msg", "send #general msg"],
    ["send @bob dm", "send @bob dm"],
    ["send dm", "send dm"],
    ["dm", "dm"],
    ["dm --help", "dm --help"],
    ["watch --plain", "listen --format text"],
    ["watch #general --plain", "listen --format text #general"],
    ["watch --dm", "watch --dm"],
    ["ask +reviewer hi", "ask +reviewer hi"],
    ["toString bob hi", "toString bob hi"],
    ["send toString bob", "send toString bob"],
  ])("makes of %s: %s", (words, same) => {
    expect(respell(words.split(" ")).join(" ")).toBe(same)
  })
})
