import type { Node, YAMLMap } from "yaml"
import { closestNames } from "../../base/closest-names.js"
import { maxDurationMs } from "../../base/duration.js"
import type { BreakerLimits } from "../../guards/breaker.js"
import { defaultGuardLimits, type GuardLimits } from "../../guards/limits.js"
import { ChatError } from "../../protocol/errors.js"
import { readSmallText } from "./text-source.js"

const shownCharacters = 40
const example = "write one name and one number per line, such as conversationTurns: 40"

type GuardName = keyof GuardLimits

const names = Object.keys(defaultGuardLimits) as GuardName[]
/** Numbers of rules that earlier versions had. */
const removedNames: ReadonlySet<string> = new Set([
  ...["hops", "hopsOwn", "hopsFadeMs", "hopsFollowMs", "pairTurns", "pairWindowMs", "pairCooldownMs"],
  ...["pairCooldownMaxMs", "emptyWords", "floorMs", "sameSimilarity", "slowRoomTurns", "slowRoomSpeakers"],
])
/** Numbers that may be 0; the others are 1 or more. */
const mayBeZero: ReadonlySet<string> = new Set<GuardName>([
  ...(["conversationEach", "feedCredit", "ratePatienceMs", "sameDropped", "sameWindowMs"] as const),
])
/** Numbers above 0 and up to 1. */
const shares: ReadonlySet<string> = new Set<GuardName>(["conversationBeside", "conversationShare"])
/** Pairs of which the first must not exceed the second. */
const ordered = [
  ["stopMs", "stopMaxMs"],
  ["breakerWarn", "breakerPause"],
  ["breakerPause", "breakerStop"],
] as const satisfies readonly (readonly [GuardName, GuardName])[]
/** The numbers of a daemon's own guard, and whether a larger number is the stricter one. */
const breakerNumbers = {
  breakerWarn: false,
  breakerPause: false,
  breakerStop: false,
  breakerPauseMs: true,
  breakerRejected: false,
  conversationRegainMs: true,
} as const satisfies Record<keyof BreakerLimits, boolean>

/**
 * Reads numbers of the guards from a YAML file: one `name: number` per line, with the names of {@link defaultGuardLimits}.
 * An empty file changes nothing.
 * @param label - the option that named the file
 * @throws {ChatError} NOT_FOUND, FILE_FAILED; USAGE with the line, the name and a hint
 */
export async function readGuardFile(path: string, label: string): Promise<Partial<GuardLimits>> {
  const text = readSmallText(path, label)
  const { isMap, isScalar, LineCounter, parseDocument } = await import("yaml")
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true })
  const at = (offset: number | undefined) => `${label}: ${path}: line ${lines.linePos(offset ?? 0).line}`
  const [broken] = document.errors
  if (broken !== undefined) {
    throw new ChatError("USAGE", `${at(broken.pos[0])}: ${problemOf(broken)}`, { hint: example })
  }
  const contents = document.contents as Node | null
  if (contents === null || (isScalar(contents) && contents.value === null)) return {}
  if (!isMap(contents)) {
    throw new ChatError("USAGE", `${at(contents.range?.[0])}: must be names and numbers`, { hint: example })
  }
  const limits: Partial<Record<GuardName, number>> = {}
  for (const { key, value } of (contents as YAMLMap<Node, Node | null>).items) {
    const name = isScalar(key) ? key.value : undefined
    const where = at(key.range?.[0])
    if (!isGuardName(name)) throw unknownName(where, String(name))
    limits[name] = readNumber(name, isScalar(value) ? value.value : undefined, where)
  }
  checkOrder(limits, `${label}: ${path}`)
  return limits
}

/**
 * Reads numbers of a daemon's own guard, which a file can only make stricter.
 * @throws {ChatError} NOT_FOUND, FILE_FAILED; USAGE with the name and a hint
 */
export async function readBreakerFile(path: string): Promise<Partial<BreakerLimits>> {
  const limits = await readGuardFile(path, "--guards")
  for (const [name, given] of Object.entries(limits)) {
    if (!isBreakerName(name)) {
      throw new ChatError("USAGE", `--guards: ${path}: ${name}: belongs to the relay, not to a daemon`, {
        hint: `a daemon's file may have ${Object.keys(breakerNumbers).join(", ")}; the others go into that of agentchat serve --guards FILE`,
      })
    }
    const known = defaultGuardLimits[name]
    if (breakerNumbers[name] ? given >= known : given <= known) continue
    const side = breakerNumbers[name] ? "less" : "more"
    throw new ChatError("USAGE", `--guards: ${path}: ${name}: ${given} is ${side} than ${known}`, {
      hint: "a daemon's own file can only make its guard stricter",
    })
  }
  return limits
}

function isBreakerName(name: string): name is keyof BreakerLimits {
  return Object.hasOwn(breakerNumbers, name)
}

function isGuardName(name: unknown): name is GuardName {
  return names.some((known) => known === name)
}

/** Replaces a message of the yaml package that names its own functions. */
function problemOf({ code, message }: { readonly code: string; readonly message: string }): string {
  return code === "MULTIPLE_DOCS" ? "a second document begins" : (message.split("\n", 1)[0] ?? code)
}

function unknownName(where: string, name: string): ChatError {
  if (removedNames.has(name)) {
    return new ChatError("USAGE", `${where}: ${name} was removed together with its rule`, {
      hint: "delete the line; the rules and their numbers: agentchat guard explain",
    })
  }
  const candidates = closestNames(name, names)
  const [closest] = candidates
  const hint =
    closest === undefined
      ? `the names are: ${names.join(", ")}`
      : `write ${closest}: ${defaultGuardLimits[closest as GuardName]}`
  const shown = JSON.stringify(name.slice(0, shownCharacters))
  return new ChatError("USAGE", `${where}: ${shown} is no number of the guards`, { candidates, hint })
}

function readNumber(name: GuardName, value: unknown, where: string): number {
  const isShare = shares.has(name)
  const least = mayBeZero.has(name) ? 0 : 1
  const isTime = name.endsWith("Ms")
  const most = isTime ? maxDurationMs : Number.MAX_SAFE_INTEGER
  const isAllowed = (number: number) =>
    isShare ? number > 0 && number <= 1 : Number.isSafeInteger(number) && number >= least && number <= most
  if (typeof value === "number" && isAllowed(value)) return value
  const range = isShare ? "a number above 0, up to 1" : `a whole number, ${least} or more`
  const unit = isTime ? `, in milliseconds, up to ${maxDurationMs}` : ""
  throw new ChatError("USAGE", `${where}: ${name}: ${show(value)} is not ${range}${unit}`, {
    hint: `write it like ${name}: ${defaultGuardLimits[name]}, or leave the line out`,
  })
}

function show(value: unknown): string {
  if (value === undefined) return "the value"
  return typeof value === "number" ? String(value) : JSON.stringify(value).slice(0, shownCharacters)
}

function checkOrder(limits: Partial<GuardLimits>, where: string): void {
  const all = { ...defaultGuardLimits, ...limits }
  for (const [lower, upper] of ordered) {
    if (all[lower] <= all[upper]) continue
    throw new ChatError("USAGE", `${where}: ${lower}: ${all[lower]} is above ${upper}, ${all[upper]}`, {
      hint: `write ${upper}: ${all[lower]} too`,
    })
  }
}
