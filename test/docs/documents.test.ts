import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { describe, expect, it } from "vitest"
import { parseCommandLine } from "../../src/cli/parser.js"

const root = join(import.meta.dirname, "../..")
const documents = [...markdownIn("."), ...markdownIn("doc")].filter((name) => name !== "CHANGELOG.md")
const scripts = Object.keys(
  (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: object }).scripts,
)

/** Values for the placeholders that documents use. */
const placeholders: readonly (readonly [RegExp, string])[] = [
  [/prop_…/g, "prop_0123456789abcdef"],
  [/\bHOST\b/g, "example.org"],
  [/…/g, "x"],
]

describe.each(documents)("%s", (name) => {
  const text = readFileSync(join(root, name), "utf8")

  it("names only commands and options that exist", async () => {
    const problems: string[] = []
    for (const line of commandsIn(text)) {
      const problem = await parseCommandLine(wordsOf(line), () => 80).then(
        () => undefined,
        (error: unknown) => String(error),
      )
      if (problem !== undefined) problems.push(`${line}: ${problem}`)
    }
    expect(problems).toEqual([])
  })

  it("has one command on each line of a shell block", () => {
    const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, body = ""]) => body.split("\n"))
    const several = blocks.filter((line) =>
      /\bagentchat\b[^#]*(?:(?<!\|)\|(?!\|)|;)\s*agentchat\b/.test(line),
    )
    expect(several).toEqual([])
  })

  it("names only files and functions that exist", () => {
    const named = [
      ...text.matchAll(/`((?:src|test|bench|scripts|bin|doc|verifiers)\/[\w./-]+\w)(?::(\w+))?`/g),
    ]
    const missing = named.filter(([, path = "", symbol]) => !holds(path, symbol)).map(([whole]) => whole)
    expect(missing).toEqual([])
  })

  it("links only to files and headings that exist", () => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)]
    const broken = links.filter(([, path = "", heading]) => {
      const file = path === "" ? name : join(dirname(name), path)
      if (!existsSync(join(root, file))) return true
      return heading !== undefined && !headingsOf(file).includes(heading)
    })
    expect(broken.map(([whole]) => whole)).toEqual([])
  })

  it("names only npm scripts that exist", () => {
    const named = [...text.matchAll(/\bnpm (?:run )?(start|test|[a-z]+(?::[a-z0-9]+)?)\b/g)].map(
      ([, script]) => script,
    )
    const own = new Set(["install", "ci", "pack", "version", "publish", "view", "login", "run", ...scripts])
    expect(named.filter((script) => script !== undefined && !own.has(script))).toEqual([])
  })
})

describe("SECURITY.md", () => {
  it("names for each threat a test that makes the attack, and a limit", () => {
    const text = readFileSync(join(root, "SECURITY.md"), "utf8")
    const rows = [...(text.split("## Threats")[1] ?? "").matchAll(/^\| (?!threat |-)(.+) \|$/gm)].map(
      ([, row = ""]) => row.split(" | "),
    )
    expect(rows.length).toBeGreaterThan(0)
    for (const [threat, holds, test = "", limit] of rows) {
      expect({ threat, holds, limit }).not.toContain(undefined)
      expect(test, threat).toMatch(/^`test\/[^`]+\.test\.ts`/)
    }
  })
})

function markdownIn(folder: string): string[] {
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(folder, name))
}

/** The calls of `agentchat` in the shell blocks of a document. */
function commandsIn(text: string): string[] {
  const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, body = ""]) => body)
  const lines = blocks.flatMap((body) => body.replaceAll("\\\n", " ").split("\n"))
  return lines
    .flatMap((line) => line.split(/\s\|\|?\s/))
    .map((part) => placeholders.reduce((whole, [from, to]) => whole.replaceAll(from, to), part.trim()))
    .filter((part) => /^agentchat\s/.test(part))
}

/** Splits a line as a shell does, without expansions; a comment or a redirection ends it. */
function wordsOf(line: string): string[] {
  const words: string[] = []
  for (const [token] of line.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)) {
    if (/^(#|>|<|;|&)/.test(token)) break
    words.push(token.replaceAll(/(['"])(.*?)\1/g, "$2"))
  }
  return words.slice(1)
}

function holds(path: string, symbol: string | undefined): boolean {
  const file = join(root, path)
  if (!existsSync(file)) return false
  return symbol === undefined || new RegExp(`\\b${symbol}\\b`).test(readFileSync(file, "utf8"))
}

/** The anchors of a document's headings, as GitHub makes them. */
function headingsOf(file: string): string[] {
  const headings = readFileSync(join(root, file), "utf8").matchAll(/^#+ (.*)$/gm)
  return [...headings].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s-]/gu, "")
      .replaceAll(/\s/g, "-"),
  )
}
