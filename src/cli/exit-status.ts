/**
 * Maps the end of a command to its exit status. A failure exits with the status that `errorSpecs` in
 * protocol/errors.ts gives its code, an interrupted command with 130 or 143, a success with 0. Two commands define
 * further statuses: `receipts verify` and `store verify`. `ask` exits with 0 if somebody answered, 9 (EXPIRED) if the question
 * expired, also if it prints the default answer, 11 (UNSERVED) if the time is over and nobody with the role human is online,
 * and 4 (TIMEOUT) if the time is over otherwise.
 */

import { completeHint } from "../base/command-hint.js"
import { omitUndefined } from "../base/plain.js"
import { ChatError } from "../protocol/errors.js"
import type { GuardFacts } from "../protocol/guard-facts.js"
import type { Config } from "./config.js"
import type { Context, Io } from "./context.js"

/**
 * Prints the result of a command: with `--json` the document and `ok: true`, else the text, unless `--quiet`.
 * @param text - one line or several, safe for a terminal
 * @returns exit status 0
 */
export function reportSuccess(
  { io, config }: Pick<Context, "io" | "config">,
  document: object,
  text: string | readonly string[],
): number {
  if (config.json) io.json({ ok: true, ...document })
  else if (!config.quiet) for (const line of typeof text === "string" ? [text] : text) io.out(line)
  return 0
}

/** The document that `--json` prints for an error. */
interface FailureDocument {
  readonly ok: false
  readonly error: {
    readonly code: string
    readonly message: string
    /** The exit status. */
    readonly exit: number
    readonly retry_after_ms?: number
    readonly candidates?: readonly string[]
    readonly hint?: string
    readonly guard?: GuardFacts
  }
}

/**
 * Prints an error and its hints to standard error. With `--json` it also prints the error document to standard output,
 * so that a program that reads standard output always gets a document.
 * @param facts - members that the document has besides the error
 * @returns the exit status of the error
 */
export function reportFailure(
  { io, config }: FailureContext,
  error: ChatError,
  facts: Readonly<Record<string, unknown>> = {},
): number {
  const { candidates, retryAfterMs, guard } = error
  const hint = error.hint === undefined ? undefined : completeHint(error.hint, config.hintOptions)
  if (config.json) io.json({ ...facts, ...failureDocument(error, hint) })
  io.err(error.message)
  if (guard !== undefined) {
    const end = retryAfterMs === undefined ? "" : `; over in ${formatWait(retryAfterMs)}`
    io.err(`stopped by the guard ${guard.layer}: ${guard.scope}; ${liftedBy[guard.lifted_by]}${end}`)
    if (guard.evidence.length > 0) io.err(`evidence: ${guard.evidence.join(" ")}`)
  }
  if (candidates !== undefined && candidates.length > 0) io.err(`did you mean ${candidates.join(" or ")}?`)
  if (retryAfterMs !== undefined && guard === undefined) io.err(`try again in ${formatWait(retryAfterMs)}`)
  if (hint !== undefined) io.err(`hint: ${hint}`)
  return error.exit
}

/** Part of the context that reports an error. */
interface FailureContext {
  readonly io: Pick<Io, "err" | "json">
  readonly config: Pick<Config, "json" | "hintOptions">
}

function formatWait(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

/** How a guard's stop ends, in words. */
export const liftedBy: Readonly<Record<GuardFacts["lifted_by"], string>> = {
  time: "it passes by itself",
  operator: "an operator has to lift it",
  progress: "finished work lifts it, or an operator",
}

function failureDocument(
  { code, message, exit, retryAfterMs, candidates, guard }: ChatError,
  hint: string | undefined,
): FailureDocument {
  return {
    ok: false,
    error: {
      code,
      message,
      exit,
      ...omitUndefined({ retry_after_ms: retryAfterMs, candidates, hint, guard }),
    },
  }
}

/** Codes of file system errors that a user can fix. Any other unexpected error is a bug and shows its stack. */
const fixableCodes = new Set([
  ...[
    "EACCES",
    "EDQUOT",
    "EFBIG",
    "EFTYPE",
    "EISDIR",
    "ELOOP",
    "EMFILE",
    "ENOSPC",
    "ENOTDIR",
    "EPERM",
    "EROFS",
  ],
])

/** Returns an error as a failure to report; undefined if it is a bug of this program. */
export function expectedFailure(error: unknown): ChatError | undefined {
  if (error instanceof ChatError) return error
  if (!(error instanceof Error)) return undefined
  const { code = "", path, syscall = "open" } = error as NodeJS.ErrnoException
  if (path === undefined || !fixableCodes.has(code)) return undefined
  return new ChatError("FILE_FAILED", `${path}: cannot be used (${syscall}: ${code})`, { cause: error })
}

/** Returns the exit status of a command that a signal ended. @param signal - see {@link System.interruption} */
export function interruptedStatus(signal: AbortSignal): number {
  return { SIGHUP: 129, SIGTERM: 143 }[signal.reason as string] ?? 130
}

/** The exit status of a command that runs until something ends it. The first call of {@link end} decides. */
export class ExitStatus {
  /** Resolves to the exit status; rejects if an error ended the command. */
  readonly status: Promise<number>
  #settle: (end: number | Error) => void = () => {}
  #isOver = false

  constructor() {
    this.status = new Promise((resolve, reject) => {
      this.#settle = (end) => {
        if (typeof end === "number") resolve(end)
        else reject(end)
      }
    })
    // The error may come before the command awaits `status`; an unhandled rejection would end the process.
    this.status.catch(() => {})
  }

  get isOver(): boolean {
    return this.#isOver
  }

  end(end: number | Error): void {
    this.#isOver = true
    this.#settle(end)
  }

  /** Ends the command when the user interrupts the program. */
  endOnSignal({ system }: Context): void {
    const signal = system.interruption()
    signal.addEventListener("abort", () => this.end(interruptedStatus(signal)))
  }
}

/** Waits for work, but no longer than until a signal is aborted. @returns whether the work has ended */
export async function orAborted(work: Promise<void>, signal: AbortSignal | undefined): Promise<boolean> {
  let stop = () => {}
  const aborted = new Promise<false>((resolve) => {
    stop = () => resolve(false)
    signal?.addEventListener("abort", stop)
  })
  if (signal?.aborted === true) stop()
  const hasEnded = await Promise.race([work.then(() => true), aborted])
  signal?.removeEventListener("abort", stop)
  return hasEnded
}
