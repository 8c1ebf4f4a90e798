import type { ChatError } from "../../protocol/errors.js"
import type { GuardFacts } from "../../protocol/guard-facts.js"
import type { Io } from "../context.js"
import { omitUndefined } from "./omit-undefined.js"

/** An error as `--json` prints it. */
export interface FailureDocument {
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
 * Says on standard error what went wrong and how to fix it; with `json` the same stands on standard output as
 * one object, so that a program that reads it gets a document either way.
 * @returns the exit status
 */
export function reportFailure(io: Io, error: ChatError, json: boolean): number {
  const { candidates, hint, retryAfterMs, guard } = error
  if (json) io.json(failureDocument(error))
  io.talk(error.message)
  if (guard !== undefined) {
    const end = retryAfterMs === undefined ? "" : `; over in ${formatWait(retryAfterMs)}`
    io.talk(`stopped by the guard ${guard.layer}: ${guard.scope}; ${liftedBy[guard.lifted_by]}${end}`)
    if (guard.evidence.length > 0) io.talk(`what led to it: ${guard.evidence.join(" ")}`)
  }
  if (candidates !== undefined && candidates.length > 0) io.talk(`did you mean ${candidates.join(" or ")}?`)
  if (retryAfterMs !== undefined && guard === undefined) io.talk(`try again in ${formatWait(retryAfterMs)}`)
  if (hint !== undefined) io.talk(hint)
  return error.exit
}

function formatWait(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

/** Who may lift a guard. */
export const liftedBy: Readonly<Record<GuardFacts["lifted_by"], string>> = {
  time: "it passes by itself",
  operator: "an operator has to lift it",
  progress: "finished work lifts it, or an operator",
}

/** The document of an error. */
export function failureDocument(error: ChatError): FailureDocument {
  const { code, message, exit, retryAfterMs, candidates, hint, guard } = error
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
