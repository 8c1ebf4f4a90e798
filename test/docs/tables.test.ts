import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { serverMessages } from "../../src/protocol/server-messages.js"
import { docTables } from "../kit/doc-tables.js"

const root = join(import.meta.dirname, "../..")
const documents = ["README.md", "SKILL.md", ...readdirSync(join(root, "doc")).map((name) => `doc/${name}`)]
const block = /<!-- table:([a-z-]+) -->\n[\s\S]*?<!-- \/table -->/g

/** `UPDATE_DOCS=1 npx vitest run test/docs` writes the tables anew. */
const update = process.env["UPDATE_DOCS"] === "1"

describe("the documents", () => {
  const seen = new Set<string>()
  it.each(documents.filter((name) => name.endsWith(".md")))("%s has the tables of the code", (name) => {
    const text = readFileSync(join(root, name), "utf8")
    const current = text.replace(block, (_whole, table: string) => {
      seen.add(table)
      return `<!-- table:${table} -->\n${docTables[table]?.() ?? "unknown table"}\n<!-- /table -->`
    })
    if (update) writeFileSync(join(root, name), current)
    else expect(text).toBe(current)
  })
  it("hold every table there is", () => {
    expect([...seen].sort()).toEqual(Object.keys(docTables).sort())
  })

  it("explain in files.md each type of line that a relay's message becomes in the inbox", () => {
    const text = readFileSync(join(root, "doc/files.md"), "utf8")
    const rows = /\| `type` \| meaning \|\n([\s\S]*?)\n\n/.exec(text)?.[1]?.split("\n") ?? []
    const explained = rows.flatMap((row) =>
      [...(row.split("|")[1] ?? "").matchAll(/`([A-Z_]+)`/g)].map(([, type]) => type),
    )
    const mirrored = Object.entries(serverMessages).flatMap(([type, row]) => ("inbox" in row ? [type] : []))
    expect(explained.sort()).toEqual([...mirrored, "INBOX_ROTATED", "NOTICE", "REJECTED"].sort())
  })
})
