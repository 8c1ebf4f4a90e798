import { fstatSync, statSync } from "node:fs"
import { withFile } from "../../base/files.js"
import type { DaemonPaths } from "../files/paths.js"
import { looksWhole, readLineId, readSeq } from "./line.js"
import { furthestCursor } from "./reader-cursor.js"
import { scanLines } from "./scan.js"
import { listSegments, type Segment } from "./segments.js"

/** Gets the id and the bytes of a line in the inbox. The bytes are only valid during the call. */
export type OnRecalled = (id: string, line: Buffer) => void

export type InboxPaths = Pick<DaemonPaths, "dir" | "inbox" | "segments" | "cursors">

/** The state of an inbox as found in its files. */
export interface Recovered {
  /** Whole lines of inbox.jsonl. */
  readonly lines: number
  /** `seq` of the first of them; of the next line if there is none. */
  readonly firstSeq: number
  /** The last `seq` in the file or in a segment. */
  readonly lastSeq: number
  /** Size of inbox.jsonl. */
  readonly bytes: number
  /** Bytes at its end that belong to a line cut off by a crash. */
  readonly partialBytes: number
  /** True if its lines are in a segment already, because a crash came before the file was emptied. */
  readonly isSealed: boolean
  /** Line numbers, from 1, of lines that are damaged or that another program wrote. */
  readonly damaged: readonly number[]
  /** The newest segment, and its size. */
  readonly segment: { readonly path: string; readonly bytes: number } | undefined
}

/** A larger jump of `seq` means that another program wrote the line. */
const maxJump = 1_000_000

/**
 * Reads the state of an inbox from its files. Changes nothing.
 * @param remember - called for each line of inbox.jsonl that has an id
 * @throws the system's errors, as {@link withFile}
 */
export function recoverInbox(paths: InboxPaths, remember: OnRecalled = () => {}): Recovered {
  const newest = listSegments(paths.segments).at(-1)
  const sealed = newest?.last ?? 0
  const live = readLive(paths.inbox, sealed, remember)
  const isEmpty = live.lines === 0
  return {
    ...live,
    firstSeq: isEmpty ? sealed + 1 : live.firstSeq,
    lastSeq: isEmpty ? Math.max(sealed, furthestCursor(paths.cursors)) : Math.max(sealed, live.lastSeq),
    isSealed: !isEmpty && sealed >= live.lastSeq,
    segment: newest === undefined ? undefined : { path: newest.path, bytes: statSync(newest.path).size },
  }
}

/** Calls `remember` for about the newest `lines` sealed lines that have an id, oldest first. */
export function recallSealed(paths: InboxPaths, lines: number, remember: OnRecalled): void {
  const newest: Segment[] = []
  let count = 0
  for (const segment of listSegments(paths.segments).reverse()) {
    if (count >= lines) break
    newest.unshift(segment)
    count += segment.last - segment.first + 1
  }
  for (const { path } of newest) {
    withFile(path, (fd) => {
      for (const line of scanLines(fd)) rememberLine(line, remember)
    })
  }
}

/** Returns log lines about damage; none if the file is intact. */
export function describeDamage({ partialBytes, damaged }: Recovered): string[] {
  const lines: string[] = []
  if (partialBytes > 0) lines.push(`inbox.jsonl ends with a line cut off after ${partialBytes} bytes`)
  const [first] = damaged
  if (first !== undefined) {
    lines.push(`inbox.jsonl: ${damaged.length} damaged lines are kept unchanged, the first is line ${first}`)
  }
  return lines
}

type Live = Omit<Recovered, "isSealed" | "segment">

function readLive(path: string, sealed: number, remember: OnRecalled): Live {
  const live = withFile(path, (fd) => {
    const count = new SeqCount(sealed)
    const scan = scanLines(fd)
    let step = scan.next()
    for (; step.done !== true; step = scan.next()) {
      count.add(step.value)
      rememberLine(step.value, remember)
    }
    const { lines, firstSeq, lastSeq, damaged } = count
    const bytes = Math.max(fstatSync(fd).size, step.value)
    return { lines, firstSeq, lastSeq, damaged, bytes, partialBytes: bytes - step.value }
  })
  return live ?? { lines: 0, firstSeq: 0, lastSeq: 0, bytes: 0, partialBytes: 0, damaged: [] }
}

/** Counts lines and their `seq`. A damaged line counts as the `seq` it must have had. */
class SeqCount {
  lines = 0
  readonly damaged: number[] = []
  readonly #sealed: number
  #first: number | undefined
  #last = 0
  #sinceLast = 0

  constructor(sealed: number) {
    this.#sealed = sealed
  }

  get firstSeq(): number {
    return this.#first ?? this.#sealed + 1
  }

  get lastSeq(): number {
    return (this.#first === undefined ? this.#sealed : this.#last) + this.#sinceLast
  }

  add(line: Buffer): void {
    this.lines++
    const seq = looksWhole(line) ? readSeq(line) : undefined
    if (seq === undefined || !this.#follows(seq)) {
      this.damaged.push(this.lines)
      this.#sinceLast++
      return
    }
    this.#first ??= Math.max(1, seq - this.#sinceLast)
    this.#last = seq
    this.#sinceLast = 0
  }

  #follows(seq: number): boolean {
    return this.#first === undefined || (seq > this.#last && seq <= this.#last + maxJump)
  }
}

function rememberLine(line: Buffer, remember: OnRecalled): void {
  const id = readLineId(line)
  if (id !== undefined) remember(id, line)
}
