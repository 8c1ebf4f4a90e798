import { hash, randomBytes } from "node:crypto"
import { type BigIntStats, fstatSync, readSync } from "node:fs"

/**
 * A generation is one life of one inode as an outbox: it names the lines of that life, `generation.offset`,
 * across restarts. A file that is emptied in place begins a new one.
 */
const generationPattern = /^[0-9a-z]{10}$/

/** Progress in one generation, as the cursor file keeps it. */
export interface GenerationMark {
  readonly generation: string
  /** Inode number and time of birth, decimal. */
  readonly ino: string
  readonly birth_ns: string
  /** First byte that is not settled. */
  readonly offset: number
  /** SHA-256 of the up to 4 KiB before `offset`, in hex. */
  readonly tail_sha256: string
}

const tailBytes = 4096
const base36 = "0123456789abcdefghijklmnopqrstuvwxyz"

/** A name no generation ever had: 10 characters of 0-9 a-z. */
export function newGeneration(): string {
  return Array.from(randomBytes(10), (byte) => base36[byte % 36]).join("")
}

export function isGeneration(text: string): boolean {
  return generationPattern.test(text)
}

/** Takes the mark of an open file. @throws what the file system refuses */
export function markGeneration(generation: string, fd: number, offset: number): GenerationMark {
  const { ino, birthtimeNs } = fstatSync(fd, { bigint: true })
  return {
    generation,
    ino: String(ino),
    birth_ns: String(birthtimeNs),
    offset,
    tail_sha256: hashTail(fd, offset),
  }
}

/** Whether an open file still holds what was settled under `mark`: neither emptied nor written anew. */
export function holdsMark(fd: number, mark: GenerationMark): boolean {
  return fstatSync(fd).size >= mark.offset && hashTail(fd, mark.offset) === mark.tail_sha256
}

/** Whether `stats` are of the inode that `mark` was taken of, and not of a later one with its number. */
export function isInodeOf(stats: BigIntStats, mark: GenerationMark): boolean {
  return String(stats.ino) === mark.ino && String(stats.birthtimeNs) === mark.birth_ns
}

function hashTail(fd: number, offset: number): string {
  const tail = Buffer.alloc(Math.min(offset, tailBytes))
  const read = readSync(fd, tail, 0, tail.length, offset - tail.length)
  return hash("sha256", tail.subarray(0, read), "hex")
}
