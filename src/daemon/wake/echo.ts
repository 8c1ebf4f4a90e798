/** The echo of a ring: the session that was woken returns the random number of the ring, as a file. */
import { randomBytes } from "node:crypto"
import { closeSync, constants, rmSync } from "node:fs"
import { join } from "node:path"
import {
  isMissing,
  listIfExists,
  openPlain,
  readIfExists,
  writeAll,
  writeFileAtomic,
} from "../../base/files.js"
import type { DaemonPaths } from "../files/paths.js"

type EchoPaths = Pick<DaemonPaths, "echoes">

const { O_WRONLY, O_CREAT, O_EXCL } = constants
const noncePattern = /^[0-9a-f]{32}$/
const ringPattern = /\bagentchat-ring ([0-9a-f]{32})\b/
/** The number that a `wait` of this directory returns. */
const standingName = "wait"
/** Bytes of an echo, at most. */
const maxEchoBytes = 256

/** Makes the number of a ring, which nobody can guess. */
export function newNonce(): string {
  return randomBytes(16).toString("hex")
}

/** Returns the number in the text of a ring, such as a prompt that a session received; undefined if it has none. */
export function ringNonceIn(text: string): string | undefined {
  return ringPattern.exec(text)?.[1]
}

/**
 * Returns the number of a ring to the daemon that rang: this session is awake.
 * @param nowMs - milliseconds since the Unix epoch
 * @returns false if that daemon waits for no echo; never throws because of the files
 */
export function confirmRing({ echoes }: EchoPaths, nonce: string, nowMs: number): boolean {
  if (!noncePattern.test(nonce)) return false
  try {
    const fd = openPlain(join(echoes, nonce), O_WRONLY | O_CREAT | O_EXCL)
    try {
      writeAll(fd, Buffer.from(JSON.stringify({ ts: nowMs })))
    } finally {
      closeSync(fd)
    }
    return true
  } catch {
    // The daemon makes the directory for a ring, and removes it afterwards.
    return false
  }
}

/** Returns the echo of a `wait` that has received lines. @returns as {@link confirmRing} */
export function confirmWait(paths: EchoPaths, nowMs: number): boolean {
  try {
    const nonce = readIfExists(join(paths.echoes, standingName), maxEchoBytes) ?? ""
    return confirmRing(paths, nonce.trim(), nowMs)
  } catch {
    return false
  }
}

/** Writes the number that a `wait` returns. Throws the system's errors. */
export function writeStanding({ echoes }: EchoPaths, nonce: string): void {
  writeFileAtomic(join(echoes, standingName), `${nonce}\n`)
}

/** An echo that a session wrote. */
export interface Echo {
  readonly nonce: string
  /** When it was written, milliseconds since the Unix epoch. */
  readonly ts: number | undefined
}

/** Takes the echoes that have arrived out of the directory. Throws the system's errors. */
export function takeEchoes({ echoes }: EchoPaths): Echo[] {
  return listIfExists(echoes)
    .filter((name) => noncePattern.test(name))
    .map((nonce) => {
      const path = join(echoes, nonce)
      const ts = timeOf(path)
      rmSync(path, { force: true })
      return { nonce, ts }
    })
}

function timeOf(path: string): number | undefined {
  try {
    const { ts } = JSON.parse(readIfExists(path, maxEchoBytes) ?? "") as Record<string, unknown>
    return Number.isSafeInteger(ts) ? (ts as number) : undefined
  } catch (error) {
    // Half written: it is there, and when it came is known within a moment.
    if (!(error instanceof SyntaxError) && !isMissing(error)) throw error
    return undefined
  }
}
