import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { readGuardFile } from "../../../src/cli/input/guard-file.js"
import { defaultGuardLimits } from "../../../src/guards/limits.js"
import { ChatError } from "../../../src/protocol/errors.js"
import { liftedGuards } from "../../kit/guards.js"
import { temporaryDirectory } from "../../kit/temporary.js"

function fileOf(text: string | Buffer): string {
  const path = join(temporaryDirectory(), "guards.yaml")
  writeFileSync(path, text)
  return path
}

async function refusalOf(text: string | Buffer): Promise<ChatError> {
  try {
    await readGuardFile(fileOf(text), "--guards")
  } catch (error) {
    if (error instanceof ChatError) return error
    throw error
  }
  throw new Error(`accepted: ${text.toString()}`)
}

describe("readGuardFile", () => {
  it("returns the numbers that the file names", async () => {
    const text = "# two bots work here\nconversationTurns: 40\nsameDropped: 0\nconversationShare: 0.95\n"
    expect(await readGuardFile(fileOf(text), "--guards")).toEqual({
      conversationTurns: 40,
      sameDropped: 0,
      conversationShare: 0.95,
    })
    for (const empty of ["", "\n", "# nothing\n", "---\n", "{}"]) {
      expect(await readGuardFile(fileOf(empty), "--guards")).toEqual({})
    }
  })

  it("accepts every number of the guards", async () => {
    const text = Object.entries(defaultGuardLimits).map(([name, number]) => `${name}: ${number}\n`)
    expect(await readGuardFile(fileOf(text.join("")), "--guards")).toEqual(defaultGuardLimits)
    expect(Object.keys(liftedGuards).length).toBeGreaterThan(10)
  })

  it.each([
    [
      "dealTurns: 20\nconversationTurn: 40",
      "line 2",
      '"conversationTurn" is no number of the guards',
      "conversationTurns: ",
    ],
    [
      "conversationTurns: forty",
      "line 1",
      'conversationTurns: "forty" is not a whole number, 1 or more',
      "conversationTurns: ",
    ],
    [
      "conversationTurns: 0",
      "line 1",
      "conversationTurns: 0 is not a whole number, 1 or more",
      "conversationTurns: ",
    ],
    ["conversationTurns: -1", "line 1", "conversationTurns: -1 is not", "conversationTurns: "],
    ["conversationTurns: 1.5", "line 1", "conversationTurns: 1.5 is not", "conversationTurns: "],
    ["conversationTurns: .inf", "line 1", "conversationTurns: Infinity is not", "conversationTurns: "],
    ["conversationTurns: .nan", "line 1", "conversationTurns: NaN is not", "conversationTurns: "],
    ["conversationTurns:", "line 1", "conversationTurns: null is not", "conversationTurns: "],
    ["conversationTurns: [1]", "line 1", "conversationTurns: the value is not", "conversationTurns: "],
    [
      "\nmentionWindowMs: 60s",
      "line 2",
      'mentionWindowMs: "60s" is not a whole number, 1 or more, in milliseconds, up to 315360000000',
      "300000",
    ],
    [
      "conversationShare: 2",
      "line 1",
      "conversationShare: 2 is not a number above 0, up to 1",
      "conversationShare: ",
    ],
    ["conversationShare: 0", "line 1", "conversationShare: 0 is not a number above 0", "conversationShare: "],
    ["- a\n- b", "line 1", "must be names and numbers", "conversationTurns: 40"],
    ["seven", "line 1", "must be names and numbers", "conversationTurns: 40"],
    ["dealTurns: 1\ndealTurns: 2", "line 2", "unique", "conversationTurns: 40"],
    ["dealTurns: 1\n  b: [", "line 1", "", "conversationTurns: 40"],
    ["dealTurns: 1\n---\ndealTurns: 2", "line 2", "a second document begins", "conversationTurns: 40"],
    ["\nhops: 3", "line 2", "hops was removed together with its rule", "delete the line"],
    ["stopMaxMs: 1000", "", "stopMs: 900000 is above stopMaxMs, 1000", "stopMaxMs: 900000"],
    ["breakerWarn: 25", "", "breakerWarn: 25 is above breakerPause, 20", "breakerPause: 25"],
  ])("refuses %j with the line, the reason and a hint", async (text, line, reason, hint) => {
    const error = await refusalOf(text)
    expect(error).toMatchObject({ code: "USAGE" })
    expect(error.message).toContain("--guards: ")
    expect(error.message).toContain(line)
    expect(error.message).toContain(reason)
    expect(error.hint).toContain(hint)
    expect(error.message).not.toContain("\n")
  })

  it("refuses a file that is binary, too large or missing", async () => {
    expect(await refusalOf(Buffer.from([0xff, 0xfe, 0x00]))).toMatchObject({ code: "USAGE" })
    expect(await refusalOf(`# ${"x".repeat(70_000)}`)).toMatchObject({ code: "USAGE" })
    expect((await refusalOf(`${"x".repeat(10_000)}: 1`)).message.length).toBeLessThan(400)
    await expect(readGuardFile("/nowhere/at/all.yaml", "--guards")).rejects.toMatchObject({
      code: "NOT_FOUND",
    })
  })

  it("refuses a file whose aliases would expand without limit", async () => {
    const layers = Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(9)}]`)
    expect(await refusalOf(["a0: &a0 [x]", ...layers].join("\n"))).toMatchObject({ code: "USAGE" })
  })
})
