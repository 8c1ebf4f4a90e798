import { ChatError } from "../../protocol/errors.js"
import { readSmallText } from "./named-file.js"

const shownCharacters = 40

/**
 * Reads who operates a relay: one did:key or id of a key a line; what follows a `#` is a remark.
 * @param check - throws for a line that names nobody who can prove it
 * @throws {ChatError} NOT_FOUND, FILE_FAILED; USAGE naming the line, the reason and the hint
 */
export function readOperatorsFile(path: string, check: (name: string) => unknown): string[] {
  const label = "--operators"
  const found: string[] = []
  for (const [index, line] of readSmallText(path, label).split(/\r?\n/).entries()) {
    const name = line.replace(/#.*$/, "").trim()
    if (name === "") continue
    try {
      check(name)
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      const shown = JSON.stringify(name.slice(0, shownCharacters))
      throw new ChatError("USAGE", `${label}: ${path}: line ${index + 1}: ${shown}: ${error.message}`, {
        hint: "write the did:key that agentchat identity --show prints, or its @id",
        cause: error,
      })
    }
    found.push(name)
  }
  return found
}
