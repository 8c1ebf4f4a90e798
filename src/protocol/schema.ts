import { isPlain } from "../base/plain.js"

/**
 * Schemas of messages: each is a check at run time and a type at compile time. They are small and load no package, so
 * that a command that sends one message can check the relay's answer.
 */
export interface Schema<Output, Input = Output> {
  /** The JSON type of the value. */
  readonly kind: "string" | "number" | "boolean" | "array" | "object" | "any"
  readonly isOptional: boolean
  /** Returns the value without members the schema does not name, or the first fault. Never throws. */
  read(value: unknown): Output | Fault
  /**
   * Returns the schema as JSON Schema 2020-12. Every value that {@link read} accepts passes it; it may accept more, where
   * JSON Schema has no words for a rule.
   */
  json(): JsonSchema
  /** Carries the types; never set. `Input` has plain strings where `Output` has checked names. */
  readonly types?: { readonly output: Output; readonly input: Input }
}

/** A JSON Schema of the draft 2020-12. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** A schema whose value may be absent. */
export interface OptionalSchema<Output, Input = Output>
  extends Schema<Output | undefined, Input | undefined> {
  readonly isOptional: true
}

/** The schemas of an object's members by name. */
export type Fields = Readonly<Record<string, Schema<unknown>>>

type Output<S> = S extends { readonly types?: { readonly output: infer T } } ? T : never
type Input<S> = S extends { readonly types?: { readonly input: infer T } } ? T : never
type OptionalKeys<F extends Fields> = {
  [K in keyof F]: F[K]["isOptional"] extends true ? K : never
}[keyof F]
type RequiredKeys<F extends Fields> = Exclude<keyof F, OptionalKeys<F>>

/** An object of {@link Fields} that has been read. Absent members are not there at all. */
export type OutputOf<F extends Fields> = {
  readonly [K in RequiredKeys<F>]: Output<F[K]>
} & { readonly [K in OptionalKeys<F>]?: Exclude<Output<F[K]>, undefined> }

/** An object of {@link Fields} as it is written, names not yet checked. */
export type InputOf<F extends Fields> = {
  readonly [K in RequiredKeys<F>]: Input<F[K]>
} & { readonly [K in OptionalKeys<F>]?: Exclude<Input<F[K]>, undefined> }

/** The first fault of a value. Never quotes the value, which may be hostile and long. */
export class Fault {
  /** The member at fault, such as `parts.1`; "" for the value itself. */
  readonly path: string
  readonly problem: string

  constructor(path: string, problem: string) {
    this.path = path
    this.problem = problem
  }

  /** The same fault as seen from the value that holds this one as member `name`. */
  in(name: string | number): Fault {
    return new Fault(this.path === "" ? `${name}` : `${name}.${this.path}`, this.problem)
  }
}

/** Parses JSON that fits a schema. @returns undefined for any other text */
export function parseAs<O, I>(schema: Schema<O, I>, text: string): O | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const read = schema.read(value)
  return read instanceof Fault ? undefined : read
}

type Rule = readonly [isMet: (value: never) => boolean, problem: string]

/**
 * A value that meets each rule, checked in order; a later rule may rely on the earlier ones.
 * @param words - the rules in the words of JSON Schema
 */
function ruled<O, I = O>(
  kind: Schema<O>["kind"],
  words: JsonSchema,
  ...rules: readonly Rule[]
): Schema<O, I> {
  const checks = rules.map(([isMet, problem]) => ({ isMet, fault: new Fault("", problem) }))
  return {
    kind,
    isOptional: false,
    json: () => ({ ...(kind === "any" ? {} : { type: kind }), ...words }),
    read(value) {
      for (const { isMet, fault } of checks) {
        if (!isMet(value as never)) return value === undefined ? missing : fault
      }
      return value as O
    },
  }
}

const missing = new Fault("", "is missing")

const isString: Rule = [(value: unknown) => typeof value === "string", "must be a string"]
const isNumber: Rule = [(value: unknown) => typeof value === "number", "must be a number"]
const isArray: Rule = [(value: unknown) => Array.isArray(value), "must be a list"]
const isObject: Rule = [isPlain, "must be an object"]

