import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { chainLines, checkChain } from "../../../src/cli/log/chain.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const messages = ["a", "b", "c", "d"].map((content, ts) => ({
  type: "MSG",
  content: `${content} \ud800`,
  ts,
  seq: undefined,
}))

function lines(): string[] {
  return [...chainLines({ created: 1, redacted: 0 }, messages)].map((line) => JSON.stringify(line))
}

/** Checks a file of lines. @returns what is wrong */
function faultsOf(changed: readonly string[], end = "\n"): readonly string[] {
  const path = join(temporaryDirectory(), "log.jsonl")
  writeFileSync(path, changed.join("\n") + end)
  return checkChain(path).faults
}

function changed(change: (copy: string[]) => void): readonly string[] {
  const copy = lines()
  change(copy)
  return faultsOf(copy)
}

it("finds nothing wrong with a chain as it was written", () => {
  expect(faultsOf(lines())).toEqual([])
})

it("names the line that was altered", () => {
  expect(changed((copy) => (copy[2] = copy[2]?.replace("b ", "B ") ?? ""))).toEqual(["line 3 was altered"])
})

it("notices a line that was altered together with its hash", () => {
  const others = messages.map((message) => ({ ...message, content: "forged" }))
  const [, second] = [...chainLines({ created: 1, redacted: 0 }, others)]
  expect(changed((copy) => (copy[1] = JSON.stringify(second)))).toEqual([
    "line 3 does not follow the line before it: one of them was altered",
  ])
})

it("names the messages that are missing", () => {
  expect(changed((copy) => copy.splice(2, 1))).toEqual(["message 2 is missing before line 3"])
  expect(changed((copy) => copy.splice(1, 2))).toEqual(["messages 1 to 2 are missing before line 2"])
})

it("notices that the end or the beginning is missing", () => {
  expect(changed((copy) => copy.pop())).toEqual(["the end is missing: 1 of 4 messages"])
  expect(changed((copy) => copy.shift())[0]).toContain("message 0 is missing")
  expect(faultsOf([], "")[0]).toContain("the first line is missing")
})

it("notices lines in another order, doubled lines, half a line and foreign text", () => {
  expect(changed((copy) => copy.splice(2, 2, copy[3] ?? "", copy[2] ?? ""))).toContain(
    "line 4 is out of order: it has number 2",
  )
  expect(changed((copy) => copy.splice(2, 0, copy[2] ?? ""))).toContain(
    "line 4 is out of order: it has number 2",
  )
  expect(faultsOf([...lines().slice(0, -1), lines().at(-1)?.slice(0, 20) ?? ""], "")).toContain(
    "line 5 is cut off",
  )
  expect(changed((copy) => (copy[1] = "hello"))).toEqual(["line 2 is not a line of a chain"])
})
