import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { KeyVector, ReceiptVector } from "./receipt-vector-deals.js"
import type { FileVector } from "./receipt-vector-files.js"

/** Path of test/vectors/receipts.json. */
export const receiptVectorsPath = join(import.meta.dirname, "../vectors/receipts.json")

/** Path of test/vectors/receipt-files.json. */
export const fileVectorsPath = join(import.meta.dirname, "../vectors/receipt-files.json")

/** Reads the vectors of whole files from disk. */
export function readFileVectors(): readonly (Omit<FileVector, "pieces"> & { readonly bytes: Buffer })[] {
  const vectors = JSON.parse(readFileSync(fileVectorsPath, "utf8")) as FileVector[]
  return vectors.map(({ pieces, ...others }) => {
    const bytes = pieces.map(([base64, times]) => {
      const piece = Buffer.from(base64, "base64")
      return Buffer.alloc(piece.length * times, piece)
    })
    return { ...others, bytes: Buffer.concat(bytes) }
  })
}

/** A vector with its line computed. */
export interface LineVector {
  readonly why: string
  readonly bytes: Buffer
  readonly keys: readonly string[]
  readonly verdict: ReceiptVector["verdict"]
  readonly proves: readonly string[]
}

interface VectorFile {
  readonly receipts: readonly ReceiptVector[]
  readonly keys: readonly KeyVector[]
}

/** Reads the vectors from disk, with their lines computed. */
export function readReceiptVectors(): { receipts: LineVector[]; keys: readonly KeyVector[] } {
  const file = JSON.parse(readFileSync(receiptVectorsPath, "utf8")) as VectorFile
  const receipts = file.receipts.map((vector) => {
    const { why, verdict, keys = [], proves = [] } = vector
    return { why, verdict, keys, proves, bytes: bytesOf(vector, file.receipts) }
  })
  return { receipts, keys: file.keys }
}

function bytesOf({ why, line, base64, of, edit }: ReceiptVector, all: readonly ReceiptVector[]): Buffer {
  if (base64 !== undefined) return Buffer.from(base64, "base64")
  if (edit === undefined) return Buffer.from(line ?? "")
  const [old, text] = edit
  const before = all.find((vector) => vector.why === of)?.line ?? ""
  const at = before.indexOf(old)
  if (at < 0 || at !== before.lastIndexOf(old)) throw new Error(`${why}: ${old} must occur once in it`)
  return Buffer.from(before.slice(0, at) + text + before.slice(at + old.length))
}