/** Any string. */
export const string = ruled<string>("string", {}, isString)

/** A string of `min` to `max` characters. */
export function text(max: number, min = 0): Schema<string> {
  const isShort: Rule = [(value: string) => value.length <= max, `must be at most ${max} characters`]
  const isLong: Rule = [(value: string) => value.length >= min, "must not be empty"]
  // JSON Schema counts a pair of surrogates as one character.
  return ruled("string", { minLength: min, maxLength: max }, isString, isShort, isLong)
}

/** A string that matches a pattern. @param rule - the pattern in words, such as `must be a did:key` */
export function matching<O extends string = string>(pattern: RegExp, rule: string): Schema<O, string> {
  const words = { pattern: pattern.source, description: rule }
  return ruled<O, string>("string", words, isString, [(value: string) => pattern.test(value), rule])
}

/** One of the given strings. */
export function oneOf<const T extends string>(values: readonly T[]): Schema<T> {
  const rule = `must be one of ${values.join(", ")}`
  return ruled("string", { enum: values }, [(value: T) => values.includes(value), rule])
}

/** One string or number. */
export function literal<const T extends string | number>(expected: T): Schema<T> {
  const kind = typeof expected === "string" ? "string" : "number"
  return ruled(kind, { const: expected }, [(value: unknown) => value === expected, `must be ${expected}`])
}

/** Any finite number of `min` to `max`. */
export function number(min = -Infinity, max = Infinity): Schema<number> {
  const words = bounds(min, max)
  return ruled("number", words, isNumber, [Number.isFinite, "must be a finite number"], ...within(min, max))
}

/** A whole number of `min` to `max`. */
export function whole(min = 0, max = Number.MAX_SAFE_INTEGER): Schema<number> {
  const words = { type: "integer", ...bounds(min, max) }
  const isWhole: Rule = [Number.isSafeInteger, "must be a whole number"]
  return ruled("number", words, isNumber, isWhole, ...within(min, max))
}

function bounds(min: number, max: number): JsonSchema {
  return {
    ...(Number.isFinite(min) ? { minimum: min } : {}),
    ...(Number.isFinite(max) ? { maximum: max } : {}),
  }
}

function within(min: number, max: number): Rule[] {
  return [
    [(value: number) => value >= min, min === 0 ? "must not be negative" : `must be at least ${min}`],
    [(value: number) => value <= max, `must be at most ${max}`],
  ]
}

/** `true` or `false`. */
export const boolean = ruled<boolean>("boolean", {}, [
  (value: unknown) => typeof value === "boolean",
  "must be true or false",
])

/** An object that is passed on as it is; its members are not checked. */
export function anyObject<O extends object = Readonly<Record<string, unknown>>>(): Schema<O> {
  return ruled<O>("object", {}, isObject)
}

const jsonObject = anyObject()

/** Any value that passes a test. It is passed on as it is. */
export function tested<O>(test: (value: unknown) => boolean, rule: string): Schema<O> {
  return ruled("any", { description: rule }, [test, rule])
}

/** A value of the same JSON type as another schema's; its content is not checked. */
export function looselyAs(schema: Schema<unknown>): Schema<unknown> {
  const loose = ruled(schema.kind, {}, [
    (value: unknown) => typeof value === schema.kind,
    `must be a ${schema.kind}`,
  ])
  return schema.isOptional ? optional(loose) : loose
}

/** Absent, or a value of a schema. `null` is not absent. */
export function optional<O, I>(schema: Schema<O, I>): OptionalSchema<O, I> {
  return {
    kind: schema.kind,
    isOptional: true,
    read: (value) => (value === undefined ? undefined : schema.read(value)),
    json: () => schema.json(),
  }
}

