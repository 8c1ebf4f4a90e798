import { describe, expect, it } from "vitest"
import { CommandRoom } from "../../kit/command-room.js"
import { TestRelay } from "../../kit/relay.js"

/** @returns a relay with an operator, and a function that runs a command of the operator */
async function makeScene() {
  const room = new CommandRoom()
  await room.run(["identity", "--generate"])
  const { did } = JSON.parse((await room.run(["identity", "--export"])).out) as { did: string }
  const relay = await TestRelay.start({ operators: [did] })
  const own = ["--server", relay.relay.url, "--identity", room.path("identity.json")]
  const run = (...args: string[]) => room.run([...args, ...own], { clock: relay.clock })
  return { relay, room, run }
}

describe("an operator's commands", () => {
  it("kick, mute, ban, close, clear and the audit log say what was done", async () => {
    const { relay, run } = await makeScene()
    const bob = await relay.enter("bob", "#general")
    const outputs = [
      await run("kick", "#general", "@bob", "--reason", "spam"),
      await run("mute", "@bob", "--for", "1h", "--reason", "loop"),
      await run("mute", "@bob", "--lift", "--reason", "fixed"),
      await run("channels", "close", "#general", "--reason", "release"),
      await run("history", "clear", "#general", "--force", "--reason", "a password"),
      await run("ban", "@bob", "--reason", "bye \u001b[31m"),
    ]
    expect(outputs.map(({ out, err }) => out + err)).toEqual([
      expect.stringMatching(`^took out ${bob.id} of #general until `),
      expect.stringMatching(`^muted ${bob.id} until `),
      `lifted the muting of ${bob.id}\n`,
      "closed #general\n",
      "deleted the history of #general\n",
      `banned ${bob.id}\n`,
    ])
    const { out, err } = await run("audit", "--verify")
    expect(err).toBe("6 entries, every signature and hash is right\n")
    expect(
      out
        .split("\n")
        .slice(1, -1)
        .map((line) => line.split(/ +/)[3]),
    ).toEqual(["kick", "mute", "unmute", "close", "clear", "ban"])
    expect(out).not.toContain("\u001b")
  })

  it.each([
    [["kick", "#general", "@bob"], "--reason: is required"],
    [["ban", "@bob", "--reason", " "], "--reason: is required"],
    [["ban", "@bob", "--lift", "--for", "1h", "--reason", "x"], "--for: not with --lift"],
    [["history", "clear", "#general", "--reason", "x"], "--force: is required"],
    [["mute", "@nobody", "--reason", "x"], "@nobody is neither online nor known"],
    [["channels", "close", "--reason", "x"], "CHANNEL is missing"],
  ])("%j is refused", async (args, problem) => {
    const { run } = await makeScene()
    const { status, err } = await run(...args)
    expect(err).toContain(problem)
    expect(status).not.toBe(0)
  })

  it("are refused for others, and without a key", async () => {
    const { relay, room } = await makeScene()
    await relay.enter("bob")
    const other = new CommandRoom()
    await other.run(["identity", "--generate"])
    const args = ["ban", "@bob", "--reason", "x", "--server", relay.relay.url]
    const asOther = await other.run([...args, "--identity", other.path("identity.json")], {
      clock: relay.clock,
    })
    expect(asOther.err).toContain("only an operator of the relay may do this")
    expect((await room.run(args, { clock: relay.clock })).err).toContain("give the operator's key")
  })
})
