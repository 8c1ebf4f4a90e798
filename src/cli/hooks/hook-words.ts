import { ChatError } from "../../protocol/errors.js"
import type { Context } from "../context.js"
import type { HookRequest } from "./hook-run.js"

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
