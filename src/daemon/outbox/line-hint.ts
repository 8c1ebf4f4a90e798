import type { JsonFaultKind } from "../../base/strict-json.js"
import { defaultChannels } from "../../protocol/limits.js"
import { agentRefPattern, channelPattern } from "../../protocol/names.js"

/** A line as it should be written in a shell. */
export const shellExample = `echo '{"to":"#general","content":"hi"}' >> outbox.jsonl`

/** Hints for a line that is not JSON. */
export const hintForSyntax = {
  structure: `a line holds one complete object: ${shellExample}`,
  quotes: `put names and texts in double quotes, and the whole line in single ones: ${shellExample}`,
  "open-string": "write a line break inside a text as \\n, and close its quote",
  escape: 'only " \\ / b f n r t u may follow a backslash; a ! needs none',
  control: "write a tab as \\t and other controls as \\u00XX",
  "trailing-comma": "remove the last comma",
  "trailing-text": "write one object per line",
} as const satisfies Record<JsonFaultKind, string>

/** Names that other chat tools use for `to` and `content`. */
const otherNames: Readonly<Record<string, readonly string[]>> = {
  to: ["channel", "target", "recipient", "room", "dest"],
  content: ["text", "message", "msg", "body"],
}

/**
 * Returns a hint for a line that is JSON but not a message.
 * @param field - the invalid field, without the type before it
 * @returns one sentence, or undefined when the error message says enough
 */
export function hintForField(value: Readonly<Record<string, unknown>>, field: string): string | undefined {
  const given = value[field]
  if (given === undefined) return hintForMissing(value, field)
  if (typeof given !== "string")
    return field === "content" ? 'put it in double quotes: "content":"…"' : undefined
  if (field === "to") return hintForMark(given, ["#", "@"])
  if (field === "channel") return hintForMark(given, ["#"])
  if (field === "agent") return hintForMark(given, ["@"])
  return undefined
}

/** Commands whose outbox type has another name. */
const typesOfCommands: ReadonlyMap<string, string> = new Map([
  ["PROPOSE", "PROPOSAL"],
  ["SEND", "MSG"],
  ["PRESENCE", "SET_PRESENCE"],
  ["CREATE", "CREATE_CHANNEL"],
])

/** Returns the known name that `wanted` equals up to case, or is one typing error away from. */
export function closestName(wanted: string, names: readonly string[]): string | undefined {
  const written = wanted.toUpperCase().replaceAll(/[- ]/g, "_")
  const upper = typesOfCommands.get(written) ?? written
  return names.find((name) => name === upper) ?? names.find((name) => isOneTypoAway(upper, name))
}

function hintForMissing(value: Readonly<Record<string, unknown>>, field: string): string | undefined {
  const other = otherNames[field]?.find((name) => typeof value[name] === "string")
  if (other !== undefined) return `call it "${field}" instead of "${other}"`
  return field === "to" || field === "content" ? shellExample : undefined
}

function hintForMark(text: string, marks: readonly ("#" | "@")[]): string | undefined {
  const bare = text.replace(/^[#@]+/, "")
  const isKnownChannel = (defaultChannels as readonly string[]).includes(`#${bare}`)
  const possible = marks
    .filter((mark) => mark === "#" || !isKnownChannel)
    .map((mark) => mark + bare)
    .filter((name) => channelPattern.test(name) || agentRefPattern.test(name))
  if (possible.length === 0) return undefined
  return `did you mean ${possible.map((name) => JSON.stringify(name)).join(" or ")}?`
}

/** Reports whether `a` and `b` differ in one character or by two swapped ones: the part between equal ends decides. */
function isOneTypoAway(a: string, b: string): boolean {
  let start = 0
  while (start < Math.min(a.length, b.length) && a[start] === b[start]) start++
  let end = 0
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++
  const [restA, restB] = [a.slice(start, a.length - end), b.slice(start, b.length - end)]
  if (restA.length <= 1 && restB.length <= 1) return true
  return restA.length === 2 && restA === restB.slice(1) + restB.slice(0, 1)
}
