import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { readEntry } from "../../src/cli/receipts/receipt-source.js"
import { canonicalize } from "../../src/identity/canonical-json.js"
import { checkReceipt } from "../../src/proposals/receipt-check.js"
import { alice, bob, carol, receiptOf, type Said, says, signChain, t0 } from "../kit/receipt-vectors.js"
import { hasProgram } from "../kit/requires.js"
import { temporaryDirectory } from "../kit/temporary.js"

const python = join(import.meta.dirname, "../../verifiers/receipts.py")
const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 8 }),
  fc.string({ unit: "binary", maxLength: 4 }),
)
const value = fc.oneof(
  text,
  fc.constantFrom("self", "other", "mutual", "0", "1.50", "A".repeat(43), null, true, [], {}),
  fc.constantFrom(0, 1, 300, t0, t0 + 1_500, 2 ** 53 - 1, 2 ** 53, -1, 0.5, 1e21),
)
const names = [
  "v",
  "ts",
  "task",
  "amount",
  "currency",
  "terms",
  "payment_code",
  "proof",
  "reason",
  "fault",
  "aud",
  "id",
  "note",
]
/** Mostly as it should be: a chain of which everything is wrong is refused for its first fault. */
const changes = fc.oneof(
  { weight: 6, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 1 }) },
)
const texts = fc.oneof({ weight: 5, arbitrary: fc.constant({}) }, fc.record({ task: text, terms: text }))
const who = fc.oneof({ weight: 9, arbitrary: fc.constantFrom(alice, bob) }, fc.constant(carol))
const step = fc.tuple(who, fc.constantFrom("COMPLETE", "DISPUTE"), changes)
const chain = fc
  .tuple(texts, changes, changes, fc.array(step, { maxLength: 4 }))
  .map(([offer, proposal, accept, steps]): Said[] => [
    says(alice, "PROPOSAL", { ...offer, ...proposal }),
    says(bob, "ACCEPT", accept),
    ...steps
      .toSorted(([, a], [, b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([by, type, members]) => says(by, type, members)),
  ])
/** A line, and perhaps one letter of it changed. */
const line = fc
  .tuple(
    chain,
    fc.option(fc.tuple(fc.nat(), fc.constantFrom(" ", "\t", "0", "\\", '"', ",", "A", "é", "\ud83d\ude00"))),
  )
  .map(([all, edit]) => {
    const whole = canonicalize(receiptOf(signChain(all)))
    if (edit === null) return whole
    const [place, letter] = edit
    const at = place % whole.length
    // An edit may cut a surrogate pair: then it is what a file would hold.
    return Buffer.from(`${whole.slice(0, at)}${letter}${whole.slice(at + (place % 2))}`).toString()
  })

function ours(text: string): readonly [string, readonly string[]] {
  const entry = readEntry(text)
  if (entry.kind !== "receipt") return ["refused", []]
  const verdict = checkReceipt(entry.receipt)
  return verdict.status === "valid" ? ["valid", verdict.proves] : ["refused", []]
}

describe.runIf(hasProgram("python3"))("the verifiers in TypeScript and Python", () => {
  it("agree on anything that two parties and a third one may sign", () => {
    const lines = fc
      .sample(line, Number(process.env["AGREEMENT_RUNS"] ?? 300))
      .filter((one) => !one.includes("\n"))
    const path = join(temporaryDirectory(), "lines.jsonl")
    writeFileSync(path, lines.join("\n"))
    const { stdout, stderr } = spawnSync("python3", [python, path, "--json"], {
      encoding: "utf8",
      maxBuffer: 1e9,
    })
    const told = stdout
      .trim()
      .split("\n")
      .map((record) => JSON.parse(record) as { status: string; proves?: string[]; problem?: string })
    expect(stderr).toBe("")
    const expected = lines.map(ours)
    const differences = told
      .map(({ status, proves = [], problem }, at) => ({
        line: lines[at],
        ours: expected[at],
        theirs: [status === "valid" ? status : "refused", proves],
        problem,
      }))
      .filter((pair) => JSON.stringify(pair.ours) !== JSON.stringify(pair.theirs))
    expect(differences).toEqual([])
    expect(told).toHaveLength(lines.length)
    expect(new Set(expected.map(([status]) => status))).toContain("valid")
  })
})
