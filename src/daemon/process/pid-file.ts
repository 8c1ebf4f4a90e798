import { randomBytes } from "node:crypto"
import { linkSync, mkdirSync, realpathSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { basename, dirname } from "node:path"
import { type Clock, delay } from "../../base/clock.js"
import { isMissing, readIfExists, writeFileAtomic } from "../../base/files.js"
import { isPlain } from "../../base/plain.js"
import { formatJsonLine } from "../../base/visible-text.js"
import { ChatError } from "../../protocol/errors.js"
import { asFileProblem } from "../files/file-problems.js"
import type { underLock } from "../files/lock-file.js"
import {
  isSameProcess,
  type ProcessRecord,
  parseProcessRecord,
  processState,
  wasRunningAt,
} from "../files/process-record.js"

/** A process that holds a directory, and its control socket. */
export interface Holder {
  readonly process: ProcessRecord
  readonly socket: string
  readonly agentId?: string
  readonly server?: string
}

/**
 * The files that name the holder of the directory they are in. The record counts; the pid file repeats its pid as a bare
 * number, for shells.
 */
export interface HolderFiles {
  readonly record: string
  readonly pid?: string
}

/** The living holder of a directory. */
export interface LivingHolder extends Holder {
  /** True if the directory was moved since: its holder stops once it notices that. */
  readonly isMoved: boolean
}

/** Identifies a directory, wherever it was moved and whatever is at its path now. */
interface Home {
  readonly dev: number
  readonly ino: number
  /** Its path when it was claimed. */
  readonly path: string
}

/** Why a process no longer holds a directory. */
export interface Loss {
  readonly reason: string
  /** False if another process may use the directory: then nothing may be written to it. */
  readonly isHomeOurs: boolean
}

/** A holder whose process cannot be looked up counts as gone this many milliseconds after it touched its file. */
const heartbeatStaleMs = 30_000
/** Milliseconds between two touches of the record by its holder. */
export const heartbeatMs = 10_000
/** Milliseconds a start waits for another one, or for a daemon whose directory was moved away to notice that. */
const claimMs = 15_000

/**
 * Makes `holder` the only holder of the directory. A holder counts as long as its process is alive, so neither a stale
 * lock nor a reused pid can block a start.
 * @throws {ChatError} ALREADY_RUNNING when another living process holds the directory; FILE_FAILED
 */
export async function claimHome(files: HolderFiles, holder: Holder, clock: Clock): Promise<Claim> {
  // Loaded late: most commands only look for a holder.
  const { underLock: lock } = await import("../files/lock-file.js")
  const deadline = clock.monotonic() + claimMs
  try {
    mkdirSync(dirname(files.record), { recursive: true, mode: 0o700 })
    for (;;) {
      const claim = tryClaim(files, holder, clock, lock)
      if (claim !== undefined) return claim
      if (clock.monotonic() >= deadline) {
        throw new ChatError(
          "ALREADY_RUNNING",
          `another process has been starting in ${dirname(files.record)}`,
          {
            hint: `try again; if no other start runs, delete ${files.record}.lock`,
          },
        )
      }
      await delay(clock, 50)
    }
  } catch (error) {
    throw asFileProblem(error, files.record)
  }
}

/** @returns undefined if the directory may be free soon */
function tryClaim(
  files: HolderFiles,
  holder: Holder,
  clock: Clock,
  lock: typeof underLock,
): Claim | undefined {
  const { process } = holder
  let claim: Claim | undefined
  lock(`${files.record}.lock`, { process, now: () => clock.now() }, () => {
    const current = readHolder(files.record, clock.now())
    const home = homeOf(files.record)
    if (current !== undefined && !isSameProcess(current.process, process)) {
      if (current.isMoved) return
      throw new ChatError(
        "ALREADY_RUNNING",
        `process ${current.process.pid} holds ${files.pid ?? files.record}`,
        { hint: "stop it first: agentchat daemon --stop" },
      )
    }
    if (files.pid !== undefined) refuseFirstAgentChat(files.pid, files.record, clock.now())
    claim = new Claim(files, holder, home)
    claim.write()
  })
  return claim
}

/**
 * Makes `holder` the only holder of a record, unless a living process is. Needs the lock only to take over what a dead
 * process left behind, so that short commands need not load it.
 * @returns the claim, or the other holder
 * @throws {ChatError} FILE_FAILED; ALREADY_RUNNING if others have been taking it over for long
 */
export async function claimRecord(
  record: string,
  holder: Holder,
  clock: Clock,
): Promise<Claim | LivingHolder> {
  const deadline = clock.monotonic() + claimMs
  const { process } = holder
  try {
    for (;;) {
      const claim = new Claim({ record }, holder, homeOf(record))
      if (claim.create()) return claim
      const current = readHolder(record, clock.now())
      if (current !== undefined) return current
      // Loaded late: a record is hardly ever left behind.
      const { underLock: lock } = await import("../files/lock-file.js")
      const outcome: { is: Claim | LivingHolder | undefined } = { is: undefined }
      lock(`${record}.lock`, { process, now: () => clock.now() }, () => {
        const isGone = statSync(record, { throwIfNoEntry: false }) === undefined
        outcome.is = isGone ? undefined : readHolder(record, clock.now())
        // A file that is still there was left behind: nobody else replaces it without the lock.
        if (isGone || outcome.is !== undefined) return
        claim.write()
        outcome.is = claim
      })
      if (outcome.is !== undefined) return outcome.is
      if (clock.monotonic() >= deadline) {
        throw new ChatError("ALREADY_RUNNING", `another process has been taking over ${record}`, {
          hint: `try again; if no other process runs, delete ${record}.lock`,
        })
      }
      await delay(clock, 50)
    }
  } catch (error) {
    throw asFileProblem(error, record)
  }
}

/** The directory that this process holds. */
export class Claim {
  readonly #files: HolderFiles
  readonly #holder: Holder
  readonly #home: Home

  constructor(files: HolderFiles, holder: Holder, home: Home) {
    this.#files = files
    this.#holder = holder
    this.#home = home
  }

  write(): void {
    writeFileAtomic(this.#files.record, this.#content())
    this.#writePid()
  }

  /** Writes the record in one step unless there is one. @returns whether it was written */
  create(): boolean {
    const { record } = this.#files
    const temporary = `${record}.${randomBytes(6).toString("hex")}.tmp`
    try {
      writeFileSync(temporary, this.#content(), { mode: 0o600, flag: "wx" })
      linkSync(temporary, record)
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") return false
      throw error
    } finally {
      rmSync(temporary, { force: true })
    }
  }

  #content(): string {
    const { process, socket, agentId, server } = this.#holder
    const { dev, ino, path } = this.#home
    const content = { v: 1, ...process, socket, agent_id: agentId, server, home: { dev, ino, path } }
    return `${formatJsonLine(content)}\n`
  }

  /**
   * Checks the files, and writes them again if they are damaged.
   * @returns why this process no longer holds the directory; undefined while it does
   * @throws the system error if the files cannot be read or written now
   */
  check(): Loss | undefined {
    const homeLoss = this.#homeLoss()
    if (homeLoss !== undefined) return { reason: homeLoss, isHomeOurs: false }
    const named = parseRecord(readIfExists(this.#files.record) ?? "")?.process
    const isOurs = named !== undefined && isSameProcess(named, this.#holder.process)
    if (named !== undefined && !isOurs && processState(named) !== "dead") {
      return { reason: `${basename(this.#files.record)} names process ${named.pid}`, isHomeOurs: false }
    }
    const pidLoss = this.#checkPid()
    if (pidLoss === undefined && !isOurs) this.write()
    return pidLoss
  }

  /** @throws {ChatError} NOT_FOUND if another directory, or none, is at the path of the one this process holds */
  requireHome(): void {
    const loss = this.#homeLoss()
    if (loss !== undefined) throw new ChatError("NOT_FOUND", loss)
  }

  /** Updates the record's time for processes that cannot look the pid up, such as those in another container. */
  touch(nowMs: number): void {
    utimesSync(this.#files.record, nowMs / 1000, nowMs / 1000)
  }

  /** Removes the files if this process still holds them. @throws the system error */
  release(): void {
    if (this.#homeLoss() !== undefined) return
    const named = parseRecord(readIfExists(this.#files.record) ?? "")
    if (named === undefined || !isSameProcess(named.process, this.#holder.process)) return
    rmSync(this.#files.record, { force: true })
    if (this.#files.pid !== undefined) rmSync(this.#files.pid, { force: true })
  }

  #homeLoss(): string | undefined {
    const dir = dirname(this.#files.record)
    try {
      const { dev, ino } = statSync(dir)
      const isOurs = ino === this.#home.ino && dev === this.#home.dev
      return isOurs ? undefined : `another directory is at ${dir} now`
    } catch (error) {
      if (!isMissing(error)) throw error
      return `the directory ${dir} was removed or moved away`
    }
  }

  #checkPid(): Loss | undefined {
    const { pid } = this.#files
    if (pid === undefined) return undefined
    const text = readIfExists(pid)
    if (text === undefined) return { reason: `${basename(pid)} was removed`, isHomeOurs: true }
    const named = readPid(text)
    if (named === undefined) this.#writePid()
    const isOther = named !== undefined && named !== this.#holder.process.pid
    return isOther ? { reason: `${basename(pid)} names process ${named}`, isHomeOurs: false } : undefined
  }

  #writePid(): void {
    if (this.#files.pid !== undefined) writeFileAtomic(this.#files.pid, `${this.#holder.process.pid}\n`)
  }
}

/**
 * Returns the living holder of the directory of `record`; undefined if there is none. A record that names another
 * directory was copied here and holds nothing.
 */
export function readHolder(record: string, nowMs: number): LivingHolder | undefined {
  let found: (Holder & { readonly home: Home }) | undefined
  let current: Home
  let mtimeMs: number
  try {
    found = parseRecord(readIfExists(record) ?? "")
    current = homeOf(record)
    mtimeMs = statSync(record).mtimeMs
  } catch {
    return undefined
  }
  if (found?.home.ino !== current.ino) return undefined
  const { home, ...holder } = found
  const state = processState(holder.process)
  if (state === "alive") {
    return home.dev === current.dev ? { ...holder, isMoved: home.path !== current.path } : undefined
  }
  // Another machine may see the same directory under another device number and path.
  const isFresh = state === "elsewhere" && nowMs - mtimeMs < heartbeatStaleMs
  return isFresh ? { ...holder, isMoved: false } : undefined
}

/** @throws {ChatError} ALREADY_RUNNING if the pid file is of a living process that keeps no record, as the first AgentChat */
function refuseFirstAgentChat(pidFile: string, record: string, nowMs: number): void {
  const text = readIfExists(pidFile)
  const pid = text === undefined ? undefined : readPid(text)
  if (pid === undefined || parseRecord(readIfExists(record) ?? "")?.process.pid === pid) return
  if (!wasRunningAt(pid, statSync(pidFile).mtimeMs, nowMs)) return
  throw new ChatError(
    "ALREADY_RUNNING",
    `process ${pid} holds ${pidFile}; it has no ${basename(record)}, as a daemon of the first AgentChat`,
    { hint: `two daemons would send every line twice; stop that one first: kill ${pid}` },
  )
}

function homeOf(record: string): Home {
  const dir = dirname(record)
  const { dev, ino } = statSync(dir)
  return { dev, ino, path: realpathSync(dir) }
}

function readPid(text: string): number | undefined {
  const pid = /^\s*([1-9]\d{0,9})\s*$/.exec(text)?.[1]
  return pid === undefined ? undefined : Number(pid)
}

function parseRecord(text: string): (Holder & { readonly home: Home }) | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const process = parseProcessRecord(value)
  if (process === undefined) return undefined
  const { socket, agent_id, server, home } = value as Record<string, unknown>
  if (!isPlain(home)) return undefined
  const { dev, ino, path } = home
  if (typeof dev !== "number" || typeof ino !== "number" || typeof path !== "string") return undefined
  return {
    process,
    home: { dev, ino, path },
    socket: typeof socket === "string" ? socket : "",
    ...(typeof agent_id === "string" ? { agentId: agent_id } : {}),
    ...(typeof server === "string" ? { server } : {}),
  }
}
