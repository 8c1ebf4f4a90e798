import { isPlain } from "../../base/plain.js"
import type { Context } from "../context.js"

/** Bytes of a payload that are read; the results of tools can be long. */
const maxBytes = 32 * 1024 * 1024
/** Milliseconds in which the harness has to write all of it. */
const patienceMs = 2_000

type Payload = Readonly<Record<string, unknown>>

/** Reads the JSON object on standard input; undefined if it is none, is too large or does not end in time. */
export async function readPayload({
  io,
  clock,
}: Pick<Context, "io" | "clock">): Promise<Payload | undefined> {
  if (io.isInputTerminal) return undefined
  const { input } = io
  const chunks: Buffer[] = []
  let bytes = 0
  const text = await new Promise<string | undefined>((resolve) => {
    const timer = clock.setTimer(() => resolve(undefined), patienceMs, { unref: true })
    const settle = (value: string | undefined) => {
      timer.cancel()
      resolve(value)
    }
    input.on("data", (chunk: Buffer | string) => {
      const data = typeof chunk === "string" ? Buffer.from(chunk) : chunk
      bytes += data.length
      if (bytes > maxBytes) settle(undefined)
      else chunks.push(data)
    })
    input.on("end", () => settle(Buffer.concat(chunks).toString("utf8")))
    input.on("error", () => settle(undefined))
  })
  input.removeAllListeners("data")
  input.pause()
  return text === undefined ? undefined : parse(text)
}

function parse(text: string): Payload | undefined {
  try {
    const value: unknown = JSON.parse(text.replace(/^\uFEFF/, ""))
    return isPlain(value) ? value : undefined
  } catch {
    return undefined
  }
}
