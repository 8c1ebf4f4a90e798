import { readFileSync, writeFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { startClosed } from "../../kit/closed-relay.js"
import { CommandRoom } from "../../kit/command-room.js"
import { TestRelay } from "../../kit/relay.js"

const dead = "ws://127.0.0.1:9"

/** @returns a room with an identity, and a function that asks a relay whether its key may enter */
async function makeScene(start = () => TestRelay.start()) {
  const room = new CommandRoom()
  await room.run(["identity", "--generate"])
  const relay = await start()
  const { url } = relay.relay
  const { did } = JSON.parse((await room.run(["identity", "--export"])).out) as { did: string }
  const enter = async () => {
    const wire = await relay.connect()
    return (await wire.ask({ type: "IDENTIFY", name: "alice", pubkey: did })).type
  }
  return { room, url, enter, did }
}

describe("identity", () => {
  it.each([
    ["revoke", "an open", () => TestRelay.start()],
    ["rotate", "an open", () => TestRelay.start()],
    ["revoke", "a closed", () => startClosed()],
    ["rotate", "a closed", () => startClosed()],
  ])("--%s ends the key at once at %s relay", async (action, _, start) => {
    const { room, url, enter } = await makeScene(start)
    expect(await enter()).toBe("CHALLENGE")
    const { status, err } = await room.run(["identity", `--${action}`, "--yes", "--server", url])
    expect([status, err]).toEqual([0, `${url} knows that the key has ended\n`])
    expect(await enter()).toBe("ERROR")
  })

  it("--revoke names a relay that it does not reach, which --publish tells later", async () => {
    const { room, url, enter } = await makeScene()
    const { status, err } = await room.run(["identity", "--revoke", "--yes", "--server", dead])
    expect(status).toBe(0)
    expect(err).toContain(`${dead} does not know it yet`)
    expect(err).toContain("tell it with: agentchat identity --publish")
    expect((await room.run(["identity", "--publish", "--server", dead])).status).toBe(8)
    expect((await room.run(["identity", "--publish", "--server", url])).status).toBe(0)
    expect(await enter()).toBe("ERROR")
  })

  it("--publish brings what somebody else has exported", async () => {
    const { room, url, enter } = await makeScene()
    await room.run(["identity", "--revoke", "--yes"])
    const other = new CommandRoom()
    writeFileSync(other.path("keys.json"), (await room.run(["identity", "--export"])).out)
    const args = ["identity", "--publish", "--keys", other.path("keys.json"), "--server", url]
    expect((await other.run(args)).status).toBe(0)
    expect(await enter()).toBe("ERROR")
    expect(readFileSync(other.path("keys.json"), "utf8")).not.toContain("private_key")
  })

  it.each([
    [["--publish"], "no key of the identity has ended", 3],
    [["--keys", "x"], "--keys: only with --publish", 2],
    [["--show", "--server", dead], "--server: only with --publish, --rotate or --revoke", 2],
    [
      ["--revoke", "--yes", "--reason", "x".repeat(1025)],
      "--reason: has 1025 characters; at most 1024 are allowed",
      2,
    ],
  ])("refuses %j", async (args, problem, exit) => {
    const { room } = await makeScene()
    const { status, err } = await room.run(["identity", ...args])
    expect(err).toContain(problem)
    expect(status).toBe(exit)
  })
})
