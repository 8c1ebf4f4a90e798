/**
 * Splits a line into words as a shell would, without running anything. `'…'` is literal; in `"…"` and outside quotes,
 * `$NAME` and `${NAME}` are replaced. A backslash outside `'…'` takes the next character as it is; in `$'…'` it starts
 * an escape (`\n`, `\t`, `\e`, `\u{…}`).
 * @throws Error for a quote that does not end, or a variable that is not set
 */
export function splitWords(line: string, variables: ReadonlyMap<string, string>): string[] {
  const words: string[] = []
  let word: string | undefined
  for (let rest = line; rest !== ""; ) {
    const piece = pieces.find(({ pattern }) => pattern.test(rest))
    const match = piece?.pattern.exec(rest)
    if (piece === undefined || match === null || match === undefined) throw new Error(`cannot read: ${rest}`)
    rest = rest.slice(match[0].length)
    const text = piece.read(match[1] ?? "", variables)
    if (text === undefined) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else word = (word ?? "") + text
  }
  return word === undefined ? words : [...words, word]
}

interface Piece {
  readonly pattern: RegExp
  /** @returns undefined for the space between two words */
  read(text: string, variables: ReadonlyMap<string, string>): string | undefined
}

const pieces: readonly Piece[] = [
  { pattern: /^(\s+)/, read: () => undefined },
  { pattern: /^\$'((?:[^'\\]|\\.)*)'/s, read: unescape },
  { pattern: /^'([^']*)'/, read: (text) => text },
  { pattern: /^"((?:[^"\\]|\\.)*)"/s, read: expand },
  { pattern: /^((?:[^\s'"\\]|\\.)+)/s, read: expand },
]

function expand(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replace(
    /\\(.)|\$(?:(\w+)|\{(\w+)\})/gs,
    (_, escaped?: string, bare?: string, braced?: string) => {
      if (escaped !== undefined) return escaped
      const name = bare ?? braced ?? ""
      const value = variables.get(name)
      if (value === undefined) throw new Error(`$${name} is not set`)
      return value
    },
  )
}

const escapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", e: "\u001b", "0": "\0" }

function unescape(text: string): string {
  return text.replace(/\\u\{([0-9a-f]+)\}|\\(.)/gs, (_, code?: string, char = "") =>
    code === undefined
      ? (escapes[char as string] ?? (char as string))
      : String.fromCodePoint(Number.parseInt(code, 16)),
  )
}
