import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { programPath } from "../kit/program.js"
import { hasProgram } from "../kit/requires.js"
import { temporaryDirectory } from "../kit/temporary.js"
import { Pair } from "./receipts/receipt-maker.js"
import { Terminal } from "./terminal.js"

describe.runIf(hasProgram("tmux"))("a table on a terminal", { timeout: 60_000 }, () => {
  it("a table is cut to fit a terminal, but not in a pipe", async () => {
    const task = "read all of src and report what is wrong with it, please"
    const receipt = new Pair().receipt({ task })
    const path = join(temporaryDirectory(), "receipts.jsonl")
    writeFileSync(path, `${JSON.stringify(receipt)}\n`)
    const list = `"${process.execPath}" "${programPath}" receipts list "${path}"`
    const terminal = new Terminal(`${list}; ${list} | cat > "${path}.txt"; echo "exit $?"`, {}, 130)
    const rows = await terminal.shows(/^exit 0$/)
    const row = rows.find((text) => text.includes(receipt.proposal.id)) ?? ""
    expect(row).toHaveLength(130)
    expect(row).toMatch(/ {2}read all .*…$/)
    expect(readFileSync(`${path}.txt`, "utf8")).toContain(`  ${task}\n`)
  })
})
