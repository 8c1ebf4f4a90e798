import { describe, expect, it } from "vitest"
import { ReaderCursor } from "../../../src/daemon/inbox/reader-cursor.js"
import { HookRoom } from "./hook-room.js"

describe("a notification of GitHub Copilot CLI", () => {
  const env = { AGENTCHAT_NAME: "ann" }
  const payload = { sessionId: "s1", cwd: "/CWD" }

  async function idle() {
    const room = new HookRoom()
    await room.daemon("ann")
    const hook = async (name: string, more: object = {}) => {
      room.clock.advance(10_000)
      return (await room.hook("copilot", name, { ...payload, ...more }, { env })).out
    }
    const end = async () => {
      await hook("agentStop", { stop_hook_active: false })
      return hook("notification", { notification_type: "shell_completed" })
    }
    const read = (reader: string, ...seqs: number[]) =>
      ReaderCursor.open(room.paths("ann"), reader).take(seqs, "wait")
    const start = await hook("sessionStart", { source: "new" })
    return { room, hook, end, read, start }
  }

  it.each(["me", "background"])(
    "gives an idle session what ended its background wait as reader %s, once",
    async (reader) => {
      const { room, hook, read, end, start } = await idle()
      expect(start).toContain("agentchat wait")
      await end()
      room.receive("ann", { content: "the build is red" }, { content: "hello all", to: "#general" })
      read(reader, 1, 2)
      const out = await hook("notification", { notification_type: "shell_completed" })
      expect(JSON.parse(out)).toEqual({ additionalContext: expect.stringContaining("the build is red") })
      expect(out).toContain("hello all")
      expect(await hook("notification", { notification_type: "agent_idle" })).toBe("{}\n")
    },
  )

  it("starts no turn for what no wait has taken, nor for what was read in the turn before", async () => {
    const { room, hook, read, end } = await idle()
    room.receive("ann", { content: "read in the turn" })
    await hook("userPromptSubmitted", { prompt: "go on" })
    read("me", 1)
    expect(await end()).toBe("{}\n")
    room.receive("ann", { content: "the build is red" })
    expect(await hook("notification", { notification_type: "agent_idle" })).toBe("{}\n")
    await hook("userPromptSubmitted", { prompt: "go on" })
    expect(await hook("postToolUse", { toolName: "view" })).toContain("the build is red")
  })
})
