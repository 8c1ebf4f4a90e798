import type { Node, YAMLMap } from "yaml"
import { closestNames } from "../../base/closest-names.js"
import { defaultGuardLimits, type GuardLimits } from "../../guards/limits.js"
import { ChatError } from "../../protocol/errors.js"
import { readSmallText } from "./text-source.js"

const shownCharacters = 40

type GuardName = keyof GuardLimits

const names = Object.keys(defaultGuardLimits) as GuardName[]
/** Where nothing at all is as good as never. */
const mayBeZero: ReadonlySet<string> = new Set<GuardName>([
  "emptyWords",
  "feedCredit",
  "floorMs",
  "hopsFollowMs",
  "ratePatienceMs",
  "sameDropped",
  "sameWindowMs",
])
/** What is a part of a whole. */
const shares: ReadonlySet<string> = new Set<GuardName>([
  "conversationBeside",
  "conversationShare",
  "sameSimilarity",
])
/** Pairs of which the first must not be above the second. */
const ordered = [
  ["pairCooldownMs", "pairCooldownMaxMs"],
  ["stopMs", "stopMaxMs"],
  ["breakerWarn", "breakerPause"],
  ["breakerPause", "breakerStop"],
] as const satisfies readonly (readonly [GuardName, GuardName])[]

/**
 * Reads numbers of the guards from YAML: one `name: number` a line, names as {@link defaultGuardLimits} has them. An
 * empty file changes nothing.
 * @param label - the flag that named the file
 * @throws {ChatError} NOT_FOUND, FILE_FAILED; USAGE naming the line, the name, the reason and the hint
 */
export async function readGuardFile(path: string, label: string): Promise<Partial<GuardLimits>> {
  const text = readSmallText(path, label)
  const { isMap, isScalar, LineCounter, parseDocument } = await import("yaml")
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true })
  const lineOf = (offset: number | undefined) => lines.linePos(offset ?? 0).line
  const at = (offset: number | undefined) => `${label}: ${path}: line ${lineOf(offset)}`
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

/** The library's own words name its functions where there is a second document. */
function problemOf({ code, message }: { readonly code: string; readonly message: string }): string {
  return code === "MULTIPLE_DOCS" ? "a second document begins" : (message.split("\n", 1)[0] ?? code)
}

const example = "write one name and one number a line, such as pairTurns: 40"

function isGuardName(name: unknown): name is GuardName {
  return names.some((known) => known === name)
}

function unknownName(where: string, name: string): ChatError {
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
  const isAllowed = (number: number) =>
    isShare ? number > 0 && number <= 1 : Number.isSafeInteger(number) && number >= least
  if (typeof value === "number" && isAllowed(value)) return value
  const range = isShare ? "a number above 0, up to 1" : `a whole number, ${least} or more`
  const unit = name.endsWith("Ms") ? ", in milliseconds" : ""
  throw new ChatError("USAGE", `${where}: ${name}: ${show(value)} is not ${range}${unit}`, {
    hint: `write it like ${name}: ${defaultGuardLimits[name]}, or leave the line out`,
  })
}

function show(value: unknown): string {
  if (value === undefined) return "what stands there"
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
