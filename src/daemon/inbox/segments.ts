import { read } from "node:fs"
import { type FileHandle, open, readdir, rename, rm, stat } from "node:fs/promises"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import type { Clock } from "../../base/clock.js"
import { listIfExists } from "../../base/files.js"
import { asFileProblem } from "../files/file-problems.js"
import { ensureDirectory } from "../files/home.js"
import type { InboxLimits } from "./limits.js"

/** A sealed file of older lines, named after the first and last `seq` in it. */
export interface Segment {
  readonly first: number
  readonly last: number
  readonly path: string
}

/** Padding makes `cat inbox/*.jsonl inbox.jsonl` print the whole history in order. */
const seqDigits = 10
const namePattern = /^(\d{10,16})-(\d{10,16})\.jsonl$/
const readAsync = promisify(read)
const chunkBytes = 256 * 1024
const temporarySuffix = ".tmp"
/** Milliseconds between two runs of the retention. */
const retentionMs = 60 * 60 * 1_000

/** Returns the file name of the segment that holds the lines `first` to `last`. */
export function formatSegmentName(first: number, last: number): string {
  const pad = (seq: number) => String(seq).padStart(seqDigits, "0")
  return `${pad(first)}-${pad(last)}.jsonl`
}

/** Returns the segments of a directory, oldest first; none if the directory does not exist. */
export function listSegments(dir: string): Segment[] {
  return listIfExists(dir)
    .flatMap((name) => {
      const match = namePattern.exec(name)
      return match === null
        ? []
        : [{ first: Number(match[1]), last: Number(match[2]), path: join(dir, name) }]
    })
    .sort((a, b) => a.last - b.last || a.first - b.first)
}

/** Returns the highest `seq` in a segment; 0 if there is none. */
export function lastSealedSeq(dir: string): number {
  return listSegments(dir).at(-1)?.last ?? 0
}

/**
 * Copies the first `bytes` of an open file to `dir/name` and syncs the copy. Readers see the whole segment or none, so a
 * repetition after a crash is harmless. Throws the system's errors.
 */
export async function sealSegment(fd: number, bytes: number, dir: string, name: string): Promise<void> {
  const isNew = ensureDirectory(dir)
  for (const leftover of await readdir(dir)) {
    if (leftover.endsWith(temporarySuffix)) await rm(join(dir, leftover), { force: true })
  }
  const temporary = join(dir, `.${name}${temporarySuffix}`)
  const target = await open(temporary, "wx", 0o600)
  try {
    await copy(fd, bytes, target)
    await target.sync()
  } finally {
    await target.close()
  }
  await rename(temporary, join(dir, name))
  await syncDirectory(dir)
  if (isNew) await syncDirectory(dirname(dir))
}

/** Removes segments that are too many or too old. Keeps the newest one, because it holds the last `seq`. */
export class SegmentRetention {
  readonly #dir: string
  readonly #limits: Pick<InboxLimits, "segments" | "segmentAgeMs">
  readonly #clock: Clock
  readonly #log: ((line: string) => void) | undefined
  #lastMs: number

  constructor(
    dir: string,
    limits: Pick<InboxLimits, "segments" | "segmentAgeMs">,
    clock: Clock,
    log: ((line: string) => void) | undefined,
  ) {
    this.#dir = dir
    this.#limits = limits
    this.#clock = clock
    this.#log = log
    this.#lastMs = clock.monotonic()
  }

  /** Runs if the last run was an hour ago. */
  sweep(): void {
    if (this.#clock.monotonic() - this.#lastMs >= retentionMs) void this.run()
  }

  /** Runs now. A segment that cannot be removed is left for the next run. */
  async run(): Promise<void> {
    this.#lastMs = this.#clock.monotonic()
    try {
      for (const { path } of await this.#expired()) await rm(path, { force: true })
    } catch (error) {
      this.#log?.(`cannot remove old segments: ${asFileProblem(error, this.#dir).message}`)
    }
  }

  async #expired(): Promise<Segment[]> {
    const all = listSegments(this.#dir)
    const expired = all.splice(0, Math.max(0, all.length - this.#limits.segments))
    const oldestMs = this.#clock.now() - this.#limits.segmentAgeMs
    for (const segment of all.slice(0, -1)) {
      if ((await stat(segment.path)).mtimeMs >= oldestMs) break
      expired.push(segment)
    }
    return expired
  }
}

async function copy(fd: number, bytes: number, target: FileHandle): Promise<void> {
  const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, bytes))
  for (let offset = 0; offset < bytes; ) {
    const { bytesRead } = await readAsync(fd, chunk, 0, Math.min(chunk.length, bytes - offset), offset)
    if (bytesRead === 0) return
    await target.writeFile(chunk.subarray(0, bytesRead))
    offset += bytesRead
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
