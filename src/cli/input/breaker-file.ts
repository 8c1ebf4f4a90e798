import { type BreakerLimits } from "../../guards/breaker.js"
import { defaultGuardLimits } from "../../guards/limits.js"
import { ChatError } from "../../protocol/errors.js"
import { readGuardFile } from "./guard-file.js"

/** What a daemon counts itself, and whether a larger number is the stricter one. */
const numbers = {
  breakerWarn: false,
  breakerPause: false,
  breakerStop: false,
  breakerPauseMs: true,
  breakerRejected: false,
  conversationRegainMs: true,
} as const satisfies Record<keyof BreakerLimits, boolean>

/**
 * Reads numbers of a daemon's own breaker: whoever starts a daemon may make it stricter, nothing else.
 * @throws {ChatError} NOT_FOUND, FILE_FAILED; USAGE naming the name, the reason and the hint
 */
export async function readBreakerFile(path: string): Promise<Partial<BreakerLimits>> {
  const limits = await readGuardFile(path, "--guards")
  for (const [name, given] of Object.entries(limits)) {
    if (!isOwn(name)) {
      throw new ChatError("USAGE", `--guards: ${path}: ${name}: is counted by the relay, not by a daemon`, {
        hint: `a daemon's file may have ${Object.keys(numbers).join(", ")}; the others: agentchat serve --guards`,
      })
    }
    const known = defaultGuardLimits[name]
    if (numbers[name] ? given >= known : given <= known) continue
    const side = numbers[name] ? "less" : "more"
    throw new ChatError("USAGE", `--guards: ${path}: ${name}: ${given} is ${side} than ${known}`, {
      hint: "a daemon's own file can only make its guard stricter",
    })
  }
  return limits
}

function isOwn(name: string): name is keyof BreakerLimits {
  return Object.hasOwn(numbers, name)
}
