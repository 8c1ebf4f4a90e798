import type { Readable } from "node:stream"
import { ChatError } from "../../protocol/errors.js"
import { defaultLimits } from "../../protocol/limits.js"

/**
 * Reads a text to its end. One newline at the end is left out, as `$(…)` does.
 * @throws {ChatError} INVALID_MSG when it is larger than a message can be, or not UTF-8
 */
export async function readText(input: Readable): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of input as AsyncIterable<Buffer>) {
    bytes += chunk.length
    chunks.push(chunk)
    if (bytes > defaultLimits.frameBytes) {
      throw new ChatError(
        "INVALID_MSG",
        `standard input: more than the ${defaultLimits.frameBytes} bytes of a message`,
        {
          hint: "put it into a file both can read, and send its path",
        },
      )
    }
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
      .decode(Buffer.concat(chunks))
      .replace(/\r?\n$/, "")
  } catch (error) {
    throw new ChatError("INVALID_MSG", "standard input: is not UTF-8 text", { cause: error })
  }
}
