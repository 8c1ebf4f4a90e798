/** The entries that agentchat adds to the configuration of a harness, on parsed values. */
import { isDeepStrictEqual } from "node:util"
import type { Harness } from "../harness.js"

/** The place of a value in a document: member names, and indices of arrays. */
export type Path = readonly (string | number)[]

/** One entry that install adds to a configuration file. */
export interface Addition {
  /** `member`: `path` ends with the member's name. `item`: the value is appended to the array at `path`. */
  readonly kind: "member" | "item"
  readonly path: readonly string[]
  readonly value: unknown
  /** True for a member that the file needs for everybody's entries, such as `version`; it stays while they do. */
  readonly isFrame?: boolean
}

/** An object, as opposed to an array or a scalar. */
export type Members = Record<string, unknown>

export function isObject(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)
}

/** Returns the value at a path; undefined if there is none. */
export function valueAt(value: unknown, path: Path): unknown {
  let at = value
  for (const step of path) {
    if (Array.isArray(at) && typeof step === "number") at = at[step]
    else if (isObject(at) && Object.hasOwn(at, step)) at = at[step]
    else return undefined
  }
  return at
}

/**
 * Returns the value with the additions. A member that exists keeps its value.
 * @throws {Error} naming the place where something else is in the way
 */
export function withAdditions(value: unknown, additions: readonly Addition[]): Members {
  const copy: unknown = value === undefined ? {} : structuredClone(value)
  if (!isObject(copy)) throw new Error("the document is not an object")
  for (const { kind, path, value: added } of additions) {
    const container = containerAt(copy, path.slice(0, -1))
    const [name = ""] = path.slice(-1)
    if (kind === "member") {
      if (!Object.hasOwn(container, name)) container[name] = added
      continue
    }
    if (!Object.hasOwn(container, name)) container[name] = []
    const items = container[name]
    if (!Array.isArray(items)) throw new Error(`${path.join(".")}: must be a list`)
    if (!items.some((item) => isDeepStrictEqual(item, added))) items.push(added)
  }
  return copy
}

function containerAt(root: Members, path: readonly string[]): Members {
  let at = root
  for (const [index, name] of path.entries()) {
    // An empty value of YAML.
    if (!Object.hasOwn(at, name) || at[name] === null) at[name] = {}
    const next = at[name]
    if (!isObject(next)) throw new Error(`${path.slice(0, index + 1).join(".")}: must be a table of members`)
    at = next
  }
  return at
}

/** The entries of an earlier install. */
export interface Earlier {
  readonly harness: Harness
  /** Those that were added; undefined without a record. */
  readonly added: readonly Addition[] | undefined
  /** Places that entries of this harness have in this file, now or in an earlier version. */
  readonly places: readonly Pick<Addition, "kind" | "path" | "isFrame">[]
}

/** Returns the places of all entries of an earlier install, in the order of the document. */
export function ownPaths(value: unknown, { harness, added, places }: Earlier): Path[] {
  const paths = new Map<string, Path>()
  const take = (path: Path) => void paths.set(JSON.stringify(path), path)
  for (const { kind, path, isFrame } of [...(added ?? []), ...places]) {
    const found = valueAt(value, path)
    if (found === undefined || isFrame === true) continue
    if (kind === "item") {
      for (const own of ownItems(found, path, harness)) take(own)
    } else if (added?.some((one) => isDeepStrictEqual(one.path, path)) ?? isOwnServer(found)) take(path)
  }
  return [...paths.values()]
}

/** A handler of a list, or the handler within a group of handlers if the group holds another one too. */
function ownItems(items: unknown, path: Path, harness: Harness): Path[] {
  if (!Array.isArray(items)) return []
  return items.flatMap((item: unknown, index): Path[] => {
    const handlers: unknown = isObject(item) ? item["hooks"] : undefined
    if (!Array.isArray(handlers)) return isOwnHandler(item, harness) ? [[...path, index]] : []
    const own = handlers.flatMap((handler, at) => (isOwnHandler(handler, harness) ? [at] : []))
    if (own.length === 0) return []
    if (own.length === handlers.length) return [[...path, index]]
    return own.map((at) => [...path, index, "hooks", at])
  })
}

function isOwnHandler(handler: unknown, harness: Harness): boolean {
  if (!isObject(handler)) return false
  return ["command", "bash"].some((key) => {
    const line = handler[key]
    return typeof line === "string" && line.includes("agentchat") && ownHook(harness).test(line)
  })
}

function ownHook(harness: Harness): RegExp {
  return new RegExp(`\\bhook [A-Za-z.]+ --harness ${harness}\\b`)
}

/** Reports whether a server of a list has the absolute command line that install writes. */
function isOwnServer(server: unknown): boolean {
  const text = JSON.stringify(server)
  return text.includes('agentchat.js"') && text.includes('"mcp"')
}

/** Returns the value without what is at the paths. */
export function withoutPaths(value: unknown, paths: readonly Path[]): unknown {
  const copy: unknown = structuredClone(value)
  for (const path of paths.toReversed()) {
    const container = valueAt(copy, path.slice(0, -1))
    const step = path.at(-1)
    if (Array.isArray(container) && typeof step === "number") container.splice(step, 1)
    else if (isObject(container) && step !== undefined) Reflect.deleteProperty(container, step)
  }
  return copy
}
