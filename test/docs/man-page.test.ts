import { expect, it } from "vitest"
import { manPage } from "../../scripts/man.mjs"

const rows = [{ name: "say", group: "Talk", summary: "say it" }]
const command = {
  name: "say",
  summary: "say it",
  usage: "agentchat say TEXT",
  arguments: [{ name: "text", summary: ".dotted 'text'" }],
  options: [
    { flags: "--to <WHO>", summary: "'quoted" },
    { flags: "--json", summary: "print JSON" },
  ],
  notes: "A back\\slash.",
  examples: [".agentchat say 'a-b'"],
}

it("the man page has every command, and no text of it is a request to roff", () => {
  const page = manPage(rows, [command], "1.2.3")
  expect(page).toContain(".SH TALK\n.SS say\n")
  expect(page).toContain("\\fB\\-\\-to <WHO>\\fR\n\\&'quoted")
  expect(page).toContain("\\fBTEXT\\fR\n\\&.dotted 'text'")
  expect(page).toContain("A back\\eslash.")
  expect(page).toContain("\\&.agentchat say 'a\\-b'")
  expect(page.split("\\-\\-json")).toHaveLength(2)
  const requests = page.split("\n").filter((line) => /^[.']/.test(line))
  expect(requests.filter((line) => !/^\.(TH|SH|SS|TP|PP|nf|fi)\b/.test(line))).toEqual([])
})

it("the list of commands has what the man page needs", async () => {
  const { parseCommandLine } = await import("../../src/cli/parser.js")
  const { document } = (await parseCommandLine([], () => undefined)) as unknown as {
    document: { commands: unknown[] }
  }
  expect(document.commands[0]).toEqual({
    name: expect.any(String) as string,
    group: expect.any(String) as string,
    summary: expect.any(String) as string,
  })
})
