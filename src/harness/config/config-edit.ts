/** Decides how a configuration file changes: which text is inserted, and how the file is put back. */
import { createHash } from "node:crypto"
import { isDeepStrictEqual } from "node:util"
import type { Harness } from "../harness.js"
import {
  type Addition,
  type Earlier,
  isObject,
  ownPaths,
  type Path,
  valueAt,
  withAdditions,
  withoutPaths,
} from "./additions.js"
import { jsonFormat } from "./json-format.js"
import { applySplices, lineEndOf, type Splice, type TextFormat } from "./text-format.js"
import { tomlFormat } from "./toml-format.js"
import { yamlFormat } from "./yaml-format.js"

/** A file of a harness, with the entries that agentchat adds to it. */
export interface ConfigFile {
  readonly kind: "config"
  readonly path: string
  readonly format: "json" | "toml" | "yaml"
  readonly additions: readonly Addition[]
  /** Places of further entries that other options of install add. */
  readonly otherPlaces?: readonly Pick<Addition, "kind" | "path">[]
}

/** Facts about an edit that later put the file back byte for byte. */
export interface EditRecord {
  /** True if there was no file before. */
  readonly isCreated: boolean
  /** SHA-256 of the file after the edit, in hex. */
  readonly sha256: string
  /** The inserted texts, at their offsets in the file after the edit. */
  readonly inserted: readonly Splice[]
  readonly added: readonly Addition[]
  /** Containers that the edit created. */
  readonly containers: readonly (readonly string[])[]
}

/** The file's text after an edit; `text` is undefined if the file goes. */
export interface Edited {
  readonly text: string | undefined
  readonly record: EditRecord | undefined
}

const formats: Readonly<Record<ConfigFile["format"], TextFormat>> = {
  json: jsonFormat,
  toml: tomlFormat,
  yaml: yamlFormat,
}

const byteOrderMark = "\uFEFF"

/**
 * Adds the entries of a file. Entries of an earlier install that differ are replaced.
 * @param text - the file's text; undefined if there is no file
 * @param record - the earlier install's, if known
 * @returns undefined if all entries are there
 * @throws {Error} if the file cannot be parsed, or something else is where an entry belongs
 */
export function addEntries(
  harness: Harness,
  file: ConfigFile,
  text: string | undefined,
  record: EditRecord | undefined,
): Edited | undefined {
  const format = formats[file.format]
  const { additions } = file
  const [mark, body] = splitMark(text ?? "")
  const value = format.parse(body)
  const earlier = earlierOf(harness, file, record)
  const own = ownPaths(value, earlier)
  const isCurrent = own.every((path) =>
    additions.some((one) => isEqual(one.value, valueAt(value, path)) && isPlaceOf(one, path)),
  )
  if (text !== undefined && isCurrent && isEqual(withAdditions(value, additions), value)) return undefined
  const base = own.length === 0 ? body : stripped(format, body, earlier, record)
  const before = format.parse(base) ?? {}
  const desired = withAdditions(before, additions)
  const splices = format.insert(base, desired)
  const after = applySplices(base, splices)
  if (!isEqual(format.parse(after), desired)) throw new Error("has a form that cannot be added to")
  return {
    text: mark + after,
    record: {
      isCreated: text === undefined || record?.isCreated === true,
      sha256: digest(mark + after),
      inserted: shifted(afterInsertion(splices), mark.length),
      added: additions.filter(({ kind, path }) => kind === "item" || valueAt(before, path) === undefined),
      containers: containersOf(additions).filter((path) => valueAt(before, path) === undefined),
    },
  }
}

/**
 * Removes the entries that install added, and puts back the bytes of the file before if nothing else was changed.
 * @returns undefined if none is there
 * @throws {Error} as {@link addEntries}
 */
export function removeEntries(
  harness: Harness,
  file: ConfigFile,
  text: string,
  record: EditRecord | undefined,
): Edited | undefined {
  const format = formats[file.format]
  const gone = { text: undefined, record: undefined }
  const [mark, body] = splitMark(text)
  const isUntouched = record?.sha256 === digest(text)
  if (isUntouched && record.isCreated) return gone
  const earlier = earlierOf(harness, file, record)
  if (!isUntouched && ownPaths(format.parse(body), earlier).length === 0) return undefined
  const left = stripped(format, body, earlier, record)
  if (record?.isCreated === true && isOnlyFrame(format, left, file)) return gone
  return { text: mark + left, record: undefined }
}

function earlierOf(harness: Harness, file: ConfigFile, record: EditRecord | undefined): Earlier {
  const places = [...file.additions, ...(file.otherPlaces ?? [])]
  // In a file that install created, entries of others that came later need the frame.
  const added = record?.added.map((one) => ({ ...one, isFrame: one.isFrame === true && record.isCreated }))
  return { harness, added, places }
}

