import { canonicalize } from "../../src/identity/canonical-json.js"
import { one } from "./receipt-vector-deals.js"
import { lineOf } from "./receipt-vectors.js"

/** A whole file, and the verdict on each line or element that is a receipt or cannot be used. */
export interface FileVector {
  readonly why: string
  /** Its bytes in pieces: each in base64, and how often it is repeated. */
  readonly pieces: readonly (readonly [base64: string, times: number])[]
  readonly verdicts: readonly string[]
}

const line = lineOf(one)
const ok = "valid"
const mebibyte = 1024 * 1024

type Content = string | Uint8Array | readonly (readonly [text: string, times: number])[]

function file(why: string, content: Content, ...verdicts: readonly string[]): FileVector {
  const isWhole = typeof content === "string" || content instanceof Uint8Array
  const pieces = isWhole ? [[content, 1] as const] : content
  const encoded = pieces.map(([piece, times]) => {
    return [Buffer.from(piece as string).toString("base64"), times] as const
  })
  return { why, pieces: encoded, verdicts }
}

/** A receipt padded to a length. */
function padded(length: number): readonly (readonly [string, number])[] {
  return [
    [line, 1],
    [" ", length - line.length],
  ]
}

/** Wraps a receipt in nesting that is `depth` deep altogether. */
function nested(depth: number, inner = ""): string {
  const list = "[".repeat(depth - 1) + inner + "]".repeat(depth - 1)
  return `{"type":"NOTE","deep":${list}}`
}

function spelled(of: string, to: string): string {
  const text = line.replace(of, to)
  if (text === line) throw new Error(`${of} does not occur`)
  return text
}

/** The files of test/vectors/receipt-files.json: every rule of `verifiers/RULES.md` about files and spelling. */
export const fileVectors: readonly FileVector[] = [
  file("an empty file", ""),
  file("white space of JSON only", " \t\r\n\n"),
  file("lines end at LF, and CR is white space", `${line}\r\n\r\n${line}`, `1 ${ok}`, `3 ${ok}`),
  file("a CR alone ends no line", `${line}\r${line}`, "1 invalid"),
  file("U+00A0 is no white space around a line", `\u00a0${line}`, "1 undecided"),
  file("nor after it", `${line}\u00a0`, "1 invalid"),
  file("the answer of a person is skipped", `{"type":"DECISION","v":1}\n${line}`, `2 ${ok}`),
  file("but not of another version", `{"type":"DECISION","v":2}\n${line}`, "1 undecided", `2 ${ok}`),
  file("also in a document", `[{"type":"DECISION","v":1},${line}]`, `2 ${ok}`),
  file("nor is a line of it blank", `${line}\n\u00a0\n`, `1 ${ok}`, "2 undecided"),
  file("nor U+000B, U+000C, U+0085 and U+2028", `\v\n\f\n\u0085\n\u2028`, ...numbered(4, "undecided")),
  file("a byte order mark before a line", `\ufeff${line}`, "1 invalid"),
  file("a byte order mark alone", "\ufeff", "1 undecided"),
  file("a byte order mark before a later line", `${line}\n\ufeff ${line}`, `1 ${ok}`, "2 invalid"),
  file("a byte order mark before a list", `\ufeff[${line}]`, "1 undecided"),
  file("a list on one line", `[${line},${line}]`, `1 ${ok}`, `2 ${ok}`),
  file("a list over lines, after white space", ` \n\t[\n${line}\n,${line}\n]\n`, `1 ${ok}`, `2 ${ok}`),
  file("a list after U+00A0 is no document", `\u00a0\n[${line}]`, "1 undecided", "2 undecided"),
  file("a list that is not closed", `[${line}\n${line}\n`, "1 undecided"),
  file("a list and more", `[${line}]x`, "1 undecided"),
  file("a list in a list", `[[${line}]]`, "1 undecided"),
  file("an empty list", "[]"),
  file("a list on a later line is no document", `${line}\n[${line}]`, `1 ${ok}`, "2 undecided"),
  file("a receipt over several lines", line.replace("{", "{\n"), `1 ${ok}`),
  file("a receipt over several lines, with CR and a blank", line.replace("{", "{ \t\r\n"), `1 ${ok}`),
  file("a brace alone", "{", "1 undecided"),
  file("a brace and U+00A0", "{\u00a0\n", "1 invalid"),
  file("a brace and more on its line", '{ "a":\n1}', "1 invalid", "2 undecided"),
  file("a document with a number that is not spelled as whole", `[${line},1.0]`, "1 undecided"),
  file("a document that is not UTF-8", Buffer.from(`[${line},"\u00ff"]`, "latin1"), "1 undecided"),
  file("1.0 for 1", spelled('"v":1', '"v":1.0'), "1 invalid"),
  file("1e0 for 1", spelled('"v":1', '"v":1e0'), "1 invalid"),
  file("true for 1", line.replace(/"v":1\}$/, '"v":true}'), "1 undecided"),
  file("true for 1 in a statement", spelled('"v":1', '"v":true'), "1 invalid"),
  file("-0", spelled('"expires":300', '"expires":-0'), "1 invalid"),
  file("2^53", '{"type":"NOTE","n":9007199254740992}', "1 invalid"),
  file("2^53 - 1", '{"type":"NOTE","n":9007199254740991}', "1 undecided"),
  file("digits of another script", '{"type":"NOTE","n":1\u0661}', "1 invalid"),
  file("names of digits", '{"type":"NOTE","2":1,"10":1}', "1 invalid"),
  file("names of digits, out of order", '{"type":"NOTE","10":1,"2":1}', "1 invalid"),
  file("the name __proto__", '{"type":"NOTE","__proto__":1}', "1 undecided"),
  file("a name twice, once escaped", '{"type":"NOTE","\\u0074ype":"NOTE"}', "1 invalid"),
  file("an escape in lower case", spelled("hello", "hell\\u006f"), `1 ${ok}`),
  file("an escape in upper case", spelled("hello", "hell\\u006F"), "1 invalid"),
  file("nesting of 16", nested(16), "1 undecided"),
  file("nesting of 16 around a value", nested(16, "1"), "1 undecided"),
  file("nesting of 17", nested(17), "1 invalid"),
  file("nesting of 17 around an object", nested(17, "{}"), "1 invalid"),
  file(
    "payloadType without signatures is no envelope",
    spelled('"v":1}', '"v":1,"payloadType":1}'),
    "1 invalid",
  ),
  file("a line of 1 MiB", padded(mebibyte), `1 ${ok}`),
  file("a line of 1 MiB and a byte", padded(mebibyte + 1), "1 invalid"),
  file("blanks of more than 1 MiB", [[" ", mebibyte + 1]], "1 invalid"),
  file("a list of more than 1 MiB", [["[", 1], ...padded(mebibyte), [`,${line}]`, 1]], `1 ${ok}`, `2 ${ok}`),
  file("another version that cannot be used", canonicalize({ type: "RECEIPT", v: 2 }), "1 undecided"),
]

function numbered(count: number, verdict: string): string[] {
  return Array.from({ length: count }, (_, index) => `${index + 1} ${verdict}`)
}
