import { readSync } from "node:fs"
import { readSeq } from "./line.js"

const blockBytes = 64 * 1024
const newline = 0x0a
/** Enough bytes for `{"seq":…,` with any number. */
const headBytes = 32

/**
 * Reads the whole lines of a file from `offset` on, without their newlines.
 * @param offset - where a line begins, in bytes
 * @yields a view of the line, valid until the next iteration
 * @returns the offset after the last whole line
 */
export function* scanLines(fd: number, offset = 0): Generator<Buffer, number> {
  let block = Buffer.allocUnsafe(blockBytes)
  let filled = 0
  for (;;) {
    const count = readSync(fd, block, filled, block.length - filled, offset + filled)
    if (count === 0) return offset
    const fresh = block.subarray(0, filled + count)
    let start = 0
    for (let end = fresh.indexOf(newline, filled); end >= 0; end = fresh.indexOf(newline, start)) {
      yield fresh.subarray(start, end)
      start = end + 1
    }
    block.copyWithin(0, start, fresh.length)
    filled = fresh.length - start
    offset += start
    if (filled === block.length) block = Buffer.concat([block], block.length * 2)
  }
}

/**
 * Finds an offset from which to read every line after `seq`. Searches from the end, so that reading the newest lines
 * costs the same for a file of any size.
 * @returns the offset of a line at or before the first one wanted
 */
export function offsetAfter(fd: number, bytes: number, seq: number): number {
  for (const { head, offset } of lineStartsBackwards(fd, bytes)) {
    const found = readSeq(head)
    if (found !== undefined && found <= seq) return offset
  }
  return 0
}

/** Returns the size of the whole lines; what follows has no newline. */
export function wholeBytesOf(fd: number, bytes: number): number {
  for (const { offset } of lineStartsBackwards(fd, bytes)) return offset
  return 0
}

/** Returns the `seq` of the last whole line that has one. */
export function lastSeqOf(fd: number, bytes: number): number | undefined {
  let isEnded = false
  for (const { head } of lineStartsBackwards(fd, bytes)) {
    const found = isEnded ? readSeq(head) : undefined
    if (found !== undefined) return found
    isEnded = true
  }
  return undefined
}

interface LineStart {
  /** The first 32 bytes of the line, valid until the next iteration. */
  readonly head: Buffer
  readonly offset: number
}

/** Finds the beginnings of lines, last first. The last line has no newline; in a whole file it is empty. */
function* lineStartsBackwards(fd: number, bytes: number): Generator<LineStart> {
  const buffer = Buffer.allocUnsafe(Math.min(blockBytes + headBytes, bytes))
  for (let end = bytes; end > 0; ) {
    const from = Math.max(0, end - blockBytes)
    const wanted = Math.min(bytes, end + headBytes) - from
    const block = buffer.subarray(0, readSync(fd, buffer, 0, wanted, from))
    const headAt = (start: number) => ({
      head: block.subarray(start, start + headBytes),
      offset: from + start,
    })
    for (let at = end - from; at > 0; ) {
      at = block.lastIndexOf(newline, at - 1)
      if (at >= 0) yield headAt(at + 1)
    }
    if (from === 0) yield headAt(0)
    end = from
  }
}
