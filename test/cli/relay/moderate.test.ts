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
      await run("channels", "set", "#general", "--write", "@bob", "--write", "+lead", "--reason", "release"),
      await run("history", "clear", "#general", "--force", "--reason", "a password"),
      await run("ban", "@bob", "--reason", "bye \u001b[31m"),
    ]
    expect(outputs.map(({ out, err }) => out + err)).toEqual([
      expect.stringMatching(`^took out ${bob.id} of #general until `),
      expect.stringMatching(`^muted ${bob.id} until `),
      `lifted the muting of ${bob.id}\n`,
      "closed #general\n",
      "set who writes to #general\n",
      "deleted the history of #general\n",
      `banned ${bob.id}\n`,
    ])
    const { out, err } = await run("audit", "--verify")
    expect(err).toBe("7 entries, every signature and hash is right\n")
    expect(
      out
        .split("\n")
        .slice(1, -1)
        .map((line) => line.split(/ +/)[3]),
    ).toEqual(["kick", "mute", "unmute", "close", "restrict", "clear", "ban"])
    expect(out).toMatch(new RegExp(`restrict +#general ${bob.id} \\+lead +release`))
    expect(out).not.toContain("\u001b")
  })

  it("channels shows who may write to one, and set --write all ends it", async () => {
    const { run } = await makeScene()
    const show = async () => (await run("channels", "show", "#general")).out
    await run("channels", "set", "#general", "--write", "+lead", "--reason", "release")
    expect(await show()).toContain("only +lead and operators write")
    expect((await run("channels")).out).toMatch(/#general +0 +restricted/)
    await run("channels", "close", "#general", "--reason", "release")
    expect(await show()).toContain("closed: only operators write")
    await run("channels", "reopen", "#general", "--reason", "done")
    expect(await show()).toContain("only +lead and operators write")
    await run("channels", "set", "#general", "--write", "all", "--reason", "done")
    expect(await show()).not.toContain("operators write")
  })

  it.each([
    [["kick", "#general", "@bob"], "--reason: is required"],
    [["ban", "@bob", "--reason", " "], "--reason: is required"],
    [["ban", "@bob", "--lift", "--for", "1h", "--reason", "x"], "--for: not with --lift"],
    [["history", "clear", "#general", "--reason", "x"], "--force: is required"],
    [["mute", "@nobody", "--reason", "x"], "@nobody is neither online nor known"],
    [["channels", "close", "--reason", "x"], "CHANNEL is missing"],
    [["channels", "set", "#general", "--write", "+lead"], "--reason: is required"],
    [
      ["channels", "set", "#general", "--write", "all", "--write", "+lead", "--reason", "x"],
      "--write all: not with",
    ],
    [
      ["channels", "set", "#general", "--write", "+lead", "--window", "1h", "--reason", "x"],
      "--write: only with",
    ],
    [["channels", "close", "#general", "--write", "+lead", "--reason", "x"], "--write: only with"],
    [["channels", "set", "#general", "--write", "lead", "--reason", "x"], "--write: "],
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
