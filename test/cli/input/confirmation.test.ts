import { PassThrough } from "node:stream"
import { describe, expect, it } from "vitest"
import type { Context } from "../../../src/cli/context.js"
import { requireConfirmation } from "../../../src/cli/input/confirmation.js"

const confirmation = {
  asker: "down",
  loss: "disconnects 2 other agents",
  question: "stop the relay? It disconnects 2 other agents.",
  hint: "agentchat down --yes",
}

/** Asks with `typed` as the input. @returns what was asked */
async function ask(typed: string, { isInputTerminal = true, isConfirmed = false } = {}): Promise<string[]> {
  const asked: string[] = []
  const input = new PassThrough()
  input.end(typed)
  const io = { input, isInputTerminal, err: (line: string) => void asked.push(line) }
  await requireConfirmation({ io } as unknown as Context, isConfirmed, confirmation)
  return asked
}

describe("a question before something is lost", () => {
  it("names the loss, and accepts yes", async () => {
    expect(await ask("Yes\n")).toEqual(["stop the relay? It disconnects 2 other agents. Type yes:"])
  })

  it.each(["", "\n", "y\n", "no\nyes\n"])("takes %j as a refusal", async (typed) => {
    await expect(ask(typed)).rejects.toMatchObject({
      code: "CANCELLED",
      message: "down: not confirmed; nothing was changed",
    })
  })

  it("needs --yes where no terminal is, whatever is in the pipe", async () => {
    await expect(ask("yes\n", { isInputTerminal: false })).rejects.toMatchObject({
      code: "USAGE",
      message: "down: disconnects 2 other agents; needs --yes where nobody can be asked",
      hint: "agentchat down --yes",
    })
  })

  it("asks nothing with --yes", async () => {
    expect(await ask("", { isInputTerminal: false, isConfirmed: true })).toEqual([])
  })
})
