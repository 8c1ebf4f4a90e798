import { dirname, join } from "node:path"
import { listIfExists, readIfExists, writeFileAtomic } from "../../base/files.js"
import { isPlain } from "../../base/plain.js"
import { ChatError } from "../../protocol/errors.js"
import { parseNick } from "../../protocol/names.js"
import { asFileProblem } from "../files/file-problems.js"
import { ensureDirectory } from "../files/home.js"
import type { DaemonPaths } from "../files/paths.js"

const suffix = ".json"
/** Room for the groups of lines that a reader may have taken from between unread ones. */
const maxCursorBytes = 128 * 1024

/** Lines from the first number to the second, both included. */
type Range = readonly [first: number, last: number]

/** The ways in which lines get into the context of a model. */
const contextDoors = ["hook", "wait", "mcp"] as const
/** One of {@link contextDoors}. */
export type ContextDoor = (typeof contextDoors)[number]
/** Groups of lines that are kept for each door, the newest: older ones were reported. */
const maxContextGroups = 64

/** The lines that a reader has: all up to `seq`, and those in `also`, which are in order and apart from each other. */
export interface ReaderPosition {
  readonly seq: number
  readonly also: readonly Range[]
  /** The lines among them that were put into the context of a model. */
  readonly context?: Readonly<Partial<Record<ContextDoor, readonly Range[]>>>
}

const beginning: ReaderPosition = { seq: 0, also: [] }

/** Returns what put a line into the context of a model; undefined if nothing is known to have. */
export function contextDoorOf({ context = {} }: ReaderPosition, line: number): ContextDoor | undefined {
  return contextDoors.find((door) => isIn(context[door] ?? [], line))
}

function isIn(ranges: readonly Range[], line: number): boolean {
  return ranges.some(([first, last]) => first <= line && line <= last)
}

/** Reports whether the reader at a position has a line. */
export function hasLine({ seq, also }: ReaderPosition, line: number): boolean {
  return line <= seq || isIn(also, line)
}

/** The position of one named reader of an inbox. Every reader has its own. */
export class ReaderCursor {
  readonly path: string
  #position: ReaderPosition

  private constructor(path: string, position: ReaderPosition) {
    this.path = path
    this.#position = position
  }

  /**
   * @param reader - name chosen by the reader, in the form of a nick
   * @throws {ChatError} INVALID_NAME for any other name; FILE_FAILED for a file that is not a cursor
   */
  static open(paths: Pick<DaemonPaths, "cursors">, reader: string): ReaderCursor {
    const path = join(paths.cursors, `${parseNick(reader)}${suffix}`)
    return new ReaderCursor(path, readCursor(path))
  }

  /** `seq` of the last line up to which this reader has all lines; 0 before the first. */
  get seq(): number {
    return this.#position.seq
  }

  /** Number of groups of lines that this reader took although lines before them are unread. */
  get groupsApart(): number {
    return this.#position.also.length
  }

  /** Reports whether this reader has a line. */
  has(line: number): boolean {
    return hasLine(this.#position, line)
  }

  /**
   * Records that the consumer has every line up to `seq`. Call it only once that is certain: lines printed into a pipe
   * that nobody read must come again. Never goes back, even if two processes read under one name.
   * @throws {ChatError} FILE_FAILED when the file cannot be written
   */
  confirm(seq: number): void {
    this.#add([[1, seq]])
  }

  /**
   * Records that the consumer has these lines, as {@link confirm} does; the lines between them stay unread.
   * @param lines - numbers in rising order
   * @param door - given if the consumer is the context of a model: the senders learn that their messages are in it
   */
  take(lines: readonly number[], door?: ContextDoor): void {
    this.#add(
      lines.map((line) => [line, line]),
      door,
    )
  }

