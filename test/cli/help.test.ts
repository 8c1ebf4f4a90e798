import { describe, expect, it } from "vitest"
import { commandTable } from "../../src/cli/command-table.js"
import { parseCommandLine } from "../../src/cli/parser.js"

async function helpOf(...argv: string[]): Promise<string[]> {
  return helpOn(undefined, argv)
}

async function helpOn(columns: number | undefined, argv: string[]): Promise<string[]> {
  const request = await parseCommandLine(argv, () => columns)
  if (request.kind !== "help") throw new Error(`${argv.join(" ")} does not print help`)
  return request.text.trimEnd().split("\n")
}

describe("the list of commands", () => {
  it("help lists every command with its summary, in less than 80 lines", async () => {
    const lines = await helpOf("--help")
    expect(lines.length).toBeLessThan(80)
    for (const { name, summary } of commandTable.values()) {
      expect(lines.filter((line) => line.startsWith(`  ${name} `) && line.endsWith(summary))).toHaveLength(1)
    }
  })

  it("-h, --help and help print the same list of commands", async () => {
    const lines = await helpOf("--help")
    expect(await helpOf("-h")).toEqual(lines)
    expect(await helpOf("help")).toEqual(lines)
    expect(await helpOf("--json", "--help")).toEqual(lines)
  })
})

describe.each([...commandTable.values()])("help of $name", ({ name, load }) => {
  it("help of a command has examples, less than 40 lines and at most 80 columns", async () => {
    const lines = await helpOf(name, "--help")
    // A relay and a daemon have the most to set.
    expect(lines.length).toBeLessThan(name === "serve" || name === "daemon" ? 50 : 40)
    const explained = lines.slice(0, lines.indexOf("Examples:"))
    const examples = lines.slice(lines.indexOf("Examples:") + 1)
    expect(Math.max(...explained.map((line) => line.length))).toBeLessThanOrEqual(80)
    expect(Math.max(...examples.map((line) => line.length))).toBeLessThanOrEqual(100)
    expect(examples.length).toBeGreaterThanOrEqual(2)
    for (const example of examples) expect(example).toContain(`agentchat ${name}`)
  })

  it("help of a command fits a terminal of 72 columns", async () => {
    const lines = await helpOn(72, [name, "--help"])
    const explained = lines.slice(0, lines.indexOf("Examples:")).filter((line) => !line.startsWith("Usage:"))
    expect(Math.max(...explained.map((line) => line.length))).toBeLessThanOrEqual(72)
  })

  it("help of a command has one paragraph of notes, wrapped at the full width", async () => {
    const lines = await helpOf(name, "--help")
    const [, summary = "", ...rest] = lines
      .slice(lines.findIndex((line) => line.startsWith("Usage:")))
      .filter(Boolean)
    const notes = rest.slice(
      0,
      rest.findIndex((line) => /^(Arguments|Options):/.test(line)),
    )
    expect(summary).not.toBe("")
    for (const [index, line] of notes.slice(0, -1).entries()) {
      const [next = ""] = (notes[index + 1] ?? "").split(" ")
      expect(`${line} ${next}`.length).toBeGreaterThan(80)
    }
  })

  it("help of a command lists its options and the global options", async () => {
    const text = (await helpOf("help", name)).join("\n")
    const { options } = await load()
    for (const flag of [...Object.keys(options), "json", "home", "help"]) expect(text).toContain(`--${flag}`)
  })

  it("the examples of a command parse", async () => {
    const { examples } = await load()
    for (const example of examples) {
      const command = /agentchat (.*?)(?: >| \|\||$)/.exec(example)?.[1] ?? ""
      const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? "")
      expect(await parseCommandLine(words, () => undefined)).toMatchObject({ kind: "run" })
    }
  })
})
