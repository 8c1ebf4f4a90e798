import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { completeHint, hintedOptions } from "../../src/base/command-hint.js"
import { commandTable } from "../../src/cli/command-table.js"
import { parseCommandLine } from "../../src/cli/parser.js"
import { clientMessages } from "../../src/protocol/client-messages.js"

const source = join(import.meta.dirname, "../../src")

/** The texts of all hints, with their file. */
function* hints(): Generator<readonly [file: string, hint: string]> {
  for (const file of readdirSync(source, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts") || file.includes("completion/")) continue
    const text = readFileSync(join(source, file), "utf8")
    for (const [, literal = ""] of text.matchAll(
      /hints?\b[^\n]*?[:=]\s*(?:[^\n"'`]*\?\?\s*)?("[^"\n]*"|`[^`]*`)/g,
    )) {
      yield [file, literal.slice(1, -1)]
    }
  }
}

/** Replaces what a hint fills in, and the words in capitals that a user does. */
function filledIn(command: string): string[] {
  const values = command
    .replaceAll(/'\$\{(scope|name)\}'/g, "#general")
    .replaceAll(/--port \$\{.*\}$/g, "--port 7000")
  return values
    .replaceAll("${command}", "")
    .replaceAll(/\$\{shellWord\(String\(id\)\)\}|\bID\b|\$\{id\}/g, "prop_0123456789abcdef")
    .replaceAll(/\$\{[^}]*\}/g, "x1")
    .replaceAll(/["']/g, "")
    .split(" ")
    .filter((word) => word !== "")
    .slice(1)
}

describe("completeHint", () => {
  it("adds the options of the command line to each command that takes them", () => {
    const options = { name: "bob", identity: "my id.json", home: undefined }
    expect(completeHint("start it: agentchat daemon --background, or: agentchat up", options)).toBe(
      "start it: agentchat daemon --background --name bob --identity 'my id.json', or: agentchat up",
    )
    expect(
      completeHint("see: agentchat status --name x; (agentchat inbox)", { name: "bob", home: "h" }),
    ).toBe("see: agentchat status --name x --home h; (agentchat inbox --name bob --home h)")
    expect(completeHint("ask your user", options)).toBe("ask your user")
  })

  it("knows which commands take --name and --identity", async () => {
    for (const { name, load } of commandTable.values()) {
      const { options } = await load()
      expect([name, options["name"]?.completion === "daemon"]).toEqual([name, hintedOptions.name.has(name)])
      expect([name, "identity" in options]).toEqual([name, hintedOptions.identity.has(name)])
    }
  })
})

describe("a hint", () => {
  it("names only commands that can be called like that", async () => {
    const problems: string[] = []
    for (const [file, hint] of hints()) {
      for (const [command] of hint.matchAll(/\bagentchat [a-z]+[^,;()`\n]*/g)) {
        await parseCommandLine(filledIn(command.trim()), () => 80).catch((error: unknown) =>
          problems.push(`${file}: ${command}: ${String(error)}`),
        )
      }
    }
    expect(problems).toEqual([])
  })

  it("has no words of the wire", () => {
    const wire = new RegExp(`\\b(${Object.keys(clientMessages).join("|")})\\b`)
    const problems = [...hints()].filter(([file, hint]) => !file.startsWith("daemon/") && wire.test(hint))
    expect(problems).toEqual([])
  })
})