/** Reports whether a file that install created holds nothing that others need. */
function isOnlyFrame(format: TextFormat, text: string, { additions }: ConfigFile): boolean {
  const frame = additions.filter(({ isFrame }) => isFrame === true).map(({ path }) => path)
  return format.isBlank(frame.reduce((rest, path) => format.remove(rest, [path]), text))
}

/** Returns the text without our entries: if possible by deleting what was inserted, byte for byte. */
function stripped(
  format: TextFormat,
  text: string,
  earlier: Earlier,
  record: EditRecord | undefined,
): string {
  const marked = [text, byteOrderMark + text].find((one) => digest(one) === record?.sha256)
  if (record !== undefined && marked !== undefined) {
    return withoutSplices(text, shifted(record.inserted, text.length - marked.length))
  }
  const value = format.parse(text) ?? {}
  const own = ownPaths(value, earlier)
  const places = [...(earlier.added ?? []), ...earlier.places]
  const wanted = pruned(withoutPaths(value, own), places)
  const isRight = (candidate: string) => {
    try {
      return isEqual(pruned(format.parse(candidate) ?? {}, places), wanted)
    } catch {
      return false
    }
  }
  const deleted = [...withoutInserted(text, record?.inserted ?? [])].find(isRight)
  if (deleted !== undefined) return deleted
  const left = format.remove(text, own)
  if (!isRight(left)) throw new Error("has a form that cannot be removed from")
  // A table of TOML is there only while it has something, or a header that is the user's.
  const bare =
    format === tomlFormat ? left : withoutContainers(format, left, containersOf(places), record?.containers)
  return isRight(bare) ? bare : left
}

/** Removes empty containers, of those that install created. @param created - undefined without a record */
function withoutContainers(
  format: TextFormat,
  text: string,
  containers: readonly (readonly string[])[],
  created: EditRecord["containers"] | undefined,
): string {
  const meant = containers.filter((path) => created?.some((one) => isDeepStrictEqual(one, path)) ?? true)
  return meant
    .toReversed()
    .reduce(
      (left, path) =>
        isEmptyContainer(valueAt(format.parse(left), path)) ? format.remove(left, [path]) : left,
      text,
    )
}

/** Yields the text without the inserted texts where each is found once, also with a line break in place of each. */
function* withoutInserted(text: string, inserted: readonly Splice[]): Generator<string> {
  for (const kept of ["", lineEndOf(text)]) {
    let left: string | undefined = text
    for (const splice of inserted.toReversed()) {
      const at: number = left.lastIndexOf(splice.text)
      if (at < 0 || left.indexOf(splice.text) !== at) return
      left = left.slice(0, at) + kept + left.slice(at + splice.text.length)
    }
    yield left
  }
}

/** Deletes inserted texts. @param inserted - with offsets in this text */
function withoutSplices(text: string, inserted: readonly Splice[]): string {
  return inserted.reduceRight(
    (rest, splice) => rest.slice(0, splice.at) + rest.slice(splice.at + splice.text.length),
    text,
  )
}

function shifted(splices: readonly Splice[], by: number): Splice[] {
  return splices.map(({ at, text }) => ({ at: at + by, text }))
}

/** Returns the insertions with their offsets in the text after all of them. */
function afterInsertion(splices: readonly Splice[]): Splice[] {
  let added = 0
  return splices.map(({ at, text }) => {
    const splice = { at: at + added, text }
    added += text.length
    return splice
  })
}

/** Returns the value without the places that are empty lists or objects. */
function pruned(value: unknown, places: readonly Place[]): unknown {
  return containersOf(places)
    .toReversed()
    .reduce((left, path) => {
      return isEmptyContainer(valueAt(left, path)) ? withoutPaths(left, [path]) : left
    }, value)
}

type Place = Pick<Addition, "kind" | "path">

/** Returns the containers of entries, outer ones first. */
function containersOf(places: readonly Place[]): (readonly string[])[] {
  const containers = new Map<string, readonly string[]>()
  for (const { kind, path } of places) {
    for (let length = 1; length <= path.length - (kind === "item" ? 0 : 1); length++) {
      const container = path.slice(0, length)
      containers.set(JSON.stringify(container), container)
    }
  }
  return [...containers.values()].sort((a, b) => a.length - b.length)
}

function isEmptyContainer(value: unknown): boolean {
  if (value === null) return true
  return Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0
}

function isPlaceOf({ kind, path }: Addition, found: Path): boolean {
  return isDeepStrictEqual(kind === "item" ? found.slice(0, -1) : found, path)
}

/** Compares values of documents, whatever classes a parser makes. */
function isEqual(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(plain(a), plain(b))
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (value instanceof Date) return `date ${value.getTime()}`
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]))
}

/** Splits off a byte order mark. */
function splitMark(text: string): readonly [mark: string, body: string] {
  return text.startsWith(byteOrderMark) ? [byteOrderMark, text.slice(1)] : ["", text]
}

/** Returns the SHA-256 of a text, in hex. */
export function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex")
}