  #add(ranges: readonly Range[], door?: ContextDoor): void {
    const stored = readCursor(this.path)
    const context = door === undefined ? {} : { [door]: ranges }
    const position = unite([stored, this.#position, { seq: 0, also: ranges, context }])
    this.#position = position
    const content = format(position)
    if (content === format(stored)) return
    try {
      ensureDirectory(dirname(this.path))
      writeFileAtomic(this.path, content)
    } catch (error) {
      throw asFileProblem(error, this.path)
    }
  }
}

/** Returns the position that has the lines of all. */
function unite(positions: readonly ReaderPosition[]): ReaderPosition {
  const [first, ...also] = uniteRanges(positions.flatMap(({ seq, also }): Range[] => [[0, seq], ...also]))
  const contexts = contextDoors.flatMap((door) => {
    const ranges = uniteRanges(positions.flatMap(({ context }) => context?.[door] ?? []))
    return ranges.length === 0 ? [] : [[door, ranges.slice(-maxContextGroups)] as const]
  })
  const context = contexts.length === 0 ? {} : { context: Object.fromEntries(contexts) }
  return { seq: first?.[1] ?? 0, also, ...context }
}

/** Joins groups that touch. */
function uniteRanges(ranges: readonly Range[]): Range[] {
  const united: [number, number][] = []
  for (const [first, last] of [...ranges].sort(([a], [b]) => a - b)) {
    const before = united.at(-1)
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last)
    else united.push([first, last])
  }
  return united
}

function format({ seq, also, context }: ReaderPosition): string {
  return `${JSON.stringify({ v: 1, seq, ...(also.length > 0 && { also }), ...(context && { context }) })}\n`
}

/**
 * Returns the number of the furthest line that any reader has; 0 if there is none. An inbox whose files were all deleted
 * continues after it, so that no reader mistakes new lines for old ones.
 */
export function furthestCursor(dir: string): number {
  const positions = [...listCursors(dir).values()]
  return Math.max(0, ...positions.map(({ seq, also }) => also.at(-1)?.[1] ?? seq))
}

/** Returns the position of each reader by file name; a damaged cursor counts as one at the beginning. */
export function listCursors(dir: string): Map<string, ReaderPosition> {
  const names = listIfExists(dir).filter((name) => name.endsWith(suffix))
  return new Map(names.map((name) => [name, positionAt(join(dir, name))]))
}

/** Anybody may delete a cursor at any time, to forget its reader. */
function positionAt(path: string): ReaderPosition {
  return parse(readIfExists(path, maxCursorBytes)) ?? beginning
}

function readCursor(path: string): ReaderPosition {
  let text: string | undefined
  try {
    text = readIfExists(path, maxCursorBytes)
  } catch (error) {
    throw asFileProblem(error, path)
  }
  const position = text === undefined ? beginning : parse(text)
  if (position !== undefined) return position
  throw new ChatError("FILE_FAILED", `${path}: not a reader's cursor`, {
    hint: "delete the file to read from the beginning",
  })
}

function parse(text = ""): ReaderPosition | undefined {
  try {
    const { seq, also = [], context } = JSON.parse(text) as Readonly<Record<string, unknown>>
    if (!isLineNumber(seq) || !isRanges(also)) return undefined
    return unite([{ seq, also, context: parseContext(context) }])
  } catch {
    return undefined
  }
}

/** Leaves out what is damaged: it only says what was reported. */
function parseContext(value: unknown): NonNullable<ReaderPosition["context"]> {
  const context = isPlain(value) ? value : {}
  return Object.fromEntries(
    contextDoors.flatMap((door) => (isRanges(context[door]) ? [[door, context[door]]] : [])),
  )
}

function isRanges(value: unknown): value is readonly Range[] {
  return Array.isArray(value) && value.every(isRange)
}

function isRange(value: unknown): value is Range {
  if (!Array.isArray(value) || value.length !== 2 || !value.every(isLineNumber)) return false
  const [first = 0, last = 0] = value
  return first <= last
}

function isLineNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
