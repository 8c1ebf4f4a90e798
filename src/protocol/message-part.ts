import * as v from "valibot"

/** Names of kinds that their makers own. */
const ownKind = /^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/

/** A part of a message beside its text, kept as it was written: whoever made the kind knows what is in it. */
export const part = v.custom<Readonly<Record<string, unknown>>>(
  isPart,
  'must be {"kind":"text","text":…}, {"kind":"data","data":…}, or of a kind with a reverse-DNS name such as com.example.diff',
)

function isPart(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false
  const { kind, text } = value as { kind?: unknown; text?: unknown }
  if (kind === "text") return typeof text === "string"
  if (kind === "data") return Object.hasOwn(value, "data")
  return typeof kind === "string" && kind.length <= 128 && ownKind.test(kind)
}
