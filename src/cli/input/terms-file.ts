import { readFileSync, statSync } from "node:fs"
import { ChatError } from "../../protocol/errors.js"
import { termsText } from "../deals/deal-values.js"

/** More than the longest terms take in UTF-8. */
const largestBytes = 64 * 1024

/**
 * Reads `--terms FILE`, as it is: what is signed is every character of it.
 * @throws {ChatError} NOT_FOUND; USAGE when it is no text, empty or too long
 */
export function readTermsFile(path: string): string | undefined {
  try {
    if (statSync(path).size > largestBytes) throw new ChatError("USAGE", `--terms: ${path}: is too long`)
    return termsText(
      new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(readFileSync(path)),
      `--terms: ${path}`,
    )
  } catch (error) {
    if (error instanceof ChatError) throw error
    if (error instanceof TypeError) throw new ChatError("USAGE", `--terms: ${path}: is not UTF-8 text`)
    const { code } = error as NodeJS.ErrnoException
    throw new ChatError("NOT_FOUND", `--terms: ${path}: cannot be read (${String(code)})`, { cause: error })
  }
}
