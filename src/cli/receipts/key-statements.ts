/** Reads signed statements about the end of keys: rotations and revocations. */
import { existsSync } from "node:fs"
import { parsePlainJson } from "../../base/strict-json.js"
import { inspectIdentity } from "../../identity/identity-file.js"
import { type KeyStatement, verifyKeyStatement } from "../../identity/succession.js"
import type { Receipt } from "../../proposals/receipt.js"
import { ChatError } from "../../protocol/errors.js"
import {
  Fault,
  list,
  literal,
  object,
  oneOf,
  openObject,
  optional,
  type Schema,
  strictObject,
  string,
  tested,
  text,
  whole,
} from "../../protocol/schema.js"
import { readSmallText } from "../input/text-source.js"

const shortText = text(1_024)
const rotation = strictObject({
  v: literal(1),
  type: literal("ROTATION"),
  from: shortText,
  to: shortText,
  ts: whole(),
  sigs: tested<readonly [string, string]>(isSignaturePair, "must be two signatures"),
})
const revocation = strictObject({
  v: literal(1),
  type: literal("REVOCATION"),
  from: shortText,
  ts: whole(),
  sig: shortText,
  reason: optional(string),
})
const keyStatement = openObject({ type: oneOf(["ROTATION", "REVOCATION"]) })
const keyStatements = list(keyStatement)
/** The members of a public identity that concern keys. */
const publicIdentity = object({
  did: string,
  rotations: keyStatements,
  revocation: optional(keyStatement),
})

function isSignaturePair(value: unknown): boolean {
  const sigs = list(shortText, 2).read(value)
  return !(sigs instanceof Fault) && sigs.length === 2
}

/**
 * Reads a rotation or revocation and verifies its signatures.
 * @throws {ChatError} VERIFICATION_FAILED
 */
export function readKeyStatement(value: object): KeyStatement {
  const schema: Schema<KeyStatement> = "type" in value && value.type === "ROTATION" ? rotation : revocation
  const statement = schema.read(value)
  if (statement instanceof Fault) {
    throw new ChatError("VERIFICATION_FAILED", "key statement: is not a ROTATION or REVOCATION")
  }
  verifyKeyStatement(statement)
  return statement
}

/** Statements about keys, by key. */
export class KeyRing {
  readonly #byKey = new Map<string, KeyStatement[]>()

  add(statement: KeyStatement): void {
    const known = this.#byKey.get(statement.from)
    if (known === undefined) this.#byKey.set(statement.from, [statement])
    else known.push(statement)
  }

  get size(): number {
    return this.#byKey.size
  }

  values(): readonly KeyStatement[] {
    return [...this.#byKey.values()].flat()
  }

  /** Returns the statements about the keys of the two parties of a receipt. */
  of({ proposal: { from, to } }: Receipt): readonly KeyStatement[] {
    return [...(this.#byKey.get(from) ?? []), ...(this.#byKey.get(to) ?? [])]
  }
}

/**
 * Adds the statements in an identity file about its own keys. Does nothing if the file does not exist.
 * @throws {ChatError} BAD_IDENTITY; VERIFICATION_FAILED
 */
export function addIdentityKeys(ring: KeyRing, path: string): void {
  if (!existsSync(path)) return
  const { rotations, revocation } = inspectIdentity(path)
  const statements = [...rotations, ...(revocation === undefined ? [] : [revocation])]
  for (const statement of statements.map(readKeyStatement)) ring.add(statement)
}

const maxBytes = 64 * 1024 * 1024

/**
 * Adds the statements in the file of `--keys`: an exported identity, or rotations and revocations, one per line.
 * @throws {ChatError} NOT_FOUND; USAGE, naming the line that is neither
 */
export function addKeysFile(ring: KeyRing, path: string): void {
  const content = readKeysText(path)
  const document = attemptJson(content)
  if (document !== undefined) {
    addKeys(ring, document, `--keys: ${path}`)
    return
  }
  for (const [index, line] of content.split("\n").entries()) {
    if (isBlank(line)) continue
    addKeys(ring, attemptJson(line), `--keys: ${path}:${index + 1}`)
  }
}

function addKeys(ring: KeyRing, value: unknown, place: string): void {
  const statements = statementsIn(value)
  if (statements === undefined) {
    throw new ChatError("USAGE", `${place}: is not a statement about a key`, {
      hint: "use the output of `agentchat identity --export`, or lines of type ROTATION or REVOCATION",
    })
  }
  for (const statement of statements) {
    try {
      ring.add(readKeyStatement(statement))
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      throw new ChatError("USAGE", `${place}: ${error.message}`, { cause: error })
    }
  }
}

function statementsIn(value: unknown): readonly object[] | undefined {
  const type = typeof value === "object" && value !== null && "type" in value ? value.type : undefined
  if (type === "ROTATION" || type === "REVOCATION") return [value as object]
  const many = keyStatements.read(value)
  if (!(many instanceof Fault)) return many
  const identity = publicIdentity.read(value)
  if (identity instanceof Fault) return undefined
  const { rotations, revocation: end } = identity
  return end === undefined ? rotations : [...rotations, end]
}

/** Reports whether a line has only white space of JSON, and so nothing. */
export function isBlank(line: string): boolean {
  return /^[ \t\r]*$/.test(line)
}

function attemptJson(text: string): unknown {
  try {
    return parsePlainJson(text)
  } catch {
    return undefined
  }
}

/** Turns FILE_FAILED into NOT_FOUND, because its exit status 1 would mean an invalid receipt. */
export function asNotFound(error: unknown): unknown {
  if (!(error instanceof ChatError) || error.code !== "FILE_FAILED") return error
  return new ChatError("NOT_FOUND", error.message, { cause: error })
}

function readKeysText(path: string): string {
  try {
    return readSmallText(path, "--keys", { maxBytes })
  } catch (error) {
    throw asNotFound(error)
  }
}
