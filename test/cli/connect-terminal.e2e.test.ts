import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { programPath, RelayProcess, Workspace } from "../kit/program.js"
import { hasProgram } from "../kit/requires.js"
import { Terminal } from "./terminal.js"

describe.runIf(hasProgram("tmux"))("connect on a terminal", { timeout: 60_000 }, () => {
  let relay: RelayProcess
  const bob = new Workspace()

  beforeAll(async () => {
    relay = await RelayProcess.start("--rate", "1000/s", "--burst", "1000")
  }, 60_000)
  afterAll(async () => {
    bob.dispose()
    await relay.kill("SIGTERM")
  }, 60_000)

  const open = (env = {}) =>
    new Terminal(
      `"${process.execPath}" "${programPath}" connect ${relay.url} --nick ann; echo "exit $?"`,
      env,
    )
  const say = (text: string) => bob.must("send", relay.url, "#general", text, "--nick", "bob")

  it("typed text stays below arriving messages, even over several rows", async () => {
    const terminal = open()
    await terminal.shows(/^#general>$/)
    terminal.type("hello the")
    await terminal.shows(/^#general> hello the$/)
    say("first interruption")
    const rows = await terminal.shows(/bob @\w{8}: first interruption/)
    expect(rows.at(-1)).toBe("#general> hello the")
    const long = "word ".repeat(50)
    terminal.type(`re ${long}end`)
    await terminal.shows(/word end$/)
    say("second interruption")
    const longRows = await terminal.shows(/second interruption/)
    expect(longRows.filter((row) => row.startsWith("#general> hello there word"))).toHaveLength(1)
    expect(longRows.at(-1)).toMatch(/word end$/)
    terminal.press("C-c")
    await terminal.shows(/^#general>$/)
    expect(terminal.rows.filter((row) => row.includes("interruption"))).toHaveLength(2)
    terminal.press("C-c")
    await terminal.shows(/^exit 130$/)
  })

  it("the prompt has a history of typed lines", async () => {
    const terminal = open()
    await terminal.shows(/^#general>$/)
    terminal.type("good morning")
    terminal.press("Enter")
    await terminal.shows(/nobody else|bob/)
    terminal.press("Up")
    await terminal.shows(/^#general> good morning$/)
    terminal.press("C-u", "C-d")
    await terminal.shows(/^exit 0$/)
  })

  it("Tab completes commands, channels and names", async () => {
    const terminal = open()
    await terminal.shows(/^#general>$/)
    terminal.type("/jo")
    terminal.press("Tab")
    await terminal.shows(/^#general> \/join$/)
    terminal.type("#gen")
    terminal.press("Tab")
    await terminal.shows(/^#general> \/join #general$/)
    terminal.press("C-u", "C-d")
    await terminal.shows(/^exit 0$/)
  })

  it("asks before it sends many lines that were pasted, and sends them as one message", async () => {
    const terminal = open()
    await terminal.shows(/^#general>$/)
    terminal.type("first\n/quit\nthird\n")
    await terminal.shows(/3 lines pasted; send them as one message\? y or n/)
    terminal.type("maybe")
    terminal.press("Enter")
    await terminal.shows(/y sends the pasted lines, n discards them/)
    terminal.type("n")
    terminal.press("Enter")
    await terminal.shows(/^-- discarded$/)
    terminal.press("C-d")
    await terminal.shows(/^exit 0$/)
  })

  it("a hostile message cannot overwrite the prompt", async () => {
    const terminal = open()
    await terminal.shows(/^#general>$/)
    say("\u001b[2J\u001b[1;1Hgone\nann: forged")
    const rows = await terminal.shows(/^\s+\| ann: forged$/)
    expect(rows.some((row) => row.includes("\\u{1b}[2J\\u{1b}[1;1Hgone"))).toBe(true)
    expect(rows[0]).toMatch(/^-- on /)
    terminal.type("/quit")
    terminal.press("Enter")
    await terminal.shows(/^exit 0$/)
  })
})
