import { parsePlainJson } from "../../src/base/strict-json.js"
import { type Receipt, readReceipt } from "../../src/proposals/receipt.js"

/** Parses a line of receipts.jsonl, which must have the canonical spelling. */
export function parseReceipt(line: string): Receipt {
  return readReceipt(parsePlainJson(line))
}
