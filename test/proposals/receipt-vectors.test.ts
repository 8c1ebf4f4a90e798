import { isUtf8 } from "node:buffer"
import { readFileSync, writeFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { readEntry } from "../../src/cli/receipts/receipt-source.js"
import { type KeyStatement, verifyKeyStatement } from "../../src/identity/succession.js"
import { checkReceipt, type ReceiptCheck } from "../../src/proposals/receipt-check.js"
import { ChatError } from "../../src/protocol/errors.js"
import { fileVectors } from "../kit/receipt-vector-files.js"
import { makeReceiptVectors } from "../kit/receipt-vector-list.js"
import { fileVectorsPath, readReceiptVectors, receiptVectorsPath } from "../kit/vector-lines.js"

if (process.env["UPDATE_VECTORS"] !== undefined) {
  writeFileSync(receiptVectorsPath, `${JSON.stringify(makeReceiptVectors(), undefined, 1)}\n`)
  writeFileSync(fileVectorsPath, `${JSON.stringify(fileVectors, undefined, 1)}\n`)
}
const { receipts, keys } = readReceiptVectors()

describe("the shared vectors of receipts", () => {
  it("are what their makers make; UPDATE_VECTORS=1 writes them anew", () => {
    const made: unknown = JSON.parse(JSON.stringify(makeReceiptVectors()))
    expect(JSON.parse(readFileSync(receiptVectorsPath, "utf8"))).toEqual(made)
    expect(JSON.parse(readFileSync(fileVectorsPath, "utf8"))).toEqual(fileVectors)
  })

  it("have a name each", () => {
    expect(new Set(receipts.map(({ why }) => why)).size).toBe(receipts.length)
  })

  it.each(receipts)("$verdict: $why", ({ bytes, keys, verdict, proves }) => {
    const ours = judge(bytes, keys)
    expect(ours.status, ours.status === "valid" ? "" : ours.problem).toBe(verdict)
    if (ours.status === "valid") expect(ours.proves).toEqual(proves)
    else expect(ours.problem).not.toMatch(/[^ -~]/)
  })

  it.each(keys)("$verdict: $why", ({ line, verdict }) => {
    expect(judgeKey(line)).toBe(verdict)
  })
})

type Judgement = ReceiptCheck | { readonly status: "undecided"; readonly problem: string }

function judge(bytes: Buffer, keyLines: readonly string[]): Judgement {
  const entry = readEntry(isUtf8(bytes) ? bytes.toString("utf8") : undefined)
  if (entry.kind === "unknown") return { status: "undecided", problem: entry.problem }
  if (entry.kind === "invalid") return { status: "invalid", problem: entry.problem }
  if (entry.kind === "key") throw new Error("is no receipt")
  return checkReceipt(entry.receipt, keyLines.map(readKey))
}

function judgeKey(line: string): Judgement["status"] {
  if (readEntry(line).kind === "unknown") return "undecided"
  try {
    verifyKeyStatement(readKey(line))
    return "valid"
  } catch (error) {
    if (error instanceof ChatError) return "invalid"
    throw error
  }
}

function readKey(line: string): KeyStatement {
  const entry = readEntry(line)
  if (entry.kind === "key") return entry.statement
  throw new ChatError("INVALID_MSG", "problem" in entry ? entry.problem : "is no statement about a key")
}
