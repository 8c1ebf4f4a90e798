import { ChatError } from "../../protocol/errors.js"
import type { Context } from "../context.js"

/** A call of `agentchat hook`, as it was on the command line, unvalidated. */
export interface HookRequest {
  readonly harness: string
  /** The harness's own name of the event. */
  readonly name: string
  /** `block` denies an edit of a claimed path, any other text is a warning; undefined for neither. */
  readonly claims?: string | undefined
  /** True to wait in the background. */
  readonly isRewake: boolean
}

/**
 * Reads a command line as `install` registers it. Loading the parser would take a fourth of the time of a hook.
 * @returns undefined for any other command line
 */
export function readHookWords(words: readonly string[]): HookRequest | undefined {
  const [, name = "-", option, harness = "-", ...more] = words
  if (option !== "--harness" || [name, harness].some((word) => word.startsWith("-"))) return undefined
  const [first, claims = "-", ...others] = more
  if (first === undefined) return { name, harness, isRewake: false }
  if (first === "--rewake" && more.length === 1) return { name, harness, isRewake: true }
  const isClaim = first === "--claims" && others.length === 0 && !claims.startsWith("-")
  return isClaim ? { name, harness, claims, isRewake: false } : undefined
}

/** Runs a hook. @returns its exit status @throws {ChatError} USAGE */
export async function answerHook(context: Context, request: HookRequest): Promise<number> {
  if (!request.isRewake) return (await import("./hook-run.js")).runHook(context, request)
  if (request.harness !== "claude") throw new ChatError("USAGE", "--rewake: only with --harness claude")
  return (await import("./rewake.js")).runRewake(context, request.name)
}
