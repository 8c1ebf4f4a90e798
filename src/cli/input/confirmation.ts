import { createInterface } from "node:readline"
import type { Readable } from "node:stream"
import { ChatError } from "../../protocol/errors.js"
import type { Context } from "../context.js"

/** A step that a person has to confirm. */
export interface Confirmation {
  /** The command or option that asks, such as `--rotate`. */
  readonly asker: string
  /** Its effect, such as "destroys a private key". */
  readonly loss: string
  readonly question: string
  readonly hint?: string
}

/**
 * Asks on the terminal before something is lost, unless `--yes` was given.
 * @throws {ChatError} USAGE if nobody can be asked; CANCELLED if the answer is not yes
 */
export async function requireConfirmation(
  { io }: Context,
  isConfirmed: boolean,
  { asker, loss, question, hint }: Confirmation,
): Promise<void> {
  if (isConfirmed) return
  if (!io.isInputTerminal) {
    const message = `${asker}: ${loss}; needs --yes where nobody can be asked`
    throw new ChatError("USAGE", message, hint === undefined ? {} : { hint })
  }
  io.err(`${question} Type yes:`)
  if ((await firstLine(io.input)).trim().toLowerCase() === "yes") return
  throw new ChatError("CANCELLED", `${asker}: not confirmed; nothing was changed`)
}

async function firstLine(input: Readable): Promise<string> {
  const lines = createInterface({ input })
  try {
    for await (const line of lines) return line
    return ""
  } finally {
    lines.close()
  }
}
