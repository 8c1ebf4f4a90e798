import { resolve } from "node:path"
import { readSecretFile } from "../../identity/secret-file.js"
import { ChatError } from "../../protocol/errors.js"

/**
 * The address of a NATS: itself, or `@FILE` where one with credentials stands, which only its owner may read.
 * @throws {ChatError} USAGE for credentials that everybody who lists processes would see; NOT_FOUND, BAD_IDENTITY
 */
export function readBackboneAddress(text: string, directory: string): string {
  if (!text.startsWith("@")) {
    if (!text.includes("@")) return text
    throw new ChatError("USAGE", "--backbone: others can read the credentials on a command line", {
      hint: "put the URL into a file of mode 0600 and say --backbone @FILE",
    })
  }
  const path = resolve(directory, text.slice(1))
  try {
    return readSecretFile(path).text.trim()
  } catch (error) {
    if (!(error instanceof ChatError) || error.code !== "NOT_FOUND") throw error
    throw new ChatError("NOT_FOUND", `--backbone: ${path}: no such file`, { cause: error })
  }
}
