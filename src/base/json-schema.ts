import { Validator } from "@cfworker/json-schema"

/**
 * Checks a value against a JSON Schema of the draft 2020-12.
 * @param schema - without `$ref` and patterns, see `protocol/questions.ts`: it may come from a stranger
 * @returns the place of the first fault and the problem, such as `/port: Instance type "string" is invalid.`; undefined if there is none
 */
export function schemaFault(value: unknown, schema: object): string | undefined {
  const { valid, errors } = new Validator(schema, "2020-12").validate(value)
  if (valid) return undefined
  const { instanceLocation = "#", error = "is not valid" } = errors.at(-1) ?? {}
  return `${instanceLocation.slice(1) || "the answer"}: ${error}`
}
