// Makes many receipts, signed as agents sign them, with the same keys in every run.
import { createHash } from "node:crypto"
import { closeSync, openSync, writeSync } from "node:fs"
import { importBuilt } from "../kit/built.mjs"

/** @typedef {import("../../src/proposals/deal.js").Deal} Deal */

const agents = 1_000
const startTs = 1_800_000_000_000
const linesAtOnce = 1_000

/** The program's functions that make receipts. */
export async function loadMaker() {
  const keys = /** @type {typeof import("../../src/identity/keys.js")} */ (
    await importBuilt("identity/keys.js")
  )
  const signer = /** @type {typeof import("../../src/identity/signer.js")} */ (
    await importBuilt("identity/signer.js")
  )
  const drafts = /** @type {typeof import("../../src/proposals/draft.js")} */ (
    await importBuilt("proposals/draft.js")
  )
  const deals = /** @type {typeof import("../../src/proposals/deal.js")} */ (
    await importBuilt("proposals/deal.js")
  )
  const receipts = /** @type {typeof import("../../src/proposals/receipt.js")} */ (
    await importBuilt("proposals/receipt.js")
  )
  const people = Array.from({ length: agents }, (_, n) => {
    const keyPair = signer.keyPairFromSeed(createHash("sha256").update(`agent ${n}`).digest())
    return { keyPair, did: keys.formatDidKey(keyPair.publicKey) }
  })

  /** Returns the nth receipt as a line without its newline; one party completes. @param {number} n */
  return function receiptLine(n) {
    const from = person(n)
    const to = person(n + 1 + (n % 7) * 13)
    const now = startTs + n * 1_000
    const signing = (/** @type {typeof from} */ by, /** @type {string} */ id) => ({
      keyPair: by.keyPair,
      id: `${id}_${String(n).padStart(8, "0")}`,
      now,
    })
    /** @type {import("../../src/protocol/statements.js").Draft<"PROPOSAL">} */
    const draft = {
      type: "PROPOSAL",
      to: /** @type {import("../../src/protocol/names.js").AgentRef} */ ("@bob"),
      task: "review src/a.ts and say whether it is safe to merge",
      amount: "0.05",
      currency: "SOL",
    }
    const proposal = drafts.signProposal(draft, { to: to.did, aud: "relay" }, signing(from, "prop"))
    const answered = { proposal_id: proposal.id }
    let deal = deals.openDeal(proposal)
    deal = drafts.signAnswer(deal, { type: "ACCEPT", ...answered }, signing(to, "acc")).deal
    deal = drafts.signAnswer(
      deal,
      { type: "COMPLETE", ...answered, proof: "commit 1a2b3c" },
      signing(to, "comp"),
    ).deal
    const receipt = receipts.receiptOf(deal)
    if (receipt === undefined) throw new Error("a completed deal has a receipt")
    return receipts.formatReceipt(receipt)
  }

  /** @param {number} n */
  function person(n) {
    const found = people[n % agents]
    if (found === undefined) throw new Error("nobody")
    return found
  }
}

/**
 * Writes receipts into a file.
 * @param {string} path
 * @param {number} count
 * @param {(n: number) => string} receiptLine
 */
export function writeReceipts(path, count, receiptLine) {
  const fd = openSync(path, "w", 0o600)
  try {
    for (let start = 0; start < count; start += linesAtOnce) {
      const lines = Array.from({ length: Math.min(linesAtOnce, count - start) }, (_, i) =>
        receiptLine(start + i),
      )
      writeSync(fd, `${lines.join("\n")}\n`)
    }
  } finally {
    closeSync(fd)
  }
}
