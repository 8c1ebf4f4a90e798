import { readdirSync } from "node:fs"
import { join } from "node:path"

/** A sealed file of older lines; its name tells the first and the last `seq` in it. */
export interface Segment {
  readonly first: number
  readonly last: number
  readonly path: string
}

// Padded, so that `cat inbox/*.jsonl inbox.jsonl` is the whole history in order.
const seqDigits = 10
const namePattern = /^(\d{10,16})-(\d{10,16})\.jsonl$/

/** File name of the segment that holds the lines `first` to `last`. */
export function formatSegmentName(first: number, last: number): string {
  const pad = (seq: number) => String(seq).padStart(seqDigits, "0")
  return `${pad(first)}-${pad(last)}.jsonl`
}

/** The segments of a directory, oldest first; none when there is no such directory. */
export function listSegments(dir: string): Segment[] {
  return namesIn(dir)
    .flatMap((name) => {
      const match = namePattern.exec(name)
      return match === null
        ? []
        : [{ first: Number(match[1]), last: Number(match[2]), path: join(dir, name) }]
    })
    .sort((a, b) => a.last - b.last || a.first - b.first)
}

/** The highest `seq` that is sealed; 0 when nothing is. */
export function lastSealedSeq(dir: string): number {
  return listSegments(dir).at(-1)?.last ?? 0
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return []
    throw error
  }
}