/** A value of the first schema that takes it. @param rule - what to say if none does */
export function either<A, B, AI, BI>(
  a: Schema<A, AI>,
  b: Schema<B, BI>,
  rule: string,
): Schema<A | B, AI | BI> {
  const fault = new Fault("", rule)
  return {
    kind: a.kind,
    isOptional: false,
    json: () => ({ anyOf: [a.json(), b.json()], description: rule }),
    read(value) {
      if (value === undefined) return missing
      const first = a.read(value)
      if (!(first instanceof Fault)) return first
      const second = b.read(value)
      return second instanceof Fault ? fault : second
    },
  }
}

/** A list of at most `max` members. */
export function list<O, I>(member: Schema<O, I>, max = Infinity): Schema<readonly O[], readonly I[]> {
  const isShort: Rule = [(value: unknown[]) => value.length <= max, `must have at most ${max} members`]
  const whole = ruled<readonly unknown[]>("array", {}, isArray, isShort)
  return {
    kind: "array",
    isOptional: false,
    json: () => ({
      type: "array",
      items: member.json(),
      ...(Number.isFinite(max) ? { maxItems: max } : {}),
    }),
    read(value) {
      const members = whole.read(value)
      if (members instanceof Fault) return members
      const output: O[] = []
      for (const each of members) {
        const read = member.read(each)
        if (read instanceof Fault) return read.in(output.length)
        output.push(read)
      }
      return output
    },
  }
}

/** An object with any members, whose keys and values are of a schema. */
export function record<K extends string, O>(
  key: Schema<K, string>,
  value: Schema<O>,
): Schema<Readonly<Record<K, O>>, Readonly<Record<string, O>>> {
  return {
    kind: "object",
    isOptional: false,
    json: () => ({ type: "object", propertyNames: key.json(), additionalProperties: value.json() }),
    read(object) {
      const members = jsonObject.read(object)
      if (members instanceof Fault) return members
      // The fault does not name the key, which may be long.
      for (const [name, member] of Object.entries(members)) {
        const found = key.read(name)
        if (found instanceof Fault) return found
        const read = value.read(member)
        if (read instanceof Fault) return new Fault("", read.problem)
      }
      return members as Readonly<Record<K, O>>
    },
  }
}

/** An object of which only the members of `fields` are passed on. */
export function object<F extends Fields>(fields: F): Schema<OutputOf<F>, InputOf<F>> {
  const entries = Object.entries(fields).map(([name, schema]) => ({ name, schema }))
  const required = entries.flatMap(({ name, schema }) => (schema.isOptional ? [] : [name]))
  return {
    kind: "object",
    isOptional: false,
    json: () => ({
      type: "object",
      properties: Object.fromEntries(entries.map(({ name, schema }) => [name, schema.json()])),
      ...(required.length > 0 ? { required } : {}),
    }),
    read(value) {
      const members = jsonObject.read(value)
      if (members instanceof Fault) return members
      const output: Record<string, unknown> = {}
      for (const { name, schema } of entries) {
        const member = members[name]
        if (member === undefined && schema.isOptional) continue
        const read = schema.read(member)
        if (read instanceof Fault) return read.in(name)
        output[name] = read
      }
      return output as OutputOf<F>
    },
  }
}

/** An object with no members but those of `fields`. */
export function strictObject<F extends Fields>(fields: F): Schema<OutputOf<F>, InputOf<F>> {
  const known = object(fields)
  return {
    ...known,
    json: () => ({ ...known.json(), additionalProperties: false }),
    read(value) {
      const output = known.read(value)
      if (output instanceof Fault) return output
      const unknown = Object.keys(value as object).find((name) => !Object.hasOwn(fields, name))
      return unknown === undefined ? output : new Fault(unknown, "unknown field")
    },
  }
}

/** An object with at least the members of `fields`; others are passed on unchecked. */
export function openObject<F extends Fields>(fields: F): Schema<InputOf<F>> {
  const known = object(fields)
  return {
    kind: "object",
    isOptional: false,
    json: () => known.json(),
    read(value) {
      const output = known.read(value)
      return output instanceof Fault ? output : (value as InputOf<F>)
    },
  }
}
