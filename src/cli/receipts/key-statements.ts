/** What keys said of their own end, for whoever checks what they signed. */
import { existsSync, readFileSync } from "node:fs"
import * as v from "valibot"
import { parseStrictJson } from "../../base/strict-json.js"
import { inspectIdentity } from "../../identity/identity-file.js"
import type { Receipt } from "../../proposals/receipt.js"
import { type KeyStatement, verifyKeyStatement } from "../../proposals/verdict.js"
import { ChatError } from "../../protocol/errors.js"

const text = v.pipe(v.string(), v.maxLength(1_024))
const time = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const rotation = v.strictObject({
  v: v.literal(1),
  type: v.literal("ROTATION"),
  from: text,
  to: text,
  ts: time,
  sigs: v.strictTuple([text, text]),
})
const revocation = v.strictObject({
  v: v.literal(1),
  type: v.literal("REVOCATION"),
  from: text,
  ts: time,
  sig: text,
  reason: v.exactOptional(v.string()),
})
const keyStatement = v.looseObject({ type: v.picklist(["ROTATION", "REVOCATION"]) })
const keyStatements = v.array(keyStatement)
/** As far as it tells of keys. */
const publicIdentity = v.object({
  did: v.string(),
  rotations: keyStatements,
  revocation: v.optional(keyStatement),
})

/**
 * Reads a value as the last word of a key, and checks that the key itself said it.
 * @throws {ChatError} VERIFICATION_FAILED
 */
export function readKeyStatement(value: object): KeyStatement {
  const schema = "type" in value && value.type === "ROTATION" ? rotation : revocation
  // What every object inherits, such as "constructor", passes for a known member.
  const unknown = Object.keys(value).find((name) => !Object.hasOwn(schema.entries, name))
  const parsed = v.safeParse(schema, value, { abortEarly: true })
  if (!parsed.success || unknown !== undefined) {
    throw new ChatError(
      "VERIFICATION_FAILED",
      "key statement: is not of the form of a ROTATION or REVOCATION",
    )
  }
  verifyKeyStatement(parsed.output)
  return parsed.output
}

/** Statements about keys, found by the key they are about. */
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

  /** What is known about the keys of a receipt's two parties. */
  of({ proposal: { from, to } }: Receipt): readonly KeyStatement[] {
    return [...(this.#byKey.get(from) ?? []), ...(this.#byKey.get(to) ?? [])]
  }
}

/**
 * Reads what the identity in a file says of its own keys; nothing when there is no such file.
 * @throws {ChatError} BAD_IDENTITY; VERIFICATION_FAILED
 */
export function addIdentityKeys(ring: KeyRing, path: string): void {
  if (!existsSync(path)) return
  const { rotations, revocation } = inspectIdentity(path)
  const said = [...rotations, ...(revocation === undefined ? [] : [revocation])]
  for (const statement of said.map(readKeyStatement)) ring.add(statement)
}

const largestBytes = 64 * 1024 * 1024

/**
 * Reads `--keys FILE`: what `identity --export` prints, or rotations and revocations, one per line.
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
    if (line.trim() === "") continue
    addKeys(ring, attemptJson(line), `--keys: ${path}:${index + 1}`)
  }
}

function addKeys(ring: KeyRing, value: unknown, place: string): void {
  const statements = statementsIn(value)
  if (statements === undefined) {
    throw new ChatError("USAGE", `${place}: is no statement about a key`, {
      hint: "give what `agentchat identity --export` prints, or lines of type ROTATION or REVOCATION",
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
  const many = v.safeParse(keyStatements, value)
  if (many.success) return many.output
  const identity = v.safeParse(publicIdentity, value)
  if (!identity.success) return undefined
  const { rotations, revocation: end } = identity.output
  return end === undefined ? rotations : [...rotations, end]
}

function attemptJson(text: string): unknown {
  try {
    return parseStrictJson(text)
  } catch {
    return undefined
  }
}

function readKeysText(path: string): string {
  try {
    const bytes = readFileSync(path)
    if (bytes.length <= largestBytes) return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch (error) {
    if (error instanceof TypeError) throw new ChatError("USAGE", `--keys: ${path}: is not UTF-8 text`)
    const { code } = error as NodeJS.ErrnoException
    throw new ChatError("NOT_FOUND", `--keys: ${path}: cannot be read (${String(code)})`, { cause: error })
  }
  throw new ChatError("USAGE", `--keys: ${path}: has more than ${largestBytes} bytes`)
}
